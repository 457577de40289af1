"""A small HTTP server that strangers may reach: every request is bounded in bytes, time, number.

What is exchanged is signed, so plain HTTP is honest; TLS is a proxy's business. Each program of
the cooperative derives its own handler and says its own bounds; nothing here knows what is
served.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any, cast

from governance.errors import BodyRefused, ServerBusy
from trust.problem import Problem

TEXT = "text/plain; charset=utf-8"

_CHUNK = 64 << 10
_LOOK = 0.2  # seconds between looks at the connections' ages
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Retry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


@dataclass(frozen=True)
class Bounds:
    """What one client, and all of them together, may take of a server; times in seconds."""

    connections: int  # at once; one more is asked to come back
    body_bytes: int
    held_bytes: int  # of all bodies together, as they arrive
    head_bytes: int = 32 << 10  # request line and headers: http.server alone allows 6 MB
    silence: float = 10.0  # without a byte moving
    body: float = 30.0  # for a whole body
    # For a whole connection: without it as many clients as there are places, who send a letter
    # now and then, would hold every place for ever.
    life: float = 60.0
    grace: float = 5.0  # for running requests to finish after a stop


class BoundedServer(ThreadingHTTPServer):
    """Serves `handler` until `close` is called from another thread; port 0 takes a free one.

    With `tick`, that is called every `interval` seconds on a thread of its own; a Problem that
    it raises is logged and it is called again, anything else stops the server and is raised by
    `serve`: a program that goes on without its clock would look healthy and be stale.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BoundedHandler],
        bounds: Bounds,
        *,
        log: logging.Logger,
        tick: Callable[[], object] | None = None,
        interval: float = 1.0,
    ) -> None:
        self.bounds = bounds
        self.log = log
        self._tick = tick
        self._interval = interval
        self._broken: Exception | None = None
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._ends: dict[socket.socket, float] = {}  # each connection's last moment
        self._held = 0  # bytes of bodies in memory
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.server_address[:2]
        name = f"[{host!s}]" if self.address_family == socket.AF_INET6 else str(host)
        return f"http://{name}:{port}"

    def serve(self) -> None:
        """Answer until closed; then running requests are answered and every connection ends."""
        ticking = threading.Thread(target=self._keep_ticking, name="tick", daemon=True)
        ticking.start()
        try:
            self.serve_forever(poll_interval=_LOOK)
        finally:
            self._closing.set()
            self.server_close()
            ticking.join()
            self._drain()
        if self._broken is not None:
            raise self._broken

    def close(self) -> None:
        """Stop `serve`; returns once it no longer accepts requests."""
        self._closing.set()
        self.shutdown()

    def service_actions(self) -> None:
        """Between requests: end the connections whose life is over."""
        now = time.monotonic()
        with self._changed:
            over = [connection for connection, end in self._ends.items() if end <= now]
        for connection in over:
            _hang_up(connection, socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand the connection to a thread, or refuse it at once when every place is taken."""
        with self._changed:
            free = len(self._ends) < self.bounds.connections
            if free:
                self._ends[request] = time.monotonic() + self.bounds.life
        if not free:
            self._refuse_busy(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._leave(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The body of one connection's thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._leave(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not an error of ours; its address is not logged.

        What else goes wrong is told to the operator by its name alone: the words of such an
        error, and a traceback, are nobody's to judge beforehand and could quote a secret.
        """
        del request, client_address
        error = sys.exception()
        if isinstance(error, ConnectionError | TimeoutError):
            self.log.debug("a request ended early", exc_info=True)  # noqa: LOG014 - called in one
        else:
            self.log.error("a request failed unexpectedly: %s", type(error).__name__)

    def hold(self, count: int) -> None:
        """Account for `count` bytes of a body. Raises ServerBusy beyond `held_bytes`."""
        with self._changed:
            if self._held + count > self.bounds.held_bytes:
                raise ServerBusy("too many bodies at once", remedy="send it again in a moment")
            self._held += count

    def let_go(self, count: int) -> None:
        """`count` bytes that were held are no longer in memory."""
        with self._changed:
            self._held -= count

    def _leave(self, request: socket.socket) -> None:
        with self._changed:
            self._ends.pop(request, None)
            self._changed.notify_all()

    def _refuse_busy(self, request: socket.socket) -> None:
        try:
            request.settimeout(0)  # the serving loop waits for nobody
            request.sendall(_BUSY)
        except OSError:
            self.log.debug("a refused client was gone", exc_info=True)
        self.shutdown_request(request)

    def _keep_ticking(self) -> None:
        while self._tick is not None and not self._closing.wait(self._interval):
            try:
                self._tick()
            except Problem as problem:
                self.log.error("the regular work failed: %s", problem.sentence)  # noqa: TRY400
            except Exception as error:  # noqa: BLE001 - raised again by `serve`
                self._broken = error
                self.close()

    def _drain(self) -> None:
        deadline = time.monotonic() + self.bounds.grace
        with self._changed:
            for connection in self._ends:
                # Who waits for a request reads its end; who is being answered still hears us.
                _hang_up(connection, socket.SHUT_RD)
            while self._ends and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)


class BoundedHandler(BaseHTTPRequestHandler):
    """One connection; a program's handler adds `do_GET`, `do_POST` and what they answer."""

    server: BoundedServer
    sys_version = ""
    protocol_version = "HTTP/1.1"

    _unread = False  # whether a body of the present request is still in the pipe
    _held = 0  # bytes of its body in memory

    def setup(self) -> None:
        """Before the first request."""
        self.request.settimeout(self.server.bounds.silence)
        super().setup()

    def handle_one_request(self) -> None:
        """One request from its first letter to its answer's last."""
        try:
            super().handle_one_request()
        finally:
            self.server.let_go(self._held)
            self._held = 0

    def parse_request(self) -> bool:
        """Read the head of a request, within its bound."""
        stream = self.rfile
        self.rfile = cast("Any", _Head(stream, self.server.bounds.head_bytes))
        try:
            parsed = super().parse_request()
        finally:
            self.rfile = stream
        if parsed:
            lengths = self.headers.get_all("Content-Length", [])
            self._unread = bool(self.headers.get_all("Transfer-Encoding")) or any(
                length.strip() != "0" for length in lengths
            )
        return parsed

    def read_body(self) -> bytes:
        """The request's body. Raises BodyRefused or ServerBusy; the rest of it is never read."""
        self._unread = True
        lengths = self.headers.get_all("Content-Length", [])
        length = lengths[0].strip() if len(lengths) == 1 else ""
        plain = length.isascii() and length.isdigit() and len(length) <= 12
        if not plain or "Transfer-Encoding" in self.headers:
            raise BodyRefused(
                "the request says no single Content-Length", remedy="send the body in one piece"
            )
        bounds, wanted = self.server.bounds, int(length)
        if wanted > bounds.body_bytes:
            raise BodyRefused(f"a body has at most {bounds.body_bytes} bytes, not {wanted}")
        deadline = time.monotonic() + bounds.body
        body = bytearray()
        while len(body) < wanted:
            chunk = self.rfile.read1(min(_CHUNK, wanted - len(body)))
            if not chunk or time.monotonic() > deadline:
                raise BodyRefused(
                    "the body ended early or came too slowly",
                    remedy="send it again over a steadier connection, or less of it at once",
                )
            self.server.hold(len(chunk))
            self._held += len(chunk)
            body += chunk
        self._unread = False
        return bytes(body)

    def answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        """Send one whole answer; piece by piece, so that a slow line is not taken for silence."""
        # What follows an unread body would be misread as the next request.
        self.close_connection = self.close_connection or self._unread
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-cache")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        for start in range(0, len(body), _CHUNK):
            self.wfile.write(body[start : start + _CHUNK])

    def told(self, status: HTTPStatus, problem: Problem) -> str:
        """The sentence that a stranger is told about `problem`.

        A failure of ours is logged; a stranger hears only that, since the sentence names files.
        """
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return problem.sentence
        self.server.log.error("%s", problem.sentence)
        return f"this server can't answer now ({problem.code}); try again later"

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base's name
        """Requests are logged without addresses, their letters escaped: a client chose them."""
        self.server.log.debug("%s", ascii(format % arguments))


class _Head:
    """The lines of one request's head, refused once they are too long together."""

    def __init__(self, stream: BufferedIOBase, limit: int) -> None:
        self._stream = stream
        self._left = limit

    def readline(self, limit: int) -> bytes:
        line = self._stream.readline(min(limit, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            # What http.server itself answers with 431.
            raise http.client.LineTooLong("head")
        return line


def _hang_up(connection: socket.socket, how: int) -> None:
    """Wake whoever waits for the connection; a closed one is fine."""
    with contextlib.suppress(OSError):
        connection.shutdown(how)
