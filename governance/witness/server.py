"""The HTTP edge of a witness: POST /add-checkpoint, GET /<hex sha256(origin)>/checkpoint.

Everything exchanged is signed, so plain HTTP is honest; TLS is a proxy's business. Every
request is bounded in bytes, time and number.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from governance.witness.errors import RequestMalformed, SizeConflict, WitnessError
from governance.witness.request import REQUEST_LIMIT
from governance.witness.witness import Witness
from trust.problem import Problem

MAXIMUM_REQUESTS = 32  # at once; one more is asked to come back
SOCKET_TIMEOUT = 10.0  # seconds without a byte
BODY_TIMEOUT = 30.0  # seconds for a whole body
# Seconds for a whole connection: without it 32 clients who send a letter now and then would
# hold every place for ever, and with them the log's quorum.
CONNECTION_LIFE = 60.0

_CHUNK = 64 << 10
_LATEST = re.compile(r"/([0-9a-f]{64})/checkpoint")
_TEXT = "text/plain; charset=utf-8"
_SIZE = "text/x.tlog.size"

_log = logging.getLogger("cadastre.governance.witness")


class WitnessServer(ThreadingHTTPServer):
    """Serves one witness; `serve` runs until `close` is called from another thread."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], witness: Witness) -> None:
        self.witness = witness
        self._slots = threading.BoundedSemaphore(MAXIMUM_REQUESTS)
        super().__init__(address, _Handler)

    @property
    def url(self) -> str:
        """Where it listens: the submission and monitoring prefix in one."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def serve(self) -> None:
        """Answer until closed."""
        try:
            self.serve_forever(poll_interval=0.2)
        finally:
            self.server_close()

    def close(self) -> None:
        """Stop `serve`; returns once it no longer accepts requests."""
        self.shutdown()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand the request to a thread, or refuse it at once when all are busy."""
        if not self._slots.acquire(blocking=False):
            self._refuse_busy(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The body of one request's thread."""
        end = threading.Timer(CONNECTION_LIFE, _hang_up, (request,))
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not an error of ours."""
        del request, client_address
        _log.debug("a request ended early", exc_info=True)

    def _refuse_busy(self, request: Any) -> None:
        try:
            request.settimeout(SOCKET_TIMEOUT)
            request.sendall(
                b"HTTP/1.1 503 Service Unavailable\r\n"
                b"Retry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
        except OSError:
            _log.debug("a refused client was gone", exc_info=True)
        self.shutdown_request(request)


def _hang_up(connection: socket.socket) -> None:
    """Wake whoever waits for the connection; a closed one is fine."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def serve(
    witness: Witness,
    host: str,
    port: int,
    started: Callable[[WitnessServer], None] = lambda _: None,
) -> None:
    """Serve until closed; `started` receives the listening server, to close it or show its url.

    Port 0 takes a free one.
    """
    server = WitnessServer((host, port), witness)
    started(server)
    server.serve()


class _Handler(BaseHTTPRequestHandler):
    server: WitnessServer
    server_version = "cadastre-witness"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout: ClassVar[float] = SOCKET_TIMEOUT

    def do_POST(self) -> None:
        """Cosign, with the statuses that the protocol gives each refusal."""
        if self.path != "/add-checkpoint":
            self._refuse(HTTPStatus.NOT_FOUND, "checkpoints are posted to /add-checkpoint")
            return
        try:
            body = self._body()
            lines = self.server.witness.add_checkpoint(body)
        except SizeConflict as conflict:
            self._answer(conflict.status, f"{conflict.size}\n".encode(), _SIZE)
        except Problem as problem:
            self._problem(problem)
        else:
            self._answer(HTTPStatus.OK, lines, _TEXT)

    def do_GET(self) -> None:
        """Answer the newest cosigned checkpoint of a log."""
        match = _LATEST.fullmatch(self.path)
        if match is None:
            self._refuse(HTTPStatus.NOT_FOUND, "only /<sha256 of an origin>/checkpoint is here")
            return
        try:
            self._answer(HTTPStatus.OK, self.server.witness.latest(match.group(1)), _TEXT)
        except Problem as problem:
            self._problem(problem)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > 9 or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise RequestMalformed("the request says no Content-Length")
        if int(length) > REQUEST_LIMIT:
            self.close_connection = True  # the body stays unread
            raise RequestMalformed(f"a request has at most {REQUEST_LIMIT} bytes, not {length}")
        deadline = time.monotonic() + BODY_TIMEOUT
        body = bytearray()
        while len(body) < int(length):
            chunk = self.rfile.read1(min(_CHUNK, int(length) - len(body)))
            if not chunk or time.monotonic() > deadline:
                self.close_connection = True
                raise RequestMalformed("the body ended early or came too slowly")
            body += chunk
        return bytes(body)

    def _problem(self, problem: Problem) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE
        if isinstance(problem, WitnessError):
            status = problem.status
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("%s", problem.sentence)
        self._refuse(status, problem.sentence)

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        if self.command == "POST" and status == HTTPStatus.NOT_FOUND:
            self.close_connection = True  # the body may be unread
        self._answer(status, f"{sentence}\n".encode(), _TEXT)

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-cache")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base's name
        """Requests are logged without addresses, their letters escaped: a client chose them."""
        _log.debug("%s", ascii(format % arguments))
