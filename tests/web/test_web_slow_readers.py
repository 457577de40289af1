"""Readers that never read, over real sockets: they hold up nobody, and hold one frame each."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from fastapi import APIRouter, Request, Response

from tests.web.sample import surface
from trust.clock import ManualClock
from web.application import application
from web.live.broadcast import Broadcast
from web.serving import WebServer

DEAF = 20
TURNS = 40
FRAME_BYTES = 200_000
# What may wait for one reader: a frame that is on its way, uvicorn's own buffer (64 KiB), and
# the one newest frame that comes after.
MOST_WAITING = 2 * FRAME_BYTES + 128 * 1024
WAIT = 30.0


class Served:
    """A server whose live part renders a new large fragment at each turn that the test gives."""

    def __init__(self) -> None:
        self.turn = 0
        self._turns: asyncio.Queue[None] = asyncio.Queue()
        clock = ManualClock(surface.START)
        kit = surface.kit(clock)
        self.broadcast = Broadcast(self._render, clock, pace=self._pace)
        router = APIRouter()

        @router.get("/live/large")
        def follow(request: Request) -> Response:
            return self.broadcast.stream(request)

        app = application(kit, title="x", routers=[router])
        self.server = WebServer(app, "127.0.0.1", 0, closing=self.broadcast.close)
        self.server.start()

    def next(self) -> None:
        """Let the broadcast take its next turn."""
        self.turn += 1
        loop = self.broadcast._loop
        assert loop is not None
        loop.call_soon_threadsafe(self._turns.put_nowait, None)

    def connect(self, buffer: int = 0) -> socket.socket:
        """Somebody who asked for the stream; a small `buffer` fills up at once."""
        line = socket.socket()
        if buffer:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        line.settimeout(WAIT)
        line.connect(("127.0.0.1", self.server.port))
        line.sendall(b"GET /live/large HTTP/1.1\r\nHost: x\r\n\r\n")
        return line

    def waiting(self) -> list[int]:
        """Bytes that wait in the server for each connection, the largest first."""
        found: list[int] = []
        done = threading.Event()

        def look() -> None:
            connections = self.server._server.server_state.connections
            in_transport = [one.transport.get_write_buffer_size() for one in connections]  # type: ignore[union-attr]
            pending = [
                len(reader._pending or b"")
                for channel in self.broadcast._channels.values()
                for reader in channel.readers
            ]
            sizes = itertools.zip_longest(
                sorted(in_transport, reverse=True), sorted(pending, reverse=True), fillvalue=0
            )
            found.extend(a + b for a, b in sizes)
            done.set()

        loop = self.broadcast._loop
        assert loop is not None
        loop.call_soon_threadsafe(look)
        assert done.wait(WAIT)
        return found

    def _render(self, key: str, language: str) -> str:
        return f"<p>turn {self.turn}</p>" + "x" * FRAME_BYTES

    async def _pace(self, seconds: float) -> None:
        await self._turns.get()


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.server.stop()


def read_until(line: socket.socket, mark: bytes) -> None:
    """Read on until `mark` has come. Raises TimeoutError."""
    tail = b""
    while mark not in tail:
        data = line.recv(1 << 16)
        assert data, "the stream ended"
        tail = tail[-len(mark) :] + data


def test_deaf_readers_hold_up_nobody_and_no_memory(served: Served) -> None:
    with ExitStack() as lines:
        quick = lines.enter_context(closing(served.connect()))
        read_until(quick, b"turn 0")
        for _ in range(DEAF):
            lines.enter_context(closing(served.connect(buffer=4096)))
        # In the order of connecting: who is told the next turn came after all of them.
        last = lines.enter_context(closing(served.connect()))
        read_until(last, b"turn 0")
        for turn in range(1, TURNS + 1):
            served.next()
            # Each turn reaches who reads, while twenty do not: within a second each, not at last.
            read_until(quick, b"<p>turn %d<" % turn)
            read_until(last, b"<p>turn %d<" % turn)
        assert served.broadcast.readers == DEAF + 2
        waiting = served.waiting()
        assert max(waiting) <= MOST_WAITING, waiting
        # Without bounds each of them would hold forty frames by now.
        assert sum(waiting) < DEAF * TURNS * FRAME_BYTES / 4


def test_who_goes_away_in_the_middle_of_a_frame_is_forgotten(served: Served) -> None:
    with closing(served.connect()) as quick:
        read_until(quick, b"turn 0")
        for _ in range(DEAF):
            served.connect(buffer=4096).close()
        turn = 0
        while served.broadcast.readers > 1 and turn < TURNS:
            turn += 1
            served.next()
            read_until(quick, b"<p>turn %d<" % turn)
        assert served.broadcast.readers == 1
