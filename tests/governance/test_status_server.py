"""The status server over real HTTP, and as the process that people start."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cadastre
from governance.bounded_http import Bounds
from governance.status.publisher import Publisher
from governance.status.registry import Registry
from governance.status.server import BOUNDS, StatusServer
from tests.governance import territory
from tests.governance.territory import ENTROPY, NAME, NOW, consent
from trust.clock import ManualClock, SystemClock
from trust.documents import signed
from trust.documents.consent import Decision
from trust.documents.governance import Status
from trust.ids import CapsuleId
from trust.keys import PrivateKey

STATUS = PrivateKey.generate(ENTROPY)
OWNER = PrivateKey.generate(ENTROPY)


@contextmanager
def serving(tmp_path: Path, bounds: Bounds = BOUNDS) -> Iterator[int]:
    clock = ManualClock(NOW)
    registry = Registry(tmp_path, NAME, ENTROPY)
    publisher = Publisher(registry, NAME, STATUS, tmp_path / "status.json", clock)
    server = StatusServer(("127.0.0.1", 0), registry, publisher, clock, bounds)
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server.server_address[1]
    server.close()
    thread.join()
    registry.close()


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with serving(tmp_path) as listening:
        yield listening


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    finally:
        connection.close()


def fetch(port: int) -> Status:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/status.json")
    raw = connection.getresponse().read()
    connection.close()
    return signed.verify(Status, raw, {STATUS.public}).document


def test_a_consent_is_in_the_status_when_its_post_is_answered(port: int) -> None:
    before = fetch(port)
    mine = CapsuleId.draw(ENTROPY)
    lines = [consent(OWNER, mine), b"nonsense"]
    status, receipt = ask(port, "POST", "/consents", b"\n".join(lines) + b"\n")
    assert status == 200
    assert (receipt["accepted"], receipt["unchanged"]) == (1, 0)
    (refused,) = receipt["refused"]
    assert (refused["index"], refused["code"]) == (1, "malformed")
    assert refused["sentence"]
    after = fetch(port)
    assert after.number > before.number
    assert sum(after.live_consents["purpose:mobility"].values()) == 1
    withdrawn = consent(OWNER, mine, serial=2, decision=Decision.REVOKE)
    assert ask(port, "POST", "/consents", withdrawn)[1]["accepted"] == 1
    assert fetch(port).live_consents == {}
    assert ask(port, "POST", "/consents", withdrawn)[1]["unchanged"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/consents", b"", 400, "body-refused"),
        ("POST", "/consents", b"x\n" * 5001, 400, "body-refused"),
        ("POST", "/status.json", b"x", 404, "not-found"),
        ("GET", "/registry.sqlite", None, 404, "not-found"),
        ("GET", "/../registry.salt", None, 404, "not-found"),
    ],
)
def test_what_is_not_a_submission_is_refused(
    port: int, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    said, problem = ask(port, method, path, body)
    assert (said, problem["code"]) == (status, code)
    assert ("remedy" in problem) == (status == 400)
    assert fetch(port).live_consents == {}


def test_a_body_that_is_announced_too_large_is_not_read(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"POST /consents HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")
        assert b"400" in client.recv(4096).split(b"\r\n")[0]


def test_a_body_that_ends_early_changes_nothing(port: int) -> None:
    line = consent(OWNER, CapsuleId.draw(ENTROPY))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        head = f"POST /consents HTTP/1.1\r\nContent-Length: {len(line) + 50}\r\n\r\n"
        client.sendall(head.encode() + line)
        client.shutdown(socket.SHUT_WR)
        assert b"400" in client.recv(4096).split(b"\r\n")[0]
    assert fetch(port).live_consents == {}


def test_a_silent_client_is_dropped(tmp_path: Path) -> None:
    with (
        serving(tmp_path, replace(BOUNDS, silence=0.2)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as client,
    ):
        client.sendall(b"POST /consents HTTP/1.1\r\n")
        assert client.recv(4096) == b""


def test_more_clients_than_slots_are_asked_to_come_back(tmp_path: Path) -> None:
    with serving(tmp_path, replace(BOUNDS, connections=1)) as port:
        address = ("127.0.0.1", port)
        with socket.create_connection(address, timeout=10) as held:
            held.sendall(b"POST /consents HTTP/1.1\r\n")  # takes the one place
            with socket.create_connection(address, timeout=10) as second:
                second.sendall(b"GET /status.json HTTP/1.1\r\n\r\n")
                assert b"503" in second.recv(4096)


# --- the process ---


class Serving:
    """`cadastre status serve` as a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [
            sys.executable, cadastre.__file__, "status", "serve", "--state", str(folder / "G"),
            "--key", str(folder / "s"), "--listen", "127.0.0.1:0",
            "--root", str(folder / "root.json"),
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(Path(cadastre.__file__).parent)}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert self.process.stderr is not None
        said = self.process.stderr.readline()
        match = re.search(r"127\.0\.0\.1:(\d+)/status", said)
        assert match, said + self.process.stderr.read()
        self.port = int(match[1])

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@pytest.mark.processes
def test_killed_it_keeps_every_answered_consent_and_never_repeats_a_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    territory.set_up(tmp_path)
    mine = CapsuleId.draw(ENTROPY)
    now = SystemClock().now()
    first = Serving(tmp_path)
    assert (
        ask(first.port, "POST", "/consents", consent(OWNER, mine, issued=now))[1]["accepted"] == 1
    )
    number = _number(first.port)
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    second = Serving(tmp_path)
    assert _number(second.port) > number
    again = ask(second.port, "POST", "/consents", consent(OWNER, mine, issued=now))[1]
    assert again["unchanged"] == 1
    _suspend(tmp_path)
    deadline = time.monotonic() + 20  # the server looks once a second
    while not _suspensions(second.port) and time.monotonic() < deadline:
        pass  # asking again is the wait
    assert _suspensions(second.port) == 1
    assert second.stop(signal.SIGTERM) == 0
    capsys.readouterr()
    assert territory.run("status", "show", "--state", tmp_path / "G", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["suspensions"], shown["live consents"]) == (1, 1)


def test_a_suspension_by_a_minority_is_refused(tmp_path: Path) -> None:
    territory.set_up(tmp_path)
    raw = _stop_file(tmp_path, "x")
    words = ("status", "suspend", "--state", tmp_path / "G", raw)
    assert territory.run(*words) == 1  # no root here yet
    assert territory.run(*words, "--root", tmp_path / "root.json") == 3


def test_a_key_that_the_root_does_not_name_may_not_serve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    territory.set_up(tmp_path)
    code = territory.run(
        "status", "serve", "--state", tmp_path / "G", "--key", tmp_path / "x",
        "--listen", "127.0.0.1:0", "--root", tmp_path / "root.json",
    )  # fmt: skip
    assert code == 1
    assert "may not sign statuses" in capsys.readouterr().err


def _stop_file(folder: Path, signers: str) -> Path:
    out = folder / f"stop-{signers}.json"
    identifier = "auth_" + "0" * 26
    assert territory.run(
        "authorisation", "suspend", identifier, "--territory", NAME, "--reason", "halt",
        "--out", out,
    ) == 0  # fmt: skip
    for name in signers:
        assert territory.run("authorisation", "sign", out, "--key", folder / name) == 0
    return out


def _suspend(folder: Path) -> None:
    raw = _stop_file(folder, "xy")
    assert territory.run("status", "suspend", "--state", folder / "G", raw) == 0


def _payload(port: int) -> dict[str, Any]:
    import base64

    _, envelope = ask(port, "GET", "/status.json")
    return dict(json.loads(base64.b64decode(str(envelope["payload"]))))


def _number(port: int) -> int:
    number = _payload(port)["number"]
    assert isinstance(number, int)
    return number


def _suspensions(port: int) -> int:
    found = _payload(port)["suspensions"]
    assert isinstance(found, list)
    return len(found)
