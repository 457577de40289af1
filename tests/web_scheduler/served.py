"""A territory's pages on a real port, for tests that bring a browser or a client of their own."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from tests.web_scheduler.territory import Grid
from web.serving import WebServer


class Door:
    """Stands on the port before the application that has to know it."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def serve(grid: Grid, port: int = 0) -> WebServer:
    """The pages of `grid`, from now on at `grid.origin`."""
    door = Door()
    server = WebServer(door, "127.0.0.1", port, closing=grid.end_live)
    grid.open(f"http://127.0.0.1:{server.port}")
    door.app = grid.app
    server.start()
    return server
