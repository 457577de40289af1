"""Plain HTTP: roots, the log, public evidence, health and metrics; signed or public content only.

No path of a request ever reaches the file system before it matched one of the patterns.
In production a TLS proxy stands in front; nothing here needs one for integrity.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from threading import BoundedSemaphore, Thread, Timer
from typing import Any

from prometheus_client import generate_latest
from sqlmodel import col, select

from durable.errors import DurableError
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import BlobRow
from trust.ids import Digest

# Anybody may connect: at most so many at once, each for so long, so that nobody gathers threads.
MAXIMUM_REQUESTS = 64
CONNECTION_LIFE = 300.0  # seconds; the largest object at one Mbit/s of a bad line takes as long
_TIMEOUT = 10.0  # seconds without a byte
_PROXIED = ("Forwarded", "X-Forwarded-For", "Via")
_ROOT = re.compile(r"/(?:root/|policy/root-)([1-9][0-9]{0,3})\.json")
_TILE = re.compile(
    r"/log/(checkpoint|tile/(?:[0-9]{1,2}|entries)(?:/x[0-9]{3}){0,6}/[0-9]{3}(?:\.p/[0-9]{1,3})?)"
)
_OBJECT = re.compile(r"/objects/sha256/([0-9a-f]{2})/(\1[0-9a-f]{62})")
_FOREVER = "public, max-age=31536000, immutable"
_NOW = "no-cache"


@dataclass(frozen=True)
class Page:
    """An answer."""

    data: bytes
    kind: str = "application/octet-stream"
    cache: str = _NOW
    status: HTTPStatus = HTTPStatus.OK


class Site:
    """Answers by path; `trouble()` lists what keeps the scheduler from working, as sentences."""

    def __init__(
        self, desk: Desk, roots: Sequence[bytes], trouble: Callable[[], list[str]]
    ) -> None:
        self._desk = desk
        self._roots = roots
        self._trouble = trouble

    def page(self, path: str, *, local: bool = False) -> Page | None:
        """The answer for `path`; None when there is none.

        `local` is whether this very machine asks: meters count transactions by name, and so tell
        when somebody consents or a machine works, which the log takes care to hide.
        """
        if found := _ROOT.fullmatch(path):
            version = int(found[1])
            if version <= len(self._roots):
                return Page(self._roots[version - 1], "application/json")
            return None
        if found := _TILE.fullmatch(path):
            return self._log(found[1])
        if found := _OBJECT.fullmatch(path):
            return self._object(Digest("sha256:" + found[2]))
        match path:
            case "/policy/log-policy.txt":
                return Page(self._desk.root.document.log_policy.encode(), "text/plain")
            case "/objects/index":
                return Page(self._index(), "text/plain")
            case "/healthz":
                return Page(b"alive\n", "text/plain")
            case "/readyz":
                return self._ready()
            case "/metrics" if local:
                data = generate_latest(self._desk.meters.registry)
                return Page(data, "text/plain; version=0.0.4")
        return None

    def _log(self, path: str) -> Page | None:
        try:
            data = self._desk.log.fetch(path)
        except LookupError:
            return None
        cache = _NOW if path == "checkpoint" else _FOREVER
        return Page(
            data, "text/plain" if path == "checkpoint" else "application/octet-stream", cache
        )

    def _object(self, digest: Digest) -> Page | None:
        def public(tx: Transaction) -> bool:
            row = tx.session.get(BlobRow, str(digest))
            return row is not None and row.public

        if not self._desk.store.read("is-public", public):
            return None
        try:
            return Page(self._desk.blobs.get(digest), cache=_FOREVER)
        except DurableError:
            return None

    def _index(self) -> bytes:
        """Every public object, for who copies the evidence: statements are named nowhere else."""

        def public(tx: Transaction) -> list[str]:
            query = select(BlobRow.digest).where(col(BlobRow.public).is_(True))
            return list(tx.session.exec(query.order_by(BlobRow.digest)))

        return "".join(f"{digest}\n" for digest in self._desk.store.read("index", public)).encode()

    def _ready(self) -> Page:
        trouble = self._trouble()
        status = HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK
        text = "".join(f"{line}\n" for line in trouble) or "ready\n"
        return Page(text.encode(), "text/plain", status=status)


class SiteServer:
    """`site` on an address, in threads of its own."""

    def __init__(self, site: Site, host: str, port: int) -> None:
        self._server = _BoundedServer((host, port), _handler(site))
        self._thread = Thread(target=self._server.serve_forever, name="site", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _BoundedServer(ThreadingHTTPServer):
    """A thread per connection while there are places; who comes later is asked to come back."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._places = BoundedSemaphore(MAXIMUM_REQUESTS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            with contextlib.suppress(OSError):
                request.settimeout(0)  # a fresh connection's buffer takes this much at once
                request.sendall(
                    b"HTTP/1.1 503 Service Unavailable\r\n"
                    b"Retry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        # A timeout between bytes alone would let a client hold its place by dripping.
        end = Timer(CONNECTION_LIFE, _hang_up, (request,))
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not an error of ours."""
        del request, client_address


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "cadastre"
        sys_version = ""
        timeout = _TIMEOUT

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Who reads a public file is nobody's business: requests are not logged."""

        def _answer(self, *, with_body: bool) -> None:
            direct = not any(name in self.headers for name in _PROXIED)
            local = direct and ip_address(self.client_address[0]).is_loopback
            page = site.page(self.path, local=local)
            if page is None:
                page = Page(b"not found\n", "text/plain", status=HTTPStatus.NOT_FOUND)
            self.send_response(page.status)
            self.send_header("Content-Type", page.kind)
            self.send_header("Content-Length", str(len(page.data)))
            self.send_header("Cache-Control", page.cache)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            if with_body:
                self.wfile.write(page.data)

    return Handler
