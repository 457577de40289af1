"""Requests to the identity provider: over TLS, without redirects, bounded in size and in time.

The whole answer has one deadline, so that nobody keeps a thread by sending a byte now and then;
the head counts into the size. http goes to this very machine only.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from web.signin.address import split_address
from web.signin.errors import ConfigurationRefused, IssuerAnswerRefused, IssuerUnreachable

SECONDS = 10.0  # for one answer, from the first letter of the request to its last
LARGEST = 256 * 1024  # bytes with the head; a large provider's key set has some ten thousand
_CHUNK = 16 * 1024


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    kind: str  # the media type, in small letters
    body: bytes

    def json(self) -> dict[str, Any]:
        """The object in the body. Raises IssuerAnswerRefused."""
        return read_object(self.body)


class Fetcher:
    """Asks; `on_this_machine` is whether addresses without TLS are taken (loopback only)."""

    def __init__(self, *, on_this_machine: bool, context: ssl.SSLContext | None = None) -> None:
        self._on_this_machine = on_this_machine
        self._context = context or ssl.create_default_context()

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """A 200 answer to a GET. Raises IssuerUnreachable, IssuerAnswerRefused."""
        answer = self._ask("GET", url, None, headers or {})
        if answer.status != HTTPStatus.OK:
            raise IssuerAnswerRefused("status")
        return answer

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Whatever is answered to a POST. Raises IssuerUnreachable, IssuerAnswerRefused."""
        return self._ask("POST", url, body, headers)

    def require_reachable(self, url: str) -> None:
        """Raises IssuerAnswerRefused for an address that would not be asked."""
        try:
            parts, _, _ = split_address(url)
        except ConfigurationRefused as error:
            raise IssuerAnswerRefused("endpoint") from error
        if parts.scheme == "http" and not self._on_this_machine:
            raise IssuerAnswerRefused("endpoint without TLS")

    def _ask(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        self.require_reachable(url)
        parts = urlsplit(url)
        deadline = time.monotonic() + SECONDS
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        real: socket.socket | None = None
        try:
            connection.connect()
            real = connection.sock
            connection.sock = _Bounded(real, deadline)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            sent = {"Accept": "application/json", **headers}
            sent |= {"Accept-Encoding": "identity", "Connection": "close"}
            connection.request(method, target, body, sent)
            response = connection.getresponse()
            data = response.read()
            if response.getheader("Content-Encoding"):
                raise IssuerAnswerRefused("encoding")
            kind = response.getheader("Content-Type") or ""
            return Answer(response.status, kind.partition(";")[0].strip().lower(), data)
        except _TooMuch as error:
            raise IssuerAnswerRefused("size") from error
        except http.client.HTTPException as error:
            raise IssuerAnswerRefused("http") from error
        except OSError as error:  # TLS and time-outs are OSErrors too
            raise IssuerUnreachable(type(error).__name__) from error
        finally:
            if real is not None:
                real.close()
            connection.close()

    def _connection(self, scheme: str, host: str, port: int | None) -> Any:
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=SECONDS)
        return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=self._context)


class _TooMuch(Exception):
    """More bytes than an answer may have."""


class _Bounded:
    """A socket as http.client uses it, every wait of which ends at one deadline."""

    def __init__(self, real: socket.socket, deadline: float) -> None:
        self._real = real
        self._deadline = deadline
        self._left = LARGEST

    def sendall(self, data: bytes) -> None:
        self._arm()
        self._real.sendall(data)

    def recv_into(self, buffer: memoryview) -> int:
        self._arm()
        count = self._real.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise _TooMuch
        return count

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode  # http.client reads only
        return io.BufferedReader(_Stream(self), _CHUNK)

    def close(self) -> None:
        """Whoever opened the real one closes it: http.client would close it while it reads."""

    def _arm(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._real.settimeout(left)


class _Stream(io.RawIOBase):
    def __init__(self, source: _Bounded) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._source.recv_into(memoryview(buffer))


def read_object(data: bytes) -> dict[str, Any]:
    """The one JSON object in `data`, no name twice. Raises IssuerAnswerRefused."""
    try:
        found = json.loads(data.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise IssuerAnswerRefused("json") from error
    if not isinstance(found, dict):
        raise IssuerAnswerRefused("json")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found
