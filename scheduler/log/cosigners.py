"""Asking witnesses: the port, and the one that speaks C2SP tlog-witness over HTTP."""

from __future__ import annotations

import http.client
import ipaddress
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

from scheduler.log.errors import CosignerConflict, CosignerRefused, CosignerUnavailable
from trust.errors import Malformed
from trust.log.continuation import Continuation
from trust.log.cosignature import CosignerKey
from trust.log.lines import parse_decimal
from trust.log.note import NOTE_LIMIT
from trust.log.policy import Policy

# Seconds for a whole answer. Sockets bound only each wait, and a witness that sends a letter
# now and then would hold up every append.
TIMEOUT = 5.0
SIZE_TYPE = "text/x.tlog.size"

_CONFLICT = 409


class Cosigner(Protocol):
    """A witness that can be asked for its cosignature."""

    @property
    def key(self) -> CosignerKey:
        """The key its cosignatures verify under."""
        ...

    def cosign(self, old_size: int, consistency: Sequence[bytes], note: bytes) -> bytes:
        """Signature lines for the checkpoint in `note`, which continues one of `old_size`.

        Raises CosignerConflict (with the size the witness knows), CosignerRefused,
        CosignerUnavailable.
        """
        ...


def add_checkpoint_body(old_size: int, consistency: Sequence[bytes], note: bytes) -> bytes:
    """The request body of tlog-witness add-checkpoint."""
    return Continuation(old_size, tuple(consistency), note).emit()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET: report the redirection as what it is."""

    def redirect_request(self, *_: object) -> None:
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class HttpCosigner:
    """The witness behind a tlog-witness submission prefix.

    `url` is http(s)://host[:port][/prefix]; what it answers is believed only after its
    signature verifies, so plain http costs no integrity.
    """

    def __init__(self, key: CosignerKey, url: str, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Malformed(
                f"{url[:200]!r} is not the address of a witness",
                remedy="write http://host:port or https://host/prefix in the log policy",
            )
        self._key = key
        self._url = url.rstrip("/") + "/add-checkpoint"
        self._timeout = timeout
        self._asking: threading.Thread | None = None
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if _is_loopback(parts.hostname):
            handlers.append(urllib.request.ProxyHandler({}))  # a proxy can't reach this machine
        self._opener = urllib.request.build_opener(*handlers)

    @property
    def key(self) -> CosignerKey:
        return self._key

    def cosign(self, old_size: int, consistency: Sequence[bytes], note: bytes) -> bytes:
        if self._asking is not None and self._asking.is_alive():
            raise CosignerUnavailable(f"witness {self._key.name} has not finished an older answer")
        body = add_checkpoint_body(old_size, consistency, note)
        answers: list[bytes | Exception] = []
        # A daemon: an answer that never ends must not keep the process alive either.
        self._asking = threading.Thread(target=self._collect, args=(body, answers), daemon=True)
        self._asking.start()
        self._asking.join(self._timeout)
        if not answers:
            raise CosignerUnavailable(
                f"witness {self._key.name} timed out: no whole answer within {self._timeout} s",
                remedy="the log goes on and asks again; check that the witness runs",
            )
        answer = answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _collect(self, body: bytes, answers: list[bytes | Exception]) -> None:
        try:
            answers.append(self._post(body))
        except Exception as error:  # noqa: BLE001 - raised again by the thread that asked
            answers.append(error)

    def _post(self, body: bytes) -> bytes:
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            self._url,
            data=body,
            headers={"Content-Type": "text/plain; charset=utf-8"},
            method="POST",
        )
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                lines: bytes = answer.read(NOTE_LIMIT)
                return lines
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise CosignerUnavailable(
                f"witness {self._key.name} could not be reached: {reason}",
                remedy="the log goes on and asks again; check that the witness runs",
            ) from error

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        name = self._key.name
        try:
            body = error.read(NOTE_LIMIT)
        except (OSError, http.client.HTTPException):
            body = b""
        if error.code == _CONFLICT and error.headers.get_content_type() == SIZE_TYPE:
            try:
                return CosignerConflict(name, parse_decimal(body.decode("ascii").rstrip("\n")))
            except (Malformed, UnicodeDecodeError):
                return CosignerUnavailable(f"witness {name} answered 409 without a size")
        said = f"witness {name} answered {error.code}"
        if 400 <= error.code < 500:
            return CosignerRefused(
                said, remedy="compare the log's key and origin with the witness's list of logs"
            )
        return CosignerUnavailable(said)


def cosigners_of(policy: Policy) -> list[HttpCosigner]:
    """The witnesses of a log policy that have an address. Raises Malformed."""
    return [
        HttpCosigner(witness.key, witness.url)
        for witness in policy.witnesses.values()
        if witness.url
    ]
