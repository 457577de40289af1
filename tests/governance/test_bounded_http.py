"""The HTTP server that witness and status share: what one stranger may take of either.

Every attack runs on both programs, since each brings its own handler and its own bounds.
"""

from __future__ import annotations

import http.client
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from governance.bounded_http import BoundedHandler, BoundedServer, Bounds
from governance.status import server as status
from governance.status.publisher import Publisher
from governance.status.registry import Registry
from governance.witness import server as witness
from governance.witness.memory import WitnessMemory
from governance.witness.witness import Witness
from tests.governance.territory import ENTROPY, NAME
from trust.clock import ManualClock
from trust.keys import PrivateKey
from trust.log.note import LogKey
from trust.problem import Kind, Problem

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = PrivateKey(bytes([1]) * 32)


class Edge:
    """One of the two programs, with bounds a test chooses."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        self.target = {"witness": "/add-checkpoint", "status": "/consents"}[name]

    @contextmanager
    def serving(self, **bounds: float) -> Iterator[BoundedServer]:
        clock = ManualClock(NOW)
        with ExitStack() as held:
            server: BoundedServer
            if self.name == "witness":
                WitnessMemory.create(self._folder / "memory")
                memory = WitnessMemory(self._folder / "memory")
                held.callback(memory.close)
                log = LogKey("log.example/journal", PrivateKey(bytes(32)).public)
                party = Witness("w.example", KEY, [log], memory, clock)
                chosen = replace(witness.BOUNDS, **bounds)  # type: ignore[arg-type]
                server = witness.WitnessServer(("127.0.0.1", 0), party, chosen)
            else:
                registry = Registry(self._folder, NAME, ENTROPY)
                held.callback(registry.close)
                path = self._folder / "status.json"
                publisher = Publisher(registry, NAME, KEY, path, clock)
                chosen = replace(status.BOUNDS, **bounds)  # type: ignore[arg-type]
                server = status.StatusServer(("127.0.0.1", 0), registry, publisher, clock, chosen)
            thread = threading.Thread(target=server.serve)
            thread.start()
            held.callback(thread.join)
            held.callback(server.close)
            yield server


@pytest.fixture(params=["witness", "status"])
def edge(request: pytest.FixtureRequest, tmp_path: Path) -> Edge:
    return Edge(request.param, tmp_path)


def connect(server: BoundedServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server_port), timeout=10)


def said(server: BoundedServer, *pieces: bytes) -> bytes:
    """Everything answered to `pieces` until the server hangs up."""
    with connect(server) as line:
        answer = b""
        with suppress(ConnectionError):
            for piece in pieces:
                line.sendall(piece)
            while part := line.recv(65536):
                answer += part
        return answer


def held(server: BoundedServer, first: bytes, again: bytes) -> float:
    """How long a client keeps a place who says `again` often enough never to be silent."""
    started = time.monotonic()
    with connect(server) as client:
        client.settimeout(0.05)
        with suppress(ConnectionError):
            client.sendall(first)
            while time.monotonic() - started < 5:
                with suppress(TimeoutError):
                    if not client.recv(65536):
                        break
                client.sendall(again)
    return time.monotonic() - started


def test_headers_that_never_end_do_not_hold_a_place(edge: Edge) -> None:
    with edge.serving(life=0.4) as server:
        assert held(server, b"GET / HTTP/1.1\r\nX: ", b"a") < 3


def test_a_body_that_drips_does_not_hold_a_place(edge: Edge) -> None:
    with edge.serving(life=0.4) as server:
        head = f"POST {edge.target} HTTP/1.1\r\nContent-Length: 5000\r\n\r\n".encode()
        assert held(server, head, b"a") < 3


def test_a_body_that_drips_is_refused_before_the_connection_ends(edge: Edge) -> None:
    with edge.serving(body=0.3) as server:
        head = f"POST {edge.target} HTTP/1.1\r\nContent-Length: 5000\r\n\r\n".encode()
        assert held(server, head, b"a") < 3


def test_a_client_that_asks_for_ever_does_not_hold_a_place(edge: Edge) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: w\r\n\r\n" * 3
    with edge.serving(life=0.4) as server:
        assert held(server, request, request) < 3


def test_every_edge_says_that_it_is_alive(edge: Edge) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n"
    with edge.serving() as server:
        answer = said(server, request)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"ok" in answer.partition(b"\r\n\r\n")[2]


def test_a_silent_client_is_dropped_at_once(edge: Edge) -> None:
    with edge.serving(silence=0.2) as server:
        assert said(server, b"GET /x HTTP/1.1\r\n") == b""


def test_places_are_given_back_whatever_the_clients_did(edge: Edge) -> None:
    with edge.serving(connections=2, silence=0.5) as server:
        for words in (
            b"",
            b"\r\n" * 9,
            b"GET /x HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01",
        ) * 3:
            with connect(server) as line:
                line.sendall(words)
        deadline = time.monotonic() + 5
        answer = b""
        while b" 404 " not in answer and time.monotonic() < deadline:
            answer = said(server, b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert b" 404 " in answer


def test_a_flood_is_asked_to_come_back_and_told_that_the_line_closes(edge: Edge) -> None:
    with edge.serving(connections=3) as server, ExitStack() as crowd:
        for _ in range(3):
            crowd.enter_context(connect(server)).sendall(b"GET /x HTTP/1.1\r\n")
        for _ in range(20):
            with connect(server) as line:
                answer = line.recv(4096)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 1" in answer
            assert b"Connection: close" in answer


def test_a_giant_body_is_refused_unread(edge: Edge) -> None:
    with edge.serving() as server:
        for length in (str(server.bounds.body_bytes + 1), "9" * 12, "9" * 400, "-1", "1e3", "+5"):
            head = f"POST {edge.target} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n"
            answer = said(server, head.encode())
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert b"Connection: close" in answer


def test_bodies_together_are_bounded_and_what_they_held_is_given_back(edge: Edge) -> None:
    """64 bodies of 8 MB each were a gigabyte and a half, copies included."""
    head = f"POST {edge.target} HTTP/1.1\r\nContent-Length: 3000\r\n\r\n".encode()
    with edge.serving(held_bytes=4000) as server:
        with connect(server) as first:
            first.sendall(head + b"a" * 2900)
            deadline = time.monotonic() + 5
            while server._held < 2900 and time.monotonic() < deadline:
                pass  # until it has arrived
            answer = said(server, head + b"b" * 3000)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"server-busy" in answer
            first.sendall(b"a" * 100)
            assert first.recv(4096)
        deadline = time.monotonic() + 5
        while server._held and time.monotonic() < deadline:
            pass
        assert server._held == 0
        last = head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"c" * 3000
        assert b" 503 " not in said(server, last)


def test_giant_heads_are_refused(edge: Edge) -> None:
    """http.server takes a hundred headers of 64 KiB each: 6 MB a place."""
    with edge.serving(head_bytes=4096) as server:
        lines = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 900) for number in range(20))
        answer = said(server, b"GET /x HTTP/1.1\r\n" + lines + b"\r\n")
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 44\r\nContent-Length: 0",
        "Content-Length: 44\r\nContent-Length: 44",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 44",
        "X: y",
    ],
)
def test_a_body_of_doubtful_length_is_refused_and_ends_the_connection(
    edge: Edge, headers: str
) -> None:
    with edge.serving() as server:
        inner = b"GET /smuggled HTTP/1.1\r\nConnection: close\r\n\r\n"
        answer = said(server, f"POST {edge.target} HTTP/1.1\r\n{headers}\r\n\r\n".encode(), inner)
        assert answer.count(b"HTTP/1.1 ") <= 1
        if headers != "X: y":
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


def test_the_body_of_a_get_is_never_read_as_a_request(edge: Edge) -> None:
    """Behind a proxy that shares its connections, the answer would go to another client."""
    inner = b"GET /smuggled HTTP/1.1\r\nConnection: close\r\n\r\n"
    with edge.serving() as server:
        for method in ("GET", "HEAD", "POST"):
            head = f"{method} /x HTTP/1.1\r\nContent-Length: {len(inner)}\r\n\r\n"
            answer = said(server, head.encode(), inner)
            assert answer.count(b"HTTP/1.1 ") == 1


def test_a_request_cannot_write_to_the_terminal_of_whoever_reads_the_log(
    edge: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    with edge.serving() as server:
        caplog.set_level(logging.DEBUG, server.log.name)
        said(server, b"GET /\x1b[2J\r HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert caplog.messages
    assert not any("\x1b" in message or "\r" in message for message in caplog.messages)


def test_no_address_of_a_client_is_logged(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    with edge.serving() as server:
        caplog.set_level(logging.DEBUG)
        said(server, b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n")
        said(server, b"nonsense\r\n\r\n")
    assert not any("127.0.0.1" in message for message in caplog.messages)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "<b>"])
def test_other_methods_are_refused(edge: Edge, method: str) -> None:
    with edge.serving() as server:
        answer = said(server, f"{method} /x HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
        assert b" 501 " in answer.split(b"\r\n")[0]
        assert b"<b>" not in answer.split(b"\r\n\r\n")[-1]


# --- the server itself, with a handler of its own ---


class _Slow(BoundedHandler):
    reached = threading.Event()
    leave = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/wait":
            self.reached.set()
            self.leave.wait(10)
        self.answer(http.HTTPStatus.OK, b"x" * 3_000_000, "text/plain")


class _Broken(Problem):
    """Something that passes."""

    code = "broken"
    kind = Kind.UNAVAILABLE


def bounded(
    bounds: Bounds, tick: Callable[[], object] | None = None
) -> tuple[BoundedServer, threading.Thread, list[BaseException]]:
    _Slow.reached, _Slow.leave = threading.Event(), threading.Event()
    log = logging.getLogger("tests.bounded")
    server = BoundedServer(("127.0.0.1", 0), _Slow, bounds, log=log, tick=tick, interval=0.01)
    raised: list[BaseException] = []

    def serve() -> None:
        try:
            server.serve()
        except ValueError as error:
            raised.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    return server, thread, raised


def test_a_stop_answers_who_was_being_answered_and_ends_who_was_silent() -> None:
    server, thread, _ = bounded(Bounds(connections=4, body_bytes=10, held_bytes=10))
    with connect(server) as silent, connect(server) as asking:
        asking.sendall(b"GET /wait HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert _Slow.reached.wait(10)
        server.close()
        assert silent.recv(10) == b""  # although the other still waits
        _Slow.leave.set()
        answer = b""
        while part := asking.recv(1 << 20):
            answer += part
    thread.join(10)
    assert not thread.is_alive()
    assert answer.endswith(b"x" * 1000)


def test_a_stop_waits_for_nobody_longer_than_its_grace() -> None:
    server, thread, _ = bounded(Bounds(connections=4, body_bytes=10, held_bytes=10, grace=0.1))
    with connect(server) as asking:
        asking.sendall(b"GET /wait HTTP/1.1\r\n\r\n")
        assert _Slow.reached.wait(10)
        server.close()
        thread.join(5)
        assert not thread.is_alive()
        _Slow.leave.set()


def test_a_slow_reader_is_bounded_by_the_life_not_by_the_silence() -> None:
    """An answer sent in one piece had ten seconds in all: a slow line never got a status."""
    server, thread, _ = bounded(Bounds(connections=4, body_bytes=10, held_bytes=10, silence=0.4))
    with connect(server) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        reader.sendall(b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n")
        total, started = 0, time.monotonic()
        while part := reader.recv(1 << 15):
            total += len(part)
            pause = threading.Event()
            pause.wait(0.012)  # about 2.7 MB a second: the whole takes over the silence allowed
        took = time.monotonic() - started
    server.close()
    thread.join()
    assert total > 3_000_000
    assert took > 0.6


def test_a_problem_in_the_regular_work_is_logged_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    often = threading.Semaphore(0)

    def tick() -> None:
        often.release()
        raise _Broken("the disk is full")

    server, thread, raised = bounded(Bounds(connections=1, body_bytes=1, held_bytes=1), tick)
    assert all(often.acquire(timeout=10) for _ in range(3))
    server.close()
    thread.join(10)
    assert raised == []
    assert "the disk is full" in caplog.text


def test_a_defect_in_the_regular_work_stops_the_server_with_its_error() -> None:
    """The thread once died alone: the server went on, and its status grew stale in silence."""

    def tick() -> None:
        raise ValueError("a defect")

    _, thread, raised = bounded(Bounds(connections=1, body_bytes=1, held_bytes=1), tick)
    thread.join(10)
    assert not thread.is_alive()
    assert [str(error) for error in raised] == ["a defect"]
