"""The writer and a witness as they really meet: over HTTP, with the witness coming and going."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from governance.witness.memory import WitnessMemory
from governance.witness.server import WitnessServer
from governance.witness.witness import Witness
from scheduler.log.cosigners import HttpCosigner, cosigners_of
from scheduler.log.errors import CosignerRefused, CosignerUnavailable
from scheduler.log.writer import LogWriter
from trust.clock import ManualClock
from trust.errors import LogRefused, Malformed
from trust.keys import PrivateKey
from trust.log.cosignature import CosignerKey
from trust.log.note import LogKey
from trust.log.policy import Policy
from trust.log.proof import verify_proof
from trust.log.replay import check_log

ORIGIN = "log.example/journal"
KEY = PrivateKey(bytes(32))
LOG = LogKey(ORIGIN, KEY.public)
WITNESS_KEY = PrivateKey(bytes([1]) * 32)
WITNESS = CosignerKey("witness.example", WITNESS_KEY.public)
POLICY = Policy.parse(f"log {LOG}\nwitness w {WITNESS}\nquorum w\n".encode())


@contextmanager
def _serving(directory: Path, clock: ManualClock, port: int = 0) -> Iterator[WitnessServer]:
    memory = WitnessMemory(directory)
    witness = Witness("witness.example", WITNESS_KEY, [LOG], memory, clock)
    server = WitnessServer(("127.0.0.1", port), witness)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(10)
        memory.close()


def test_a_witness_that_restarts_cosigns_on(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
    WitnessMemory.create(tmp_path / "witness")
    LogWriter.create(tmp_path / "log", KEY, ORIGIN, clock)
    with _serving(tmp_path / "witness", clock) as server:
        port = server.server_port
        log = LogWriter.open(
            tmp_path / "log", KEY, ORIGIN, clock, [HttpCosigner(WITNESS, server.url)]
        )
        log.append([b"one\n"])
        log.append([b"two\n", b"three\n"])
        earlier = check_log(log.fetch, POLICY).checkpoint
    assert log.append([b"four\n"]) == [3]
    assert "could not be reached" in str(log.waiting()[0])
    with pytest.raises(LogRefused, match="no cosignature of w"):
        check_log(log.fetch, POLICY)
    with _serving(tmp_path / "witness", clock, port):
        log.tick()
        assert log.waiting() == ()
        assert check_log(log.fetch, POLICY, earlier).entries[3] == b"four\n"
        verify_proof(log.prove(3), b"four\n", POLICY)
    log.close()


def test_a_witness_refuses_the_second_face_of_a_log(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
    WitnessMemory.create(tmp_path / "witness")
    with _serving(tmp_path / "witness", clock) as server:
        for face, entries in (("a", [b"1", b"2"]), ("b", [b"1", b"x", b"y"])):
            LogWriter.create(tmp_path / face, KEY, ORIGIN, clock)
            log = LogWriter.open(
                tmp_path / face, KEY, ORIGIN, clock, [HttpCosigner(WITNESS, server.url)]
            )
            log.append(entries)
            if face == "a":
                POLICY.verify(log.checkpoint())
            else:
                assert "answered 422" in str(log.waiting()[0])
                with pytest.raises(LogRefused):
                    POLICY.verify(log.checkpoint())
            log.close()


@contextmanager
def _answering(status: int, headers: dict[str, str], body: bytes) -> Iterator[str]:
    """A server that gives every POST one answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.mark.parametrize(
    ("status", "headers", "body", "refusal"),
    [
        (404, {}, b"", CosignerRefused),
        (403, {}, b"", CosignerRefused),
        (302, {"Location": "http://127.0.0.1:1/"}, b"", CosignerUnavailable),
        (500, {}, b"", CosignerUnavailable),
        (409, {"Content-Type": "text/plain"}, b"7\n", CosignerRefused),
        (409, {"Content-Type": "text/x.tlog.size"}, b"seven\n", CosignerUnavailable),
    ],
)
def test_answers_outside_the_protocol_are_reasons_to_wait(
    status: int, headers: dict[str, str], body: bytes, refusal: type[Exception]
) -> None:
    with (
        _answering(status, headers, body) as url,
        pytest.raises(refusal, match=r"witness\.example"),
    ):
        HttpCosigner(WITNESS, url).cosign(0, [], b"note")


def test_a_witness_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cosigner = HttpCosigner(WITNESS, f"http://127.0.0.1:{silent.getsockname()[1]}", 0.05)
        with pytest.raises(CosignerUnavailable, match="timed out"):
            cosigner.cosign(0, [], b"note")


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://w", "http://", "w.example"])
def test_addresses_that_are_no_witness_are_refused(url: str) -> None:
    with pytest.raises(Malformed, match="not the address of a witness"):
        HttpCosigner(WITNESS, url)


def test_the_witnesses_of_a_policy_that_have_an_address_are_asked() -> None:
    other = CosignerKey("other.example", PrivateKey(bytes([2]) * 32).public)
    text = f"log {LOG}\nwitness w {WITNESS} http://w.example/x\nwitness o {other}\nquorum w\n"
    assert [cosigner.key for cosigner in cosigners_of(Policy.parse(text.encode()))] == [WITNESS]
