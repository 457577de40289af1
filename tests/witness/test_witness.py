"""The witness: every status of the protocol, split views, rollbacks, restarts, races."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable.errors import StorageFailed
from governance.witness.errors import (
    ClockRefused,
    Inconsistent,
    MemoryRefused,
    OriginUnknown,
    RequestMalformed,
    SignatureRefused,
    SizeConflict,
    WitnessError,
)
from governance.witness.memory import WitnessMemory
from governance.witness.request import REQUEST_LIMIT, AddCheckpoint
from governance.witness.server import WitnessServer, serve
from governance.witness.witness import Memory, Witness
from trust.clock import ManualClock
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint, open_checkpoint
from trust.log.lines import emit_base64
from trust.log.note import LogKey, Note, parse_signatures, sign_note, verify_note
from trust.log.tree import EMPTY_ROOT, Tree, leaf_hash, verify_consistency

ORIGIN = "log.example/journal"
KEY = PrivateKey(bytes(32))
LOG = LogKey(ORIGIN, KEY.public)
WITNESS_KEY = PrivateKey(bytes([1]) * 32)
STRANGER = PrivateKey(bytes([2]) * 32)
TREE = Tree(leaf_hash(bytes([n])) for n in range(200))
# The other face of the same log: it differs from entry 5 on.
FORK = Tree(leaf_hash(bytes([n if n < 5 else 255 - n])) for n in range(200))


def _note(size: int, tree: Tree = TREE, origin: str = ORIGIN, key: PrivateKey = KEY) -> bytes:
    return Checkpoint(origin, size, tree.root(size)).signed(key).emit()


def _body(old: int, note: bytes, proof: list[bytes]) -> bytes:
    lines = [f"old {old}\n", *(f"{emit_base64(step)}\n" for step in proof), "\n"]
    return "".join(lines).encode() + note


def _request(old: int, new: int, tree: Tree = TREE) -> bytes:
    return _body(old, _note(new, tree), tree.consistency(old, new))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    WitnessMemory.create(tmp_path / "memory")
    return tmp_path / "memory"


@pytest.fixture
def witness(directory: Path, clock: ManualClock) -> Iterator[Witness]:
    memory = WitnessMemory(directory)
    yield _witness(memory, clock)
    memory.close()


def _witness(memory: Memory, clock: ManualClock) -> Witness:
    return Witness("witness.example", WITNESS_KEY, [LOG], memory, clock)


def _check(witness: Witness, lines: bytes, size: int) -> int:
    """The time of a valid cosignature of the first `size` entries."""
    note = Note.parse(_note(size)).with_signatures(parse_signatures(lines)).emit()
    return open_checkpoint(note, [LOG], [witness.key]).cosigned[witness.key]


def _known(witness: Witness) -> Checkpoint:
    return Checkpoint.parse(Note.parse(witness.latest(_hash(ORIGIN))).text)


def _hash(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()


def test_a_growing_log_is_cosigned_with_the_time(witness: Witness, clock: ManualClock) -> None:
    old = 0
    for new in (0, 0, 1, 5, 5, 64, 200):
        clock.advance(10)
        lines = witness.add_checkpoint(_request(old, new))
        assert _check(witness, lines, new) == int(clock.now().timestamp())
        assert _known(witness) == Checkpoint(ORIGIN, new, TREE.root(new))
        old = new


def test_the_remembered_note_carries_both_verified_signatures_and_no_other(
    witness: Witness,
) -> None:
    note = Note.parse(_note(3))
    junk = sign_note(note.text, "advertisement.example", STRANGER)
    witness.add_checkpoint(_body(0, note.with_signatures([junk]).emit(), []))
    kept = Note.parse(witness.latest(_hash(ORIGIN)))
    assert len(kept.signatures) == 2
    assert len(verify_note(kept, [LOG, witness.key])) == 2


def test_a_split_view_is_refused(witness: Witness) -> None:
    witness.add_checkpoint(_request(0, 100))
    for new in (100, 101, 200):
        with pytest.raises(Inconsistent):
            witness.add_checkpoint(_request(100, new, FORK))
    assert _known(witness).root == TREE.root(100)
    witness.add_checkpoint(_request(100, 200))


def test_a_rollback_is_refused(witness: Witness) -> None:
    witness.add_checkpoint(_request(0, 100))
    for old, new in ((0, 50), (50, 60), (0, 100), (99, 150)):
        with pytest.raises(SizeConflict) as conflict:
            witness.add_checkpoint(_request(old, new))
        assert conflict.value.size == 100
    with pytest.raises(RequestMalformed):
        witness.add_checkpoint(_body(100, _note(50), []))


@pytest.mark.parametrize("flip", range(4))
def test_a_wrong_proof_is_refused(witness: Witness, flip: int) -> None:
    witness.add_checkpoint(_request(0, 100))
    proof = TREE.consistency(100, 150)
    proof[flip] = bytes(32)
    with pytest.raises(Inconsistent):
        witness.add_checkpoint(_body(100, _note(150), proof))
    with pytest.raises(Inconsistent):
        witness.add_checkpoint(_body(100, _note(150), proof[:flip]))
    assert _known(witness).size == 100


def test_a_first_request_needs_an_empty_proof(witness: Witness) -> None:
    with pytest.raises(Inconsistent):
        witness.add_checkpoint(_body(0, _note(7), TREE.consistency(3, 7)))


def test_unknown_logs_and_unknown_signers_are_refused(witness: Witness) -> None:
    with pytest.raises(OriginUnknown):
        witness.add_checkpoint(_body(0, _note(3, origin="other.example"), []))
    with pytest.raises(SignatureRefused):
        witness.add_checkpoint(_body(0, _note(3, key=STRANGER), []))
    forged = bytearray(_note(3))
    forged[-20] ^= 1
    with pytest.raises((SignatureRefused, RequestMalformed)):
        witness.add_checkpoint(_body(0, bytes(forged), []))
    with pytest.raises(OriginUnknown):
        witness.latest(_hash(ORIGIN))


def test_a_restart_keeps_the_memory(directory: Path, clock: ManualClock) -> None:
    memory = WitnessMemory(directory)
    _witness(memory, clock).add_checkpoint(_request(0, 100))
    memory.close()
    memory = WitnessMemory(directory)
    again = _witness(memory, clock)
    with pytest.raises(SizeConflict):
        again.add_checkpoint(_request(0, 150, FORK))
    with pytest.raises(Inconsistent):
        again.add_checkpoint(_request(100, 150, FORK))
    again.add_checkpoint(_request(100, 150))
    memory.close()


def test_a_clock_that_went_back_cosigns_nothing(witness: Witness, clock: ManualClock) -> None:
    witness.add_checkpoint(_request(0, 1))
    clock.jump(-3600)
    with pytest.raises(ClockRefused, match="3600 s before"):
        witness.add_checkpoint(_request(1, 2))
    clock.jump(3600)
    witness.add_checkpoint(_request(1, 2))


def test_memory_is_made_on_purpose_and_held_by_one(tmp_path: Path, directory: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(MemoryRefused, match="no witness memory"):
        WitnessMemory(tmp_path / "empty")
    with pytest.raises(MemoryRefused, match="already"):
        WitnessMemory.create(directory)
    held = WitnessMemory(directory)
    with pytest.raises(MemoryRefused, match="another witness"):
        WitnessMemory(directory)
    held.close()
    WitnessMemory(directory).close()


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "uncosigned", "other-log"])
def test_damaged_memory_stops_the_witness(directory: Path, clock: ManualClock, damage: str) -> None:
    memory = WitnessMemory(directory)
    _witness(memory, clock).add_checkpoint(_request(0, 100))
    path = directory / _hash(ORIGIN)
    data = bytearray(path.read_bytes())
    data[25] ^= 1
    changed = {
        "flip": bytes(data),
        "cut": path.read_bytes()[:-1],
        "empty": b"",
        "uncosigned": _note(5),
        "other-log": _note(5, origin="other.example"),
    }
    path.write_bytes(changed[damage])
    with pytest.raises(MemoryRefused):
        _witness(memory, clock)
    memory.close()


class FaultyMemory:
    """A real memory whose next write fails, after storing or without."""

    def __init__(self, inner: WitnessMemory, *, stored: bool) -> None:
        self._inner = inner
        self._stored = stored
        self.broken = False

    def read(self, origin: str) -> bytes | None:
        return self._inner.read(origin)

    def write(self, origin: str, note: bytes) -> None:
        if not self.broken or self._stored:
            self._inner.write(origin, note)
        if self.broken:
            raise StorageFailed("injected")


@pytest.mark.parametrize("stored", [False, True], ids=["not-stored", "stored"])
def test_a_failed_write_gives_no_cosignature_and_no_dead_end(
    directory: Path, clock: ManualClock, stored: bool
) -> None:
    inner = WitnessMemory(directory)
    memory = FaultyMemory(inner, stored=stored)
    witness = _witness(memory, clock)
    witness.add_checkpoint(_request(0, 10))
    memory.broken = True
    with pytest.raises(StorageFailed):
        witness.add_checkpoint(_request(10, 20))
    memory.broken = False
    assert _known(witness).size == (20 if stored else 10)
    if stored:
        with pytest.raises(SizeConflict) as conflict:
            witness.add_checkpoint(_request(10, 20))
        _check(witness, witness.add_checkpoint(_request(conflict.value.size, 20)), 20)
    else:
        _check(witness, witness.add_checkpoint(_request(10, 20)), 20)
    inner.close()


@pytest.mark.parametrize("tree", [TREE, FORK])
def test_concurrent_posts_yield_one_history(witness: Witness, tree: Tree) -> None:
    """Sixteen threads push both faces at once: what was cosigned is always one log."""
    witness.add_checkpoint(_request(0, 8, tree))
    answered: list[tuple[int, bytes]] = []

    def push(face: Tree, new: int) -> None:
        old = 8
        for _ in range(50):
            try:
                witness.add_checkpoint(_request(old, new, face))
            except SizeConflict as conflict:
                old = conflict.size
                if old > new:
                    return
            except Inconsistent:
                return
            else:
                answered.append((new, face.root(new)))
                return

    threads = [
        threading.Thread(target=push, args=(face, new))
        for new in range(10, 90, 10)
        for face in (TREE, FORK)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answered
    for (old, old_root), (new, new_root) in pairwise(answered):
        low, high = sorted(((old, old_root), (new, new_root)))
        verify_consistency(*low, *high, tree.consistency(low[0], high[0]))


class MeetingMemory:
    """A real memory whose readers try to meet: they can, unless reading is made to wait."""

    def __init__(self, inner: WitnessMemory) -> None:
        self._inner = inner
        self.meet = threading.Barrier(2)

    def read(self, origin: str) -> bytes | None:
        known = self._inner.read(origin)
        with suppress(threading.BrokenBarrierError):
            self.meet.wait(0.2)
        return known

    def write(self, origin: str, note: bytes) -> None:
        self._inner.write(origin, note)


def test_check_and_persist_are_one_step(directory: Path, clock: ManualClock) -> None:
    """The race that tlog-witness describes: both sizes checked against zero, then both stored."""
    inner = WitnessMemory(directory)
    memory = MeetingMemory(inner)
    witness = _witness(memory, clock)
    memory.meet.reset()
    outcomes: list[str] = []

    def push(new: int) -> None:
        try:
            witness.add_checkpoint(_request(0, new))
            outcomes.append("cosigned")
        except SizeConflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=push, args=(new,)) for new in (20, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict", "cosigned"]
    inner.close()


@given(st.binary(max_size=200))
def test_hostile_requests_are_only_ever_malformed(data: bytes) -> None:
    for body in (data, b"old 0\n\n" + data, b"old 5\n" + data):
        with pytest.raises(RequestMalformed):
            AddCheckpoint.parse(body)


@pytest.mark.parametrize(
    "head",
    [b"old 01\n\n", b"old -1\n\n", b"old\n\n", b"Old 0\n\n", b"old 0\nAAAA\n\n", b"old 0 \n\n",
     b"old 0\n" + (b"A" * 43 + b"=\n") * 64 + b"\n", b"old 4\n\n", b"\n\n", b"old \xd9\xa1\n\n"],
)  # fmt: skip
def test_malformed_requests_are_refused(head: bytes) -> None:
    with pytest.raises(RequestMalformed):
        AddCheckpoint.parse(head + _note(3))


@pytest.fixture
def server(witness: Witness) -> Iterator[WitnessServer]:
    started = threading.Event()
    made: list[WitnessServer] = []

    def note_started(listening: WitnessServer) -> None:
        made.append(listening)
        started.set()

    thread = threading.Thread(target=serve, args=(witness, "127.0.0.1", 0, note_started))
    thread.start()
    assert started.wait(10)
    yield made[0]
    made[0].close()
    thread.join(10)


def _call(
    server: WitnessServer, method: str, path: str, body: bytes | None = None
) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def test_every_status_of_the_protocol(server: WitnessServer, witness: Witness) -> None:
    def post(body: bytes) -> tuple[int, str, bytes]:
        return _call(server, "POST", "/add-checkpoint", body)

    path = f"/{_hash(ORIGIN)}/checkpoint"
    assert _call(server, "GET", path)[0] == 404
    status, kind, lines = post(_request(0, 100))
    assert (status, kind) == (200, "text/plain; charset=utf-8")
    _check(witness, lines, 100)
    assert post(b"nonsense")[0] == 400
    assert post(_body(7, _note(3), []))[0] == 400
    assert post(_body(0, _note(3, key=STRANGER), []))[0] == 403
    assert post(_body(0, _note(3, origin="other.example"), []))[0] == 404
    assert post(_request(0, 150)) == (409, "text/x.tlog.size", b"100\n")
    assert post(_request(100, 150, FORK))[0] == 422
    assert post(_request(100, 100, FORK))[0] == 422
    assert post(_request(100, 150))[0] == 200
    status, kind, note = _call(server, "GET", path)
    assert (status, kind) == (200, "text/plain; charset=utf-8")
    assert open_checkpoint(note, [LOG], [witness.key]).checkpoint.size == 150
    assert _call(server, "GET", "/")[0] == 404
    assert _call(server, "GET", f"/{'0' * 64}/checkpoint")[0] == 404
    assert _call(server, "POST", "/", b"x")[0] == 404
    assert _call(server, "HEAD", path)[2] == b""


def test_the_statuses_are_those_of_the_errors() -> None:
    assert {error.__name__: int(error.status) for error in WitnessError.__subclasses__()} == {
        "RequestMalformed": HTTPStatus.BAD_REQUEST,
        "SignatureRefused": HTTPStatus.FORBIDDEN,
        "OriginUnknown": HTTPStatus.NOT_FOUND,
        "SizeConflict": HTTPStatus.CONFLICT,
        "Inconsistent": HTTPStatus.UNPROCESSABLE_ENTITY,
        "ClockRefused": HTTPStatus.SERVICE_UNAVAILABLE,
        "MemoryRefused": HTTPStatus.INTERNAL_SERVER_ERROR,
    }


def test_oversized_and_endless_bodies_are_refused_unread(server: WitnessServer) -> None:
    for header in (f"Content-Length: {REQUEST_LIMIT + 1}", "Content-Length: 1e3", "X: y",
                   "Transfer-Encoding: chunked"):  # fmt: skip
        with socket.create_connection(("127.0.0.1", server.server_port), 10) as line:
            line.sendall(f"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n{header}\r\n\r\n".encode())
            answer = line.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"Connection: close" in answer


def test_one_connection_serves_several_requests(server: WitnessServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    for old, new in ((0, 1), (1, 2), (1, 3), (2, 3)):
        connection.request("POST", "/add-checkpoint", _request(old, new))
        answer = connection.getresponse()
        answer.read()
        assert answer.status == (409 if (old, new) == (1, 3) else 200)
    connection.close()


def test_memory_lost_with_its_directory_is_not_a_fresh_start(
    directory: Path, clock: ManualClock
) -> None:
    memory = WitnessMemory(directory)
    _witness(memory, clock).add_checkpoint(_request(0, 100))
    memory.close()
    shutil.rmtree(directory)
    directory.mkdir()
    with pytest.raises(MemoryRefused):
        WitnessMemory(directory)


def test_an_empty_log_is_cosigned_only_with_the_empty_root(witness: Witness) -> None:
    assert TREE.root(0) == EMPTY_ROOT
    _check(witness, witness.add_checkpoint(_request(0, 0)), 0)
