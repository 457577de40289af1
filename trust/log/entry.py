"""The entries of Cadastre's log: one line that names a signed document by kind and digest.

`cadastre/v1 <kind> sha256:<hex of the DSSE envelope's bytes>` and a newline: constant in size
per kind, without personal data, far below the 65,535 bytes a log entry may have.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from trust.errors import Malformed, TooLarge
from trust.ids import Digest

LINE_LIMIT = 128  # bytes; the longest kind gives 98

_VERSION = "cadastre/v1"


class Kind(enum.StrEnum):
    """What the logged document is."""

    ROOT = "root"
    AUTHORISATION = "authorisation"
    SUSPENSION = "suspension"
    PLAN = "plan"
    ORDERS = "orders"
    OPENING = "opening"
    RELEASE = "release"
    CONSENTS = "consents"
    ENROLMENT = "enrolment"
    KEY_EVENT = "key-event"
    HELPER_KEY = "helper-key"
    KEY_DESTROYED = "key-destroyed"
    BATCH = "batch"
    SHARE = "share"
    REFUSAL = "refusal"
    TRUSTEE_KEY = "trustee-key"
    EPOCH_KEY = "epoch-key"
    SHARE_REQUEST = "share-request"
    TRUSTEE_SHARE = "trustee-share"
    OPENED = "opened"
    EPOCH_RETIRED = "epoch-retired"
    ACTION = "action"


@dataclass(frozen=True)
class LogEntry:
    """One logged document."""

    kind: Kind
    digest: Digest

    @classmethod
    def of(cls, kind: Kind, envelope: bytes) -> LogEntry:
        """The entry for the bytes of a DSSE envelope."""
        return cls(kind, Digest.of(envelope))

    @classmethod
    def parse(cls, data: bytes) -> LogEntry:
        """The entry written in `data`. Raises Malformed, TooLarge."""
        if len(data) > LINE_LIMIT:
            raise TooLarge(f"a Cadastre log entry has at most {LINE_LIMIT} bytes, not {len(data)}")
        try:
            text = data.decode("ascii")
        except UnicodeDecodeError as error:
            raise Malformed("a Cadastre log entry is ASCII text") from error
        fields = text.removesuffix("\n").split(" ")
        if not text.endswith("\n") or len(fields) != 3 or fields[0] != _VERSION:
            raise Malformed(f"{text!r} is not a log entry: expected {_VERSION} <kind> <digest>")
        try:
            kind = Kind(fields[1])
        except ValueError as error:
            raise Malformed(
                f"{fields[1]!r} is not a kind of log entry",
                remedy="a newer release may know it: update this program",
            ) from error
        return cls(kind, Digest.parse(fields[2]))

    def emit(self) -> bytes:
        """The line; the inverse of `parse`."""
        return f"{_VERSION} {self.kind} {self.digest}\n".encode()
