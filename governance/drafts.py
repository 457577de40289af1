"""Documents that wait for signatures, as files that travel between members.

A draft is a DSSE envelope whose list of signatures may still be empty. Each member looks at
it, adds a signature with a key that never leaves their machine, and hands the file on.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from durable.errors import StorageFailed
from durable.files import write_atomic, write_new
from governance.errors import DraftRefused
from trust import dsse, schema
from trust.documents.signed import Document
from trust.errors import KeyRefused, Malformed, SignatureInvalid
from trust.keys import PrivateKey, PublicKey

D = TypeVar("D", bound=Document)

# A root or an authorisation is a few kilobytes; the envelope's own limit is the ceiling.
MAXIMUM_FILE_BYTES = dsse.MAXIMUM_ENVELOPE_BYTES


@dataclass(frozen=True)
class Draft:
    """A payload and the signatures collected so far; nothing of it is verified yet."""

    payload_type: str
    payload: bytes
    envelope: dsse.Envelope | None  # None while nobody has signed

    @classmethod
    def of(cls, document: Document) -> Draft:
        """The unsigned draft of `document`."""
        return cls(document.TYPE, schema.encode(document), None)

    @classmethod
    def parse(cls, raw: bytes) -> Draft:
        """The draft in `raw`. Raises Malformed, TooLarge or DraftRefused."""
        unsigned = _unsigned(raw)
        if unsigned is not None:
            return unsigned
        envelope = dsse.Envelope.parse(raw)
        return cls(envelope.payload_type, envelope.payload, envelope)

    def emit(self) -> bytes:
        """The file's bytes; once signed, the envelope's own."""
        if self.envelope is not None:
            return self.envelope.raw
        fields = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [],
        }
        return json.dumps(fields, separators=(",", ":")).encode()

    def document(self, cls: type[D]) -> D:
        """What is to be signed, read as `cls`. Raises DraftRefused or Malformed."""
        if self.payload_type != cls.TYPE:
            raise DraftRefused(
                f"the file holds {self.payload_type[:80]}, not {cls.TYPE}",
                remedy="check that this is the file you meant",
            )
        return schema.decode(cls, self.payload)

    def sign(self, key: PrivateKey) -> Draft:
        """The draft with one more signature. Raises DraftRefused when `key` has signed."""
        if key.public in self.signers([key.public]):
            raise DraftRefused(
                f"key {key.public.keyid} has signed this already",
                remedy="a threshold counts distinct keys: hand the file to another member",
            )
        if self.envelope is None:
            signed = dsse.sign(self.payload_type, self.payload, [key])
        else:
            signed = dsse.add_signature(self.envelope, key)
        return Draft(signed.payload_type, signed.payload, signed)

    def signers(self, keys: Iterable[PublicKey]) -> frozenset[PublicKey]:
        """Those of `keys` whose signature on this draft holds."""
        if self.envelope is None:
            return frozenset()
        found: set[PublicKey] = set()
        for key in keys:
            try:
                found |= dsse.verify(self.envelope, self.payload_type, {key}).signers
            except SignatureInvalid:
                continue
        return frozenset(found)


def read_draft(path: Path) -> Draft:
    """The draft in a file. Raises DraftRefused naming the file."""
    return Draft.parse(read_file(path))


def write_draft(path: Path, draft: Draft) -> None:
    """Write the draft durably; whoever reads sees the old file or the new one."""
    write_atomic(path, draft.emit())


def write_first_draft(path: Path, draft: Draft) -> None:
    """Write an unsigned draft where nothing was, not even a link. Raises DraftRefused."""
    try:
        write_new(path, draft.emit())
    except FileExistsError as error:
        raise _taken(path) from error


def read_file(path: Path, limit: int = MAXIMUM_FILE_BYTES) -> bytes:
    """A small file handed in by a person. Raises DraftRefused."""
    try:
        # Read, not asked for its size: a device or a pipe says 0 and never ends.
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise DraftRefused(
            f"could not read {path}: {error.strerror}", remedy="check the path"
        ) from error
    if len(data) > limit:
        raise DraftRefused(
            f"{path} is over the limit of {limit} bytes", remedy="check that this is the file"
        )
    return data


def read_public_key(text: str) -> PublicKey:
    """A public key given as `ed25519:…` or as the path of a `.pub` file. Raises KeyRefused."""
    if text.startswith("ed25519:"):
        return PublicKey.parse(text)
    try:
        return PublicKey.parse(read_file(Path(text)).decode("ascii").strip())
    except (UnicodeDecodeError, KeyRefused):
        # `from None`, and not a word of the contents: people mix up the two halves, and an
        # error that quotes the file would then show a private key.
        raise KeyRefused(
            f"{text} is not a public key file", remedy="give the .pub file, never the key itself"
        ) from None


def require_plain(*texts: str) -> None:
    """Raise DraftRefused when a text, shown to those who sign, could rewrite what they see.

    Whoever drafts chose the words; escape sequences, new lines and reversed writing would let
    them show another decision than the one that is signed.
    """
    for text in texts:
        # French sets a narrow or a fixed space before some marks.
        if not text.replace("\u00a0", " ").replace("\u202f", " ").isprintable():
            raise DraftRefused(
                f"a text of this document can't be shown as it is: {text[:80]!a}",
                remedy="do not sign it; ask whoever drafted it for one in plain letters",
            )


def refuse_existing(path: Path) -> None:
    """Raise DraftRefused when `path` exists: collected signatures are never overwritten."""
    if path.exists() or path.is_symlink():
        raise _taken(path)
    if not path.parent.is_dir():
        raise StorageFailed(
            f"the folder {path.parent} does not exist", remedy="create it, then run this again"
        )


def _taken(path: Path) -> DraftRefused:
    return DraftRefused(
        f"{path} exists already", remedy="choose another name, or move the old file away"
    )


def _unsigned(raw: bytes) -> Draft | None:
    if len(raw) > MAXIMUM_FILE_BYTES:
        raise DraftRefused(
            f"a draft has at most {MAXIMUM_FILE_BYTES} bytes, not {len(raw)}",
            remedy="check that this is the file that `draft` wrote",
        )
    try:
        fields = schema.read_json(raw, "the file")
    except Malformed as error:
        raise DraftRefused(
            "the file is neither a draft nor a signed document: it is not JSON of one meaning",
            remedy="check that this is the file that `draft` wrote",
        ) from error
    if not isinstance(fields, dict) or fields.get("signatures") != []:
        return None
    kind, payload = fields.get("payloadType"), fields.get("payload")
    if set(fields) != {"payload", "payloadType", "signatures"} or not isinstance(kind, str):
        raise DraftRefused("a draft has exactly payload, payloadType and signatures")
    if not isinstance(payload, str):
        raise DraftRefused("the draft's payload is not a text")
    try:
        return Draft(kind, schema.from_base64(payload), None)
    except (binascii.Error, ValueError) as error:
        raise DraftRefused("the draft's payload is not base64") from error
