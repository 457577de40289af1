"""A server of an ASGI application in a thread of its own, shaped like the other servers here."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from threading import Event, Thread

import uvicorn
from starlette.types import ASGIApp

from web.patience import Patience

# Live streams never end by themselves: who stops a server closes them, and waits so long at most.
_LAST_SECONDS = 3
_BACKLOG = 512


class WebServer:
    """`app` on an address; `closing` ends its live streams, so that stopping takes no time.

    Behind a TLS proxy that says so by `proxies` ("127.0.0.1"), the proxy's word about the client's
    address and scheme is taken; nobody else's is.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        closing: Callable[[], None] = lambda: None,
        proxies: str = "",
        patience: Patience = Patience(),  # noqa: B008 - frozen
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        self._server = _Ours(
            uvicorn.Config(
                app,
                http=patience.protocol(),
                ws="none",  # nothing here answers to it
                log_config=None,
                access_log=False,  # who reads which page is nobody's business
                server_header=False,
                proxy_headers=bool(proxies),
                forwarded_allow_ips=proxies or None,
                timeout_graceful_shutdown=_LAST_SECONDS,
                h11_max_incomplete_event_size=16 * 1024,
            )
        )
        self._closing = closing
        self._thread = Thread(target=self._run, name="web", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Answer from now on; returns when it does. Raises RuntimeError when it can't."""
        self._thread.start()
        while not self._server.answering.wait(0.1):
            if not self._thread.is_alive():
                raise RuntimeError("the web server ended while it started; see its log")

    def stop(self) -> None:
        """Answer no more."""
        self._closing()
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))


class _Ours(uvicorn.Server):
    """Signals belong to the program, not to one of its threads; and it says when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answering = Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.answering.set()
