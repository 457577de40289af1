"""The HTTP edge of the status server: GET /status.json, POST /consents, GET /healthz.

Content is signed, so plain HTTP is honest; TLS is a proxy's business. Every request is bounded
in bytes, time and number: a slow or endless client costs one thread for at most a minute.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from governance.errors import BodyRefused
from governance.status.publisher import Publisher
from governance.status.registry import Registry
from trust.clock import Clock
from trust.problem import Kind, Problem

MAXIMUM_BODY_BYTES = 8 << 20  # 5,000 consents of 1,100 bytes, with room
MAXIMUM_LINES = 5_000
MAXIMUM_REQUESTS = 64  # at once; one more is asked to come back
SOCKET_TIMEOUT = 10.0  # seconds without a byte
BODY_TIMEOUT = 60.0  # seconds for a whole body
TICK = 1.0  # seconds between looks at the clock and at other processes' changes
_CHUNK = 64 << 10
_STATUS_OF = {Kind.EXHAUSTED: HTTPStatus.REQUEST_ENTITY_TOO_LARGE}

_log = logging.getLogger("cadastre.governance.status")


class StatusServer(ThreadingHTTPServer):
    """Serves one publisher; `serve` runs until `close` is called from another thread."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], registry: Registry, publisher: Publisher, clock: Clock
    ) -> None:
        self.registry = registry
        self.publisher = publisher
        self.clock = clock
        self._slots = threading.BoundedSemaphore(MAXIMUM_REQUESTS)
        self._closing = threading.Event()
        super().__init__(address, _Handler)

    def serve(self) -> None:
        """Publish, then answer until closed; republishes hourly and at every change."""
        self.publisher.refresh()
        ticking = threading.Thread(target=self._tick, name="status-publisher", daemon=True)
        ticking.start()
        try:
            self.serve_forever(poll_interval=0.2)
        finally:
            self._closing.set()
            ticking.join()
            self.server_close()

    def close(self) -> None:
        """Stop `serve`; returns once it no longer accepts requests."""
        self._closing.set()
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
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not an error of ours; anything else is logged."""
        del request, client_address
        _log.debug("a request ended early", exc_info=True)

    def _refuse_busy(self, request: Any) -> None:
        try:
            request.settimeout(SOCKET_TIMEOUT)
            request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n")
        except OSError:
            _log.debug("a refused client was gone", exc_info=True)
        self.shutdown_request(request)

    def _tick(self) -> None:
        while not self._closing.wait(TICK):
            try:
                self.publisher.refresh()
            except Problem as problem:
                # The previous status is still served; workers refuse once it is 24 h old.
                _log.error("the status could not be published: %s", problem.sentence)


class _Handler(BaseHTTPRequestHandler):
    server: StatusServer
    server_version = "cadastre-status"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout: ClassVar[float] = SOCKET_TIMEOUT

    def do_GET(self) -> None:
        """Answer the status, or that we are alive."""
        match self.path:
            case "/status.json":
                self._answer(HTTPStatus.OK, self.server.publisher.published.raw)
            case "/healthz":
                self._answer(HTTPStatus.OK, b'{"ok":true}')
            case _:
                self._problem(HTTPStatus.NOT_FOUND, "not-found", "only /status.json is here")

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def do_POST(self) -> None:
        """Take consents, one envelope a line, and publish what they change before answering."""
        if self.path != "/consents":
            self._problem(HTTPStatus.NOT_FOUND, "not-found", "consents are posted to /consents")
            return
        try:
            lines = self._lines(self._body())
            receipt = self.server.registry.submit(lines, self.server.clock.now())
            if receipt.accepted:
                self.server.publisher.refresh()
        except Problem as problem:
            status = _STATUS_OF.get(problem.kind, HTTPStatus.BAD_REQUEST)
            if problem.kind in {Kind.UNAVAILABLE, Kind.INTERNAL}:
                status = HTTPStatus.SERVICE_UNAVAILABLE
            self._problem(status, problem.code, problem.sentence)
            return
        self._answer(HTTPStatus.OK, json.dumps(asdict(receipt)).encode())

    def _body(self) -> bytes:
        text = self.headers.get("Content-Length", "")
        if not text.isdecimal() or len(text) > 12:
            raise BodyRefused("the request says no Content-Length")
        length = int(text)
        if length > MAXIMUM_BODY_BYTES:
            raise BodyRefused(f"a body has at most {MAXIMUM_BODY_BYTES} bytes, not {length}")
        deadline = time.monotonic() + BODY_TIMEOUT
        body = bytearray()
        while len(body) < length:
            if time.monotonic() > deadline:
                raise BodyRefused(f"the body did not arrive within {BODY_TIMEOUT:.0f} s")
            chunk = self.rfile.read1(min(_CHUNK, length - len(body)))
            if not chunk:
                raise BodyRefused("the body ended early")
            body += chunk
        return bytes(body)

    @staticmethod
    def _lines(body: bytes) -> list[bytes]:
        lines = body.split(b"\n")
        if lines and not lines[-1]:
            lines.pop()
        if not 1 <= len(lines) <= MAXIMUM_LINES:
            raise BodyRefused(f"a submission has 1 to {MAXIMUM_LINES} lines, not {len(lines)}")
        return lines

    def _problem(self, status: HTTPStatus, code: str, sentence: str) -> None:
        # The body may be unread: what follows on this connection would be misread as a request.
        self.close_connection = True
        body = json.dumps({"code": code, "sentence": sentence}).encode()
        self._answer(status, body, content_type="application/problem+json")

    def _answer(
        self, status: HTTPStatus, body: bytes, *, content_type: str = "application/json"
    ) -> None:
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
        """Requests are logged without addresses: who asks when is nobody's business."""
        _log.debug("%s %s", self.command, format % arguments if arguments else format)
