"""Attacks on a witness's HTTP edge."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from governance.witness import server as edge
from governance.witness.memory import WitnessMemory
from governance.witness.server import WitnessServer
from governance.witness.witness import Witness
from trust.clock import ManualClock
from trust.keys import PrivateKey
from trust.log.note import LogKey

LOG = LogKey("log.example/journal", PrivateKey(bytes(32)).public)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WitnessServer]:
    monkeypatch.setattr(edge, "CONNECTION_LIFE", 0.4)
    WitnessMemory.create(tmp_path / "memory")
    memory = WitnessMemory(tmp_path / "memory")
    clock = ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
    witness = Witness("w.example", PrivateKey(bytes([1]) * 32), [LOG], memory, clock)
    serving = WitnessServer(("127.0.0.1", 0), witness)
    thread = threading.Thread(target=serving.serve)
    thread.start()
    yield serving
    serving.close()
    thread.join()
    memory.close()


def _held(server: WitnessServer, first: bytes, again: bytes) -> float:
    """How long a client holds its place who repeats `again` often enough never to be silent."""
    started = time.monotonic()
    address = server.server_address
    with socket.create_connection(("127.0.0.1", int(address[1])), timeout=5) as client:
        client.settimeout(0.05)
        with suppress(ConnectionError):
            client.sendall(first)
            while time.monotonic() - started < 5:
                with suppress(TimeoutError):
                    if not client.recv(65536):
                        break
                client.sendall(again)
    return time.monotonic() - started


def test_headers_that_never_end_do_not_hold_a_place(server: WitnessServer) -> None:
    assert _held(server, b"GET / HTTP/1.1\r\nX: ", b"a") < 3


def test_a_client_that_asks_for_ever_does_not_hold_a_place(server: WitnessServer) -> None:
    request = b"GET / HTTP/1.1\r\nHost: w\r\n\r\n"
    assert _held(server, request, request) < 3


def test_a_request_cannot_write_to_the_terminal_of_whoever_reads_the_log(
    server: WitnessServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "cadastre.governance.witness")
    address = server.server_address
    with socket.create_connection(("127.0.0.1", int(address[1])), timeout=5) as client:
        client.sendall(b"GET /\x1b[2J\r HTTP/1.1\r\nConnection: close\r\n\r\n")
        while client.recv(65536):
            pass
    assert caplog.messages
    assert not any("\x1b" in message or "\r" in message for message in caplog.messages)
