"""Connections that say nothing, say it slowly, or never listen: over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from web.patience import Patience, half_of_files
from web.serving import WebServer

WAIT = 10.0  # seconds after which a test has failed
SHORT = 0.3  # of patience
HEAD = b"POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PART, LARGE = 64 * 1024, 32 * 1024 * 1024  # bytes: more than two sockets' buffers hold


class App:
    """Reads a form, waits longer than anybody's patience, or says a great deal."""

    def __init__(self) -> None:
        self.left = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        answer: Response = PlainTextResponse("done")
        if scope["path"] == "/form":
            try:
                await Request(scope, receive).body()
            except ClientDisconnect:
                self.left.set()
                return
        elif scope["path"] == "/long":
            later = asyncio.Event()
            asyncio.get_running_loop().call_later(3 * SHORT, later.set)
            await later.wait()
        elif scope["path"] == "/large":
            answer = StreamingResponse(bytes(PART) for _ in range(LARGE // PART))
        try:
            await answer(scope, receive, send)
        finally:
            self.left.set()


@contextmanager
def serving(patience: Patience) -> Iterator[tuple[App, Callable[[], socket.socket]]]:
    app = App()
    server = WebServer(app, "127.0.0.1", 0, patience=patience)
    server.start()
    try:
        yield app, lambda: socket.create_connection(("127.0.0.1", server.port), WAIT)
    finally:
        server.stop()


def rest(line: socket.socket) -> bytes:
    """All that comes until the other side closes; that it is reset is an end, too."""
    found = b""
    with line, contextlib.suppress(ConnectionError):
        while part := line.recv(65536):
            found += part
    return found


@pytest.mark.parametrize(
    "said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX: y", HEAD, HEAD + b"csrf="]
)
def test_who_does_not_finish_a_request_is_hung_up_on(said: bytes) -> None:
    with serving(Patience(request=SHORT)) as (app, connect):
        line = connect()
        line.sendall(said)
        assert rest(line) == b""
        assert not said.startswith(HEAD) or app.left.wait(WAIT)


def test_who_begins_a_second_request_is_not_waited_for_longer() -> None:
    with serving(Patience(request=SHORT)) as (_, connect):
        line = connect()
        line.sendall(WHOLE)
        assert line.recv(65536).startswith(b"HTTP/1.1 200")
        line.sendall(b"GET / HT")
        assert b"HTTP" not in rest(line)


def test_an_answer_may_take_as_long_as_it_takes() -> None:
    with serving(Patience(request=SHORT)) as (_, connect):
        line = connect()
        line.sendall(WHOLE.replace(b"/ ", b"/long "))
        assert line.recv(65536).startswith(b"HTTP/1.1 200")
        line.close()


def test_who_does_not_read_an_answer_is_hung_up_on() -> None:
    with serving(Patience(answer=SHORT)) as (app, connect):
        line = connect()
        line.sendall(WHOLE.replace(b"/ ", b"/large "))
        assert app.left.wait(WAIT)
        line.close()


def test_there_are_so_many_connections_and_no_more() -> None:
    with serving(Patience(connections=3)) as (_, connect):
        held = [connect() for _ in range(3)]
        for line in held:
            line.sendall(b"GET / HT")
        assert rest(connect()) == b""
        held[0].sendall(WHOLE[8:])
        assert held[0].recv(65536).startswith(b"HTTP/1.1 200")
        for line in held:
            line.close()


def test_pages_leave_files_to_the_rest_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, most in ((1024, 512), (1, 1), (resource.RLIM_INFINITY, 10_000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert half_of_files() == most
