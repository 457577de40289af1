from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from capsule_runtime.capsules import grants, sealed
from capsule_runtime.capsules.errors import (
    CapsuleConflict,
    CapsuleErased,
    CapsuleMalformed,
    CapsuleMissing,
    CiphertextRefused,
    DatabaseRefused,
    GrantMissing,
    GrantRefused,
)
from capsule_runtime.capsules.store import FILE_NAME, CapsuleStore, tombstone_token
from durable.errors import DiskFull, StorageFailed
from trust.documents import signed
from trust.documents.rules import DataClass
from trust.ids import WorkerId

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(world: Any, state: Path) -> Any:
    opened = CapsuleStore(state, world.clock)
    yield opened
    opened.close()


def test_what_goes_in_comes_out(world: Any, store: Any) -> None:
    key = world.owner()
    capsule, grant = world.seal(key), world.grant(key)
    assert store.add([capsule], [grant]).added == 1
    assert store.header(key.capsule) == capsule.header
    assert store.ciphertext(key.capsule) == capsule.ciphertext
    assert store.owner(key.capsule) == store.owners()[key.capsule] == key.signing.public
    assert store.grant(key.capsule, world.card.worker).capsule == key.capsule
    (line,) = store.hosted()
    assert (line.id, line.data_class) == (key.capsule, DataClass.PERSONAL)
    again = store.add([capsule], [grant])
    assert (again.added, again.unchanged, again.grants) == (0, 1, 0)


def test_the_longest_grant_is_kept(world: Any, store: Any) -> None:
    key = world.owner()
    store.add([world.seal(key)], [world.grant(key, days=3), world.grant(key, days=1)])
    assert (store.grant(key.capsule, world.card.worker).expires_at - world.clock.now()).days == 3


def test_unknown_capsules_and_missing_grants_say_so(world: Any, store: Any) -> None:
    key = world.owner()
    for ask in (store.header, store.ciphertext, store.owner):
        with pytest.raises(CapsuleMissing):
            ask(key.capsule)
    store.add([world.seal(key)])
    with pytest.raises(GrantMissing):
        store.grant(key.capsule, world.card.worker)


def test_another_content_or_data_class_under_a_known_id_is_refused(world: Any, store: Any) -> None:
    key = world.owner()
    store.add([world.seal(key)])
    with pytest.raises(CapsuleConflict, match="content"):
        store.add([world.seal(key)])  # a fresh salt makes other bytes
    with pytest.raises(CapsuleConflict, match="data class"):
        store.add([world.seal(key, data_class=DataClass.PUBLIC)])


def test_one_bad_entry_leaves_nothing_of_its_batch(world: Any, store: Any) -> None:
    first, second, stranger = world.owner(), world.owner(), world.owner()
    store.add([world.seal(first)])
    with pytest.raises(CapsuleConflict):
        store.add([world.seal(second), world.seal(first)])
    with pytest.raises(GrantRefused):
        store.add([world.seal(second)], [world.grant(second, owner=stranger.signing)])
    with pytest.raises(CapsuleMissing):
        store.add([world.seal(second)], [world.grant(stranger)])
    assert list(store.owners()) == [first.capsule]


def test_nothing_decryptable_is_left_after_erasure(world: Any, store: Any, state: Path) -> None:
    key, other = world.owner(), world.owner()
    capsule, raw = world.seal(key), world.grant(key)
    store.add([capsule, world.seal(other)], [raw])
    grant = store.grant(key.capsule, world.card.worker)
    everything = b"".join(path.read_bytes() for path in state.iterdir())
    assert capsule.ciphertext[:64] in everything
    assert raw in everything
    (stone,) = store.erase([key.capsule])
    left = b"".join(path.read_bytes() for path in state.iterdir())
    for secret in (capsule.ciphertext[:64], raw, grant.wrapped, key.capsule.encode()):
        assert secret not in left
    signed_stone = signed.sign(stone, [world.worker]).envelope
    assert key.capsule.encode() not in signed_stone.payload
    assert stone.token == tombstone_token(key.capsule)
    with pytest.raises(CapsuleErased):
        store.add([capsule])
    with pytest.raises(CapsuleErased):
        store.add([], [raw])
    assert list(store.owners()) == [other.capsule]
    store.erase([key.capsule])  # repeating it is fine


def test_erasing_is_all_or_none(world: Any, store: Any) -> None:
    key = world.owner()
    store.add([world.seal(key)])
    with pytest.raises(CapsuleMissing):
        store.erase([key.capsule, world.owner().capsule])
    assert list(store.owners()) == [key.capsule]


def test_a_corrupted_file_is_refused(world: Any, state: Path) -> None:
    store = CapsuleStore(state, world.clock)
    store.add([world.seal(world.owner()) for _ in range(50)])
    store.close()
    path = state / FILE_NAME
    data = bytearray(path.read_bytes())
    data[4096:12288] = b"\xff" * 8192
    path.write_bytes(data)
    with pytest.raises(DatabaseRefused, match="damaged"):
        CapsuleStore(state, world.clock)


def test_changed_stored_bytes_are_seen(world: Any, store: Any, state: Path) -> None:
    key = world.owner()
    store.add([world.seal(key)])
    with sqlite3.connect(state / FILE_NAME) as connection:
        connection.execute("UPDATE ciphertext SET bytes = zeroblob(1096)")
        connection.execute("UPDATE capsule SET envelope = replace(envelope, 'a', 'b')")
    connection.close()
    with pytest.raises(CiphertextRefused):
        sealed.unseal(key.capsule, store.ciphertext(key.capsule), key.capsule_key)
    with pytest.raises(CapsuleMalformed):
        store.header(key.capsule)


@pytest.mark.parametrize(
    ("pragma", "words"),
    [("user_version=2", "schema version 2"), ("application_id=7", "not the state file")],
)
def test_a_future_schema_or_a_foreign_file_is_refused(
    world: Any, state: Path, pragma: str, words: Any
) -> None:
    CapsuleStore(state, world.clock).close()
    with sqlite3.connect(state / FILE_NAME) as connection:
        connection.execute(f"PRAGMA {pragma}")
    connection.close()
    with pytest.raises(DatabaseRefused, match=words):
        CapsuleStore(state, world.clock)


def test_a_text_file_in_its_place_is_refused_and_kept(world: Any, state: Path) -> None:
    state.mkdir()
    (state / FILE_NAME).write_text("not a database, " * 100)
    with pytest.raises(DatabaseRefused):
        CapsuleStore(state, world.clock)
    assert (state / FILE_NAME).read_text().startswith("not a database")


def test_a_full_disk_imports_nothing_and_loses_nothing(world: Any, store: Any) -> None:
    first = world.owner()
    store.add([world.seal(first)])
    run = store._database.connection.execute
    pages = run("PRAGMA page_count").fetchone()[0]
    run(f"PRAGMA max_page_count={pages + 5}")
    batch = [world.seal(world.owner()) for _ in range(60)]
    with pytest.raises(DiskFull, match="full"):
        store.add(batch)
    assert list(store.owners()) == [first.capsule]
    run("PRAGMA max_page_count=100000")
    assert store.add(batch).added == 60


def test_a_kill_in_the_middle_of_an_import_leaves_nothing(world: Any, state: Path) -> None:
    script = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from capsule_runtime.capsules import sealed
        from capsule_runtime.capsules.store import CapsuleStore
        from trust.clock import SystemClock
        def feed():
            for path in sorted(Path(sys.argv[1]).iterdir()):
                yield sealed.parse(path.read_bytes())
            os.kill(os.getpid(), signal.SIGKILL)
        CapsuleStore(Path(sys.argv[2]), SystemClock()).add(feed())
        """
    )
    files = state.parent / "files"
    files.mkdir()
    for number in range(20):
        (files / f"{number}").write_bytes(world.seal(world.owner()).raw)
    done = subprocess.run(
        [sys.executable, "-c", script, str(files), str(state)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    store = CapsuleStore(state, world.clock)
    assert store.owners() == {}
    store.close()


def test_reading_a_ciphertext_is_quick_among_many(world: Any, store: Any) -> None:
    keys = [world.owner() for _ in range(400)]
    store.add(world.seal(key) for key in keys)
    durations = []
    for key in keys:
        start = time.thread_time()
        store.ciphertext(key.capsule)
        durations.append(time.thread_time() - start)
    assert sorted(durations)[len(durations) // 2] < 0.0003


def test_a_grant_for_another_worker_does_not_hide_ours(world: Any, store: CapsuleStore) -> None:
    # Found in review: an owner's directory may hold a longer grant for an earlier host.
    key = world.owner()
    elsewhere = replace(world.card, worker=WorkerId.draw(world.entropy))
    longer = grants.issue(
        key.capsule,
        key.capsule_key,
        key.signing,
        elsewhere,
        now=world.clock.now(),
        entropy=world.entropy,
        lifetime=timedelta(days=30),
    )
    store.add([world.seal(key)], [world.grant(key), longer])
    assert store.grant(key.capsule, world.card.worker).worker == world.card.worker
    assert store.grant(key.capsule, elsewhere.worker).worker == elsewhere.worker
    ends = [store.hosted(worker)[0].grant_expires_at for worker in (None, world.card.worker)]
    assert [(end - world.clock.now()).days for end in ends if end] == [30, 7]
    assert store.hosted(WorkerId.draw(world.entropy))[0].grant_expires_at is None


def test_noise_is_no_grant(world: Any, store: CapsuleStore) -> None:
    with pytest.raises(GrantRefused, match="not a grant"):
        store.add([], [b"noise"])


def test_threads_share_a_store(world: Any, store: CapsuleStore) -> None:
    keys = [world.owner() for _ in range(40)]
    batches = [[world.seal(key)] for key in keys]
    with ThreadPoolExecutor(8) as pool:
        added = [done.added for done in pool.map(store.add, batches)]
        read = list(pool.map(store.ciphertext, [key.capsule for key in keys]))
    assert sum(added) == len(read) == 40


def test_what_the_agent_imports_needs_no_numpy() -> None:
    names = ("capsules.grants", "capsules.card", "capsules.store", "capsules.sealed",
             "consents", "ledger", "cli", "capsules.commands", "capsules.consenting")  # fmt: skip
    script = "; ".join(f"import capsule_runtime.{name}" for name in names)
    script += "; import sys; assert 'numpy' not in sys.modules"
    subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=60,
    )


def test_state_files_are_private_and_an_unusable_place_is_named(world: Any, state: Path) -> None:
    CapsuleStore(state, world.clock).close()
    assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}
    (state.parent / "folder" / FILE_NAME).mkdir(parents=True)
    with pytest.raises(StorageFailed, match="could not write"):
        CapsuleStore(state.parent / "folder", world.clock)
