"""Attacks on a witness: its folder, its memory, several logs at once.

Those on its HTTP edge stand in tests/governance/test_bounded_http.py, which runs them on every
program that shares the server.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from governance.witness import main
from governance.witness.errors import (
    Inconsistent,
    MemoryRefused,
    OriginUnknown,
    SignatureRefused,
    SizeConflict,
    WitnessError,
)
from governance.witness.memory import WitnessMemory, origin_id
from governance.witness.server import WitnessServer
from governance.witness.witness import Witness
from tests.governance import territory
from trust.clock import ManualClock
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint
from trust.log.lines import emit_base64
from trust.log.note import LogKey, Note
from trust.log.tree import Tree, leaf_hash

KEY, OTHER, WITNESS = (PrivateKey(bytes([n]) * 32) for n in (1, 2, 3))
ONE, TWO = LogKey("one.example", KEY.public), LogKey("two.example", OTHER.public)
TREE = Tree(leaf_hash(bytes([n])) for n in range(64))
FORK = Tree(leaf_hash(bytes([n + 100])) for n in range(64))
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def request(log: LogKey, key: PrivateKey, old: int, new: int, tree: Tree = TREE) -> bytes:
    note = Checkpoint(log.name, new, tree.root(new)).signed(key).emit()
    steps = "".join(f"{emit_base64(step)}\n" for step in tree.consistency(old, new))
    return f"old {old}\n{steps}\n".encode() + note


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[WitnessMemory]:
    WitnessMemory.create(tmp_path / "memory")
    held = WitnessMemory(tmp_path / "memory")
    yield held
    held.close()


def party(memory: WitnessMemory) -> Witness:
    return Witness("w.example", WITNESS, [ONE, TWO], memory, ManualClock(NOW))


def offer(folder: Path, key: PrivateKey, name: str = "offer.json") -> Path:
    path = territory.offer(folder)
    fields = json.loads(path.read_text())
    fields["log_vkey"] = str(LogKey(f"log.{territory.NAME}", key.public))
    (folder / name).write_text(json.dumps(fields))
    return folder / name


def test_logs_do_not_speak_for_one_another(memory: WitnessMemory) -> None:
    witness = party(memory)
    witness.add_checkpoint(request(ONE, KEY, 0, 8))
    with pytest.raises(SignatureRefused):
        witness.add_checkpoint(request(TWO, KEY, 0, 8))
    with pytest.raises(SizeConflict):
        witness.add_checkpoint(request(ONE, KEY, 0, 9, FORK))
    # The other log has its own history.
    witness.add_checkpoint(request(TWO, OTHER, 0, 8, FORK))
    with pytest.raises(Inconsistent):
        witness.add_checkpoint(request(ONE, KEY, 8, 9, FORK))


def test_a_memory_swapped_between_two_logs_is_noticed(
    memory: WitnessMemory, tmp_path: Path
) -> None:
    witness = party(memory)
    witness.add_checkpoint(request(ONE, KEY, 0, 8))
    witness.add_checkpoint(request(TWO, OTHER, 0, 4))
    folder = tmp_path / "memory"
    (folder / origin_id(TWO.name)).replace(folder / origin_id(ONE.name))
    with pytest.raises(MemoryRefused):
        witness.add_checkpoint(request(ONE, KEY, 4, 9))


@pytest.mark.parametrize("origin", ["../../etc/passwd", "a" * 255, "é/\u202e", "."])
def test_an_origin_is_never_a_path(memory: WitnessMemory, origin: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    note = Checkpoint(origin, 1, TREE.root(1)).signed(KEY).emit()
    with pytest.raises(WitnessError):
        party(memory).add_checkpoint(b"old 0\n\n" + note)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "path",
    [
        "/../witness.key",
        "//checkpoint",
        "/%2e%2e/witness.key/checkpoint",
        f"/{'0' * 64}/../../witness.key",
        f"/{'A' * 64}/checkpoint",
    ],
)
def test_no_path_reads_another_file(memory: WitnessMemory, path: str) -> None:
    server = WitnessServer(("127.0.0.1", 0), party(memory))
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        line.request("GET", path)
        assert line.getresponse().status == 404
        line.close()
    finally:
        server.close()
        thread.join()


def test_a_stranger_is_not_told_which_file_could_not_be_read(
    memory: WitnessMemory, tmp_path: Path
) -> None:
    witness = party(memory)
    witness.add_checkpoint(request(ONE, KEY, 0, 8))
    remembered = tmp_path / "memory" / origin_id(ONE.name)
    remembered.unlink()
    remembered.mkdir()
    server = WitnessServer(("127.0.0.1", 0), witness)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        line.request("POST", "/add-checkpoint", request(ONE, KEY, 8, 9))
        answer = line.getresponse()
        said = answer.read().decode()
        line.close()
    finally:
        server.close()
        thread.join()
    assert answer.status == 503
    assert "memory" not in said
    assert str(tmp_path) not in said


def test_a_witness_that_was_stopped_remembers_nothing_more(tmp_path: Path) -> None:
    """A request still running after the stop could write over what the next process cosigned."""
    WitnessMemory.create(tmp_path / "memory")
    old = WitnessMemory(tmp_path / "memory")
    before = party(old)
    old.close()
    new = WitnessMemory(tmp_path / "memory")
    party(new).add_checkpoint(request(ONE, KEY, 0, 8))
    with pytest.raises(MemoryRefused):
        before.add_checkpoint(request(ONE, KEY, 8, 9))
    with pytest.raises(MemoryRefused):
        old.write(ONE.name, b"what the stopped one was about to remember")
    assert new.read(ONE.name) != b"what the stopped one was about to remember"
    new.close()


def test_following_never_replaces_the_key_of_a_log(tmp_path: Path) -> None:
    """A second offer under the same name would have put its sender in the log's place."""
    state = tmp_path / "W"
    main.create(state, "w.example")
    main.follow(state, offer(tmp_path, KEY))
    main.follow(state, offer(tmp_path, KEY))  # the same again is fine
    with pytest.raises(main.WitnessStateRefused, match="another key"):
        main.follow(state, offer(tmp_path, OTHER, "evil.json"))
    (followed,) = (state / "logs").iterdir()
    assert str(LogKey(f"log.{territory.NAME}", KEY.public)) in followed.read_text()


def test_a_file_left_by_a_kill_while_following_does_not_stop_the_witness(tmp_path: Path) -> None:
    state = tmp_path / "W"
    main.create(state, "w.example")
    main.follow(state, offer(tmp_path, KEY))
    (state / "logs" / ".abc.vkey.0011.tmp").write_bytes(b"half a ke")
    assert [log.public for log in main.followed(state)] == [KEY.public]


def test_a_damaged_key_of_a_log_is_named(tmp_path: Path) -> None:
    state = tmp_path / "W"
    main.create(state, "w.example")
    main.follow(state, offer(tmp_path, KEY))
    (path,) = (state / "logs").iterdir()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(main.WitnessStateRefused, match=path.name):
        main.followed(state)


def test_a_key_that_is_not_the_one_in_the_root_does_not_serve(tmp_path: Path) -> None:
    """It would cosign with a key that no policy knows, and look alive."""
    state = tmp_path / "W"
    main.create(state, "w.example")
    main.follow(state, offer(tmp_path, KEY))
    other = tmp_path / "V"
    main.create(other, "w.example")
    (other / "witness.key").replace(state / "witness.key")
    with pytest.raises(main.WitnessStateRefused, match=r"witness\.vkey"):
        main.serve(state, "127.0.0.1:0")


def test_an_offer_that_holds_a_private_seed_shows_none_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = base64.b64encode(bytes(range(32))).decode()
    (tmp_path / "offer.json").write_text(f"cadastre-key-v1 ed25519 {seed}\n")
    state = tmp_path / "W"
    main.create(state, "w.example")
    words = ("witness", "follow", "--state", state, "--log-vkey-from", tmp_path / "offer.json")
    assert territory.run(*words) == 1
    assert seed[:8] not in capsys.readouterr().err


def test_an_unknown_log_is_not_made_known_by_asking(memory: WitnessMemory) -> None:
    stranger = LogKey("three.example", KEY.public)
    with pytest.raises(OriginUnknown):
        party(memory).add_checkpoint(request(stranger, KEY, 0, 8))


_COSIGNING = """
import sys
from pathlib import Path
from governance.witness.memory import WitnessMemory
from tests.review.test_witness_attacks import KEY, ONE, TREE, party, request
from trust.log.checkpoint import Checkpoint
from trust.log.note import Note

memory = WitnessMemory(Path(sys.argv[1]))
witness = party(memory)
known = memory.read(ONE.name)
size = Checkpoint.parse(Note.parse(known).text).size if known else 0
while size < 64:
    witness.add_checkpoint(request(ONE, KEY, size, size + 1))
    size += 1
    print(size, flush=True)
"""


@pytest.mark.processes
def test_killed_at_any_instant_it_remembers_what_it_cosigned(tmp_path: Path) -> None:
    chance = random.Random(7)
    WitnessMemory.create(tmp_path / "memory")
    cosigned = 0
    for _ in range(4):
        command = [sys.executable, "-c", _COSIGNING, str(tmp_path / "memory")]
        house = Path(main.__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": str(house)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            for _ in range(chance.randrange(1, 12)):
                cosigned = int(process.stdout.readline())
            process.kill()
            for line in process.stdout:
                if line.endswith(b"\n"):
                    cosigned = int(line)
        memory = WitnessMemory(tmp_path / "memory")
        known = memory.read(ONE.name)
        assert known is not None
        size = Checkpoint.parse(Note.parse(known).text).size
        assert size >= cosigned
        with pytest.raises((Inconsistent, SizeConflict)):
            party(memory).add_checkpoint(request(ONE, KEY, size, size + 1, FORK))
        memory.close()
