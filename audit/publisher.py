"""Whoever publishes evidence, asked over HTTP: one address, with a bound on every answer.

Nobody has verified who answers. How large an answer gets is the caller's limit, how long it takes
ours; a publisher that is slow on purpose ends as one that does not answer.
"""

from __future__ import annotations

import http.client
import io
import math
import socket
import time
from typing import Any
from urllib.parse import urlsplit

from audit.errors import DownloadFailed

REQUEST_TIMEOUT = 30.0  # seconds without a byte
FILE_TIMEOUT = 900.0  # a file of 64 MiB over a line of 0.6 Mbit/s
TOTAL_TIMEOUT = 6 * 3600.0
_ATTEMPTS = 3


class Publisher:
    """GET below one address, over one connection that is opened again when it breaks."""

    def __init__(self, url: str) -> None:
        """Nothing is asked yet. Raises DownloadFailed for what is no http(s) address."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").encode("idna").decode(), parts.port
            sound = parts.scheme in {"http", "https"} and host and parts.path.isascii()
        except ValueError:
            sound = False
        if not sound or parts.query:
            raise DownloadFailed(
                f"{url!a} is not an http(s) address", remedy="write it like https://host/path"
            )
        self.url = url.rstrip("/")
        self._prefix = parts.path.rstrip("/")
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else (http.client.HTTPConnection)
        )
        self._connection = kind(host, port, timeout=REQUEST_TIMEOUT)
        self._deadline = time.monotonic() + TOTAL_TIMEOUT

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def get(self, path: str, limit: int) -> bytes | None:
        """The file at `path`, at most `limit` bytes, None where the publisher says 404.

        Redirects are not followed. Raises DownloadFailed.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return self._get(path, limit)
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if attempt == _ATTEMPTS - 1:
                    # A server chooses some of these words.
                    said = f"{type(error).__name__}: {str(error)[:200]!a}"
                    raise DownloadFailed(
                        f"{self.url} does not answer: {said}", remedy="check the address; retry"
                    ) from error
        return None

    def _get(self, path: str, limit: int) -> bytes | None:
        if time.monotonic() > self._deadline:
            raise DownloadFailed(
                "the download took too long",
                remedy="run `cadastre audit fetch` again into that folder: it keeps what it has",
            )
        line = self._line()
        line.deadline = time.monotonic() + FILE_TIMEOUT
        self._connection.request("GET", f"{self._prefix}/{path}")
        with self._connection.getresponse() as answer:
            return self._body(answer, path, limit)

    def _line(self) -> _Line:
        line = self._connection.sock
        if not isinstance(line, _Line):
            self._connection.connect()
            line = self._connection.sock = _Line(self._connection.sock)
        return line

    def _body(self, answer: http.client.HTTPResponse, path: str, limit: int) -> bytes | None:
        if answer.status != http.client.OK:
            self._connection.close()  # with whatever else it wanted to say
            if answer.status == http.client.NOT_FOUND:
                return None
            raise DownloadFailed(f"{self.url}/{path} answers {answer.status}")
        data = answer.read(limit + 1)
        if len(data) > limit:
            raise DownloadFailed(f"{self.url}/{path} has over {limit} bytes")
        # Asked for an amount, http.client gives a body that was cut short without a word.
        if answer.length:
            raise http.client.IncompleteRead(data, answer.length)
        return data


class _Line:
    """What http.client needs of a socket, with a deadline for a whole answer.

    A byte now and then, or "100 Continue" for ever, never meets a socket's own timeout.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.connected = connected
        self.deadline = math.inf
        self.readers = 0
        self.closed = False

    def sendall(self, data: bytes) -> None:
        self.connected.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Close the socket, after the last reader of an answer that is still read."""
        self.closed = True
        if not self.readers:
            self.connected.close()


class _Reader(io.RawIOBase):
    def __init__(self, line: _Line) -> None:
        self._line = line
        line.readers += 1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._line.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("it took too long over one file")
        self._line.connected.settimeout(min(REQUEST_TIMEOUT, left))
        return self._line.connected.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            self._line.readers -= 1
            if self._line.closed:
                self._line.close()
        super().close()
