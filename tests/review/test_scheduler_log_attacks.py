"""Attacks on the log's writer by its witnesses and by those who fetch its files."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scheduler.log.cosigners import HttpCosigner
from scheduler.log.errors import CosignerUnavailable
from scheduler.log.writer import LogWriter
from trust.clock import ManualClock
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint
from trust.log.cosignature import CosignerKey, cosign
from trust.log.entry import Kind, LogEntry
from trust.log.note import SIGNATURES_LIMIT, Note

KEY = PrivateKey(bytes(32))
WITNESS_KEY = PrivateKey(bytes([7]) * 32)
WITNESS = CosignerKey("witness.example", WITNESS_KEY.public)
ORIGIN = "log.example/journal"
ENTRY = LogEntry.of(Kind.PLAN, b"").emit()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


class Talkative:
    """A witness that cosigns as often as a note has room."""

    key = WITNESS

    def cosign(self, old_size: int, consistency: Sequence[bytes], note: bytes) -> bytes:
        text = Note.parse(note).text
        lines = [
            cosign(text, WITNESS.name, WITNESS_KEY, 1 + n).emit() for n in range(SIGNATURES_LIMIT)
        ]
        return "".join(lines).encode()


def test_a_talkative_witness_cannot_make_the_log_unreadable(
    tmp_path: Path, clock: ManualClock
) -> None:
    LogWriter.create(tmp_path / "log", KEY, ORIGIN, clock)
    log = LogWriter.open(tmp_path / "log", KEY, ORIGIN, clock, [Talkative()])
    log.append([ENTRY])
    log.close()
    published = (tmp_path / "log" / "public" / "checkpoint").read_bytes()
    assert len(Note.parse(published).signatures) == 2
    # 65 lines would also have kept the log itself from ever opening again.
    LogWriter.open(tmp_path / "log", KEY, ORIGIN, clock, [Talkative()]).close()


@pytest.mark.parametrize(
    "path", ["../state", "../lock", "/etc/hostname", "tile/../../state", "", ".", "tile/0/000.p/0"]
)
def test_only_the_log_itself_is_fetched(tmp_path: Path, clock: ManualClock, path: str) -> None:
    LogWriter.create(tmp_path / "log", KEY, ORIGIN, clock)
    log = LogWriter.open(tmp_path / "log", KEY, ORIGIN, clock)
    try:
        with pytest.raises(LookupError):
            log.fetch(path)
        assert Checkpoint.parse(Note.parse(log.fetch("checkpoint")).text).size == 0
    finally:
        log.close()


@contextmanager
def _dripping(first: bytes) -> Iterator[str]:
    """A witness that answers `first`, then a letter again and again, and never ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(first)
                while not over.wait(0.05):
                    connection.sendall(b"a")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.close()
        thread.join()


@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Endless: ",
        b"HTTP/1.1 409 Conflict\r\nContent-Type: text/x.tlog.size\r\nContent-Length: 99999\r\n\r\n",
    ],
)
def test_a_dripping_witness_does_not_hold_the_log_up(first: bytes) -> None:
    with _dripping(first) as url:
        cosigner = HttpCosigner(WITNESS, url, timeout=0.3)
        started = time.monotonic()
        with pytest.raises(CosignerUnavailable):
            cosigner.cosign(0, (), b"")
        with pytest.raises(CosignerUnavailable):  # and does not gather threads
            cosigner.cosign(0, (), b"")
        assert time.monotonic() - started < 2
