"""The log's writer: what it signs, what it refuses, and that it loses nothing."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from durable.errors import StorageFailed
from scheduler.log.batches import BATCH_LIMIT
from scheduler.log.errors import (
    ClockWentBack,
    CosignerConflict,
    CosignerUnavailable,
    LogBusy,
    LogDamaged,
    LogExists,
    LogMissing,
    LogRolledBack,
    RecordMoved,
)
from scheduler.log.recovery import LOCK, PUBLISHED, STAGED, create_in
from scheduler.log.storage import DirectoryStore, LogStore
from scheduler.log.witnessing import PAUSE
from scheduler.log.writer import LogWriter
from trust.clock import ManualClock
from trust.errors import LogRefused, TooLarge
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint, VerifiedCheckpoint
from trust.log.cosignature import CosignerKey, cosign
from trust.log.entry import Kind, LogEntry
from trust.log.note import LogKey, Note
from trust.log.policy import Policy
from trust.log.proof import verify_proof
from trust.log.replay import check_log
from trust.log.tree import verify_consistency

ORIGIN = "log.example/journal"
KEY = PrivateKey(bytes(32))
WITNESS_KEY = PrivateKey(bytes([7]) * 32)
WITNESS = CosignerKey("witness.example", WITNESS_KEY.public)
POLICY = Policy.parse(f"log {LogKey(ORIGIN, KEY.public)}\nquorum none\n".encode())
WITNESSED = Policy.parse(
    f"log {LogKey(ORIGIN, KEY.public)}\nwitness w {WITNESS}\nquorum w\n".encode()
)


def _entries(start: int, count: int) -> list[bytes]:
    return [LogEntry.of(Kind.PLAN, b"%d" % n).emit() for n in range(start, start + count)]


class Witness:
    """A witness in memory that can be switched off; it keeps the rules of tlog-witness."""

    def __init__(self, clock: ManualClock, key: PrivateKey = WITNESS_KEY) -> None:
        self.key = CosignerKey(WITNESS.name, key.public)
        self.size = 0
        self.down = False
        self.asked = 0
        self.answer: bytes | None = None
        self._key = key
        self._root: bytes | None = None
        self._clock = clock

    def cosign(self, old_size: int, consistency: Sequence[bytes], note: bytes) -> bytes:
        self.asked += 1
        if self.down:
            raise CosignerUnavailable("it is switched off")
        if self.answer is not None:
            return self.answer
        if old_size != self.size:
            raise CosignerConflict(self.key.name, self.size)
        text = Note.parse(note).text
        head = Checkpoint.parse(text)
        if self._root is not None:
            verify_consistency(old_size, self._root, head.size, head.root, consistency)
        self.size, self._root = head.size, head.root
        time = int(self._clock.now().timestamp())
        return cosign(text, self.key.name, self._key, time).emit().encode()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    LogWriter.create(tmp_path / "log", KEY, ORIGIN, clock)
    return tmp_path / "log"


@pytest.fixture
def log(directory: Path, clock: ManualClock) -> Iterator[LogWriter]:
    writer = LogWriter.open(directory, KEY, ORIGIN, clock)
    yield writer
    writer.close()


def test_a_new_log_is_empty_signed_and_published(directory: Path, log: LogWriter) -> None:
    assert log.size == 0

    def served(path: str) -> bytes:
        return (directory / "public" / path).read_bytes()

    assert check_log(served, POLICY).entries == ()
    assert log.checkpoint() == served("checkpoint")


@pytest.mark.parametrize("sizes", [[1], [255, 1, 1], [256, 256], [300, 1, 700], [1] * 8])
def test_every_published_state_is_a_whole_log(
    log: LogWriter, clock: ManualClock, sizes: list[int]
) -> None:
    earlier: VerifiedCheckpoint | None = None
    total = 0
    for count in sizes:
        batch = _entries(total, count)
        assert log.append(batch) == list(range(total, total + count))
        total += count
        clock.advance(1)
        replayed = check_log(log.fetch, POLICY, earlier)
        assert list(replayed.entries) == _entries(0, total)
        earlier = replayed.checkpoint
    for index in (0, total // 2, total - 1):
        entry = _entries(index, 1)[0]
        assert verify_proof(log.prove(index), entry, POLICY).index == index
    with pytest.raises(LogRefused):
        log.prove(total)


def test_an_entry_submitted_again_keeps_its_index(log: LogWriter) -> None:
    a, b, c = _entries(0, 3)
    assert log.append([a, b, a]) == [0, 1, 0]
    assert log.append([b, c, c]) == [1, 2, 2]
    before = log.checkpoint()
    assert log.append([a, b, c]) == [0, 1, 2]
    assert log.append([]) == []
    assert log.checkpoint() == before


def test_a_restart_keeps_everything_and_continues(directory: Path, clock: ManualClock) -> None:
    first = LogWriter.open(directory, KEY, ORIGIN, clock)
    first.append(_entries(0, 700))
    first.close()
    second = LogWriter.open(directory, KEY, ORIGIN, clock)
    assert second.append(_entries(650, 100)) == list(range(650, 750))
    assert list(check_log(second.fetch, POLICY).entries) == _entries(0, 750)
    second.close()


def test_a_large_append_is_split_and_still_one_log(log: LogWriter) -> None:
    count = BATCH_LIMIT + 10
    assert log.append(_entries(0, count)) == list(range(count))
    big = [bytes([n]) * 65_535 for n in range(200)]
    assert log.append(big) == list(range(count, count + 200))
    assert len(check_log(log.fetch, POLICY).entries) == count + 200


def test_an_oversized_entry_is_refused_before_anything_is_written(log: LogWriter) -> None:
    before = log.checkpoint()
    with pytest.raises(TooLarge):
        log.append([b"fine", b"x" * 65_536])
    assert log.checkpoint() == before


def test_concurrent_appends_are_each_logged_once(log: LogWriter) -> None:
    results: dict[int, list[int]] = {}

    def submit(lane: int) -> None:
        # Lanes overlap by half: two threads submit each entry.
        results[lane] = log.append(_entries(lane * 10, 20))

    threads = [threading.Thread(target=submit, args=(lane,)) for lane in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = check_log(log.fetch, POLICY).entries
    assert sorted(entries) == sorted(_entries(0, 170))
    for lane, indexes in results.items():
        assert [entries[index] for index in indexes] == _entries(lane * 10, 20)


def test_a_log_is_never_created_by_opening_nor_created_twice(
    tmp_path: Path, directory: Path, clock: ManualClock
) -> None:
    with pytest.raises(LogMissing):
        LogWriter.open(tmp_path / "nowhere", KEY, ORIGIN, clock)
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(LogMissing):
        LogWriter.open(tmp_path / "empty", KEY, ORIGIN, clock)
    with pytest.raises(LogExists):
        LogWriter.create(directory, KEY, ORIGIN, clock)
    (directory / LOCK).unlink()
    with pytest.raises(LogExists, match="without its lock record"):
        LogWriter.create(directory, KEY, ORIGIN, clock)


def test_two_writers_cannot_hold_one_log(
    directory: Path, log: LogWriter, clock: ManualClock
) -> None:
    with pytest.raises(LogBusy):
        LogWriter.open(directory, KEY, ORIGIN, clock)


def test_another_key_or_origin_cannot_open_the_log(directory: Path, clock: ManualClock) -> None:
    with pytest.raises(LogDamaged):
        LogWriter.open(directory, WITNESS_KEY, ORIGIN, clock)
    with pytest.raises(LogDamaged):
        LogWriter.open(directory, KEY, "log.example/other", clock)


def test_a_clock_that_went_back_signs_nothing(log: LogWriter, clock: ManualClock) -> None:
    log.append(_entries(0, 1))
    clock.jump(-60)
    before = log.checkpoint()
    with pytest.raises(ClockWentBack, match="60 s before the log"):
        log.append(_entries(1, 1))
    assert log.checkpoint() == before
    clock.advance(60)
    assert log.append(_entries(1, 1)) == [1]


def test_a_clock_that_was_ahead_can_be_forgiven_once_it_is_right(
    directory: Path, clock: ManualClock
) -> None:
    clock.jump(86_400 * 365)
    writer = LogWriter.open(directory, KEY, ORIGIN, clock)
    writer.append(_entries(0, 1))
    clock.jump(-86_400 * 365)
    with pytest.raises(ClockWentBack):
        writer.append(_entries(1, 1))
    writer.close()
    LogWriter.accept_clock(directory, KEY, ORIGIN, clock)
    writer = LogWriter.open(directory, KEY, ORIGIN, clock)
    assert writer.append(_entries(0, 2)) == [0, 1]
    check_log(writer.fetch, POLICY)
    writer.close()


def test_a_lock_record_older_than_the_published_checkpoint_is_fatal(
    directory: Path, clock: ManualClock
) -> None:
    old = (directory / LOCK).read_bytes()
    writer = LogWriter.open(directory, KEY, ORIGIN, clock)
    writer.append(_entries(0, 5))
    writer.close()
    (directory / LOCK).write_bytes(old)
    with pytest.raises(LogRolledBack, match="5 entries were published, the lock record knows 0"):
        LogWriter.open(directory, KEY, ORIGIN, clock)


def test_a_rolled_back_directory_with_newer_tiles_is_noticed(
    directory: Path, tmp_path: Path, clock: ManualClock
) -> None:
    """Record and checkpoint both old, tiles of the lost continuation still there."""
    shutil.copytree(directory, tmp_path / "old")
    writer = LogWriter.open(directory, KEY, ORIGIN, clock)
    writer.append(_entries(0, 5))
    writer.close()
    for path in (LOCK, PUBLISHED):
        shutil.copy(tmp_path / "old" / path, directory / path)
    writer = LogWriter.open(directory, KEY, ORIGIN, clock)
    with pytest.raises(LogRolledBack, match="another log's hashes"):
        writer.append(_entries(100, 5))
    with pytest.raises((LogRolledBack, LogDamaged)):
        writer.append(_entries(0, 5))
    writer.close()


@pytest.mark.parametrize(
    "path", [LOCK, PUBLISHED, "public/tile/0/000", "public/tile/0/001.p/44",
             "public/tile/entries/001.p/44"],
)  # fmt: skip
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_damaged_files_are_refused_at_the_start(
    directory: Path, clock: ManualClock, path: str, damage: str
) -> None:
    writer = LogWriter.open(directory, KEY, ORIGIN, clock)
    writer.append(_entries(0, 300))
    writer.close()
    target = directory / path
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    match damage:
        case "flip":
            target.write_bytes(data)
        case "cut":
            target.write_bytes(data[:-1])
        case _:
            target.unlink()
    with pytest.raises((LogDamaged, LogMissing)):
        LogWriter.open(directory, KEY, ORIGIN, clock)


def test_an_altered_entry_of_the_last_bundle_is_not_carried_into_the_next(
    directory: Path, clock: ManualClock
) -> None:
    writer = LogWriter.open(directory, KEY, ORIGIN, clock)
    writer.append(_entries(0, 300))
    writer.close()
    bundle = directory / "public/tile/entries/001.p/44"
    bundle.write_bytes(bundle.read_bytes()[:-2] + b"!\n")
    with pytest.raises(LogDamaged, match="does not match its hashes"):
        LogWriter.open(directory, KEY, ORIGIN, clock)


def test_a_record_changed_by_another_hand_stops_the_writer(directory: Path, log: LogWriter) -> None:
    (directory / LOCK).write_bytes(b"something else")
    with pytest.raises(RecordMoved):
        log.append(_entries(0, 1))
    with pytest.raises(LogDamaged):
        log.append(_entries(0, 1))


def test_witnesses_are_asked_and_their_cosignature_published(
    directory: Path, clock: ManualClock
) -> None:
    witness = Witness(clock)
    log = LogWriter.open(directory, KEY, ORIGIN, clock, [witness])
    log.append(_entries(0, 3))
    log.append(_entries(3, 3))
    assert witness.size == 6
    assert log.waiting() == ()
    assert check_log(log.fetch, WITNESSED).checkpoint.cosigned
    assert verify_proof(log.prove(5), _entries(5, 1)[0], WITNESSED).index == 5
    log.close()
    again = LogWriter.open(directory, KEY, ORIGIN, clock, [witness])
    WITNESSED.verify(again.checkpoint())  # the cosignature outlived the restart
    again.append(_entries(6, 1))  # and the writer, which forgot the size, asks what it is
    assert witness.size == 7
    again.close()


def test_a_witness_that_is_down_loses_nothing_and_is_asked_again(
    directory: Path, clock: ManualClock
) -> None:
    witness = Witness(clock)
    log = LogWriter.open(directory, KEY, ORIGIN, clock, [witness])
    log.append(_entries(0, 2))
    witness.down = True
    assert log.append(_entries(2, 2)) == [2, 3]
    clock.advance(PAUSE / 2)
    assert log.append(_entries(4, 2)) == [4, 5]
    assert witness.asked == 2  # the last append did not wait on it
    (waiting,) = log.waiting()
    assert str(waiting) == (
        "waiting for witness witness.example since 2026-11-22T12:00:00Z: it is switched off"
    )
    assert len(check_log(log.fetch, POLICY).entries) == 6
    with pytest.raises(LogRefused, match="no cosignature of w"):
        check_log(log.fetch, WITNESSED)
    # Entries covered by the last cosigned checkpoint stay provable, now and after a restart.
    verify_proof(log.prove(1), _entries(1, 1)[0], WITNESSED)
    log.close()
    log = LogWriter.open(directory, KEY, ORIGIN, clock, [witness])
    verify_proof(log.prove(1), _entries(1, 1)[0], WITNESSED)
    with pytest.raises(LogRefused):
        verify_proof(log.prove(4), _entries(4, 1)[0], WITNESSED)
    witness.down = False
    log.tick()
    assert log.waiting() == ()
    verify_proof(log.prove(4), _entries(4, 1)[0], WITNESSED)
    check_log(log.fetch, WITNESSED)
    log.close()


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense", b"\xff\n", "— witness.example AAAAAAAAAAA=\n".encode()],
)
def test_a_witness_that_answers_nonsense_is_waited_for(
    directory: Path, clock: ManualClock, answer: bytes
) -> None:
    witness = Witness(clock)
    witness.answer = answer
    log = LogWriter.open(directory, KEY, ORIGIN, clock, [witness])
    log.append(_entries(0, 1))
    assert "without a valid cosignature" in log.waiting()[0].reason
    check_log(log.fetch, POLICY)
    log.close()


def test_a_witness_that_saw_more_than_the_log_has_says_so_loudly(
    directory: Path, clock: ManualClock
) -> None:
    witness = Witness(clock)
    witness.size = 50
    log = LogWriter.open(directory, KEY, ORIGIN, clock, [witness])
    log.append(_entries(0, 1))
    assert "seen 50 entries where this log has 1" in log.waiting()[0].reason
    log.close()


class FaultyStore:
    """A real store whose n-th write raises, after storing or without."""

    def __init__(self, inner: LogStore, fail_at: int, *, stored: bool) -> None:
        self._inner = inner
        self._left = fail_at
        self._stored = stored
        self.fired = ""

    def _due(self, what: str) -> bool:
        self._left -= 1
        if self._left == -1:
            self.fired = what
            return True
        return False

    def read(self, path: str) -> bytes | None:
        return self._inner.read(path)

    def write(self, path: str, data: bytes) -> None:
        self._run(f"write {path}", lambda: self._inner.write(path, data))

    def swap(self, path: str, expected: bytes | None, data: bytes) -> None:
        self._run(f"swap {path}", lambda: self._inner.swap(path, expected, data))

    def remove(self, path: str) -> None:
        self._run(f"remove {path}", lambda: self._inner.remove(path))

    def close(self) -> None:
        self._inner.close()

    def _run(self, what: str, act: object) -> None:
        assert callable(act)
        due = self._due(what)
        if not due or self._stored:
            act()
        if due:
            raise StorageFailed(f"injected at {what}")


FAULTS = 11  # writes of the batch below: staged, lock, 3 bundles, 3 + 1 tiles, publish, drop


@pytest.mark.parametrize("stored", [False, True], ids=["not-stored", "stored"])
@pytest.mark.parametrize("crash", [False, True], ids=["same-process", "after-crash"])
@pytest.mark.parametrize("fail_at", range(FAULTS))
def test_every_failed_write_is_survived(
    directory: Path, clock: ManualClock, fail_at: int, stored: bool, crash: bool
) -> None:
    first = LogWriter.open(directory, KEY, ORIGIN, clock)
    first.append(_entries(0, 250))
    earlier = check_log(first.fetch, POLICY).checkpoint
    first.close()

    store = FaultyStore(DirectoryStore(directory), fail_at, stored=stored)
    writer = LogWriter(store, KEY, ORIGIN, clock)
    batch = _entries(250, 300)
    try:
        indexes = writer.append(batch)
    except StorageFailed:
        # Whatever is published at this instant is a whole log that continues the old one.
        check_log(writer.fetch, POLICY, earlier)
        if crash:
            writer.close()
            writer = LogWriter.open(directory, KEY, ORIGIN, clock)
            check_log(writer.fetch, POLICY, earlier)
        indexes = writer.append(batch)
    assert store.fired
    assert indexes == list(range(250, 550))
    assert writer.append(_entries(550, 10)) == list(range(550, 560))
    replayed = check_log(writer.fetch, POLICY, earlier)
    assert list(replayed.entries) == _entries(0, 560)
    assert not (directory / STAGED).exists()
    writer.close()


def test_the_fault_tests_reach_every_write_of_a_batch(directory: Path, clock: ManualClock) -> None:
    fired = []
    writer = LogWriter.open(directory, KEY, ORIGIN, clock)
    writer.append(_entries(0, 250))
    writer.close()
    for fail_at in range(FAULTS + 1):
        copy = directory.parent / f"copy{fail_at}"
        shutil.copytree(directory, copy)
        store = FaultyStore(DirectoryStore(copy), fail_at, stored=False)
        writer = LogWriter(store, KEY, ORIGIN, clock)
        try:
            writer.append(_entries(250, 300))
        except StorageFailed:
            fired.append(store.fired)
        writer.close()
    assert fired[0] == f"write {STAGED}"
    assert fired[1] == f"swap {LOCK}"
    assert fired[-2:] == [f"write {PUBLISHED}", f"remove {STAGED}"]
    assert len(fired) == len(set(fired)) == FAULTS


@pytest.mark.parametrize("stored", [False, True], ids=["not-stored", "stored"])
@pytest.mark.parametrize("fail_at", range(4))
def test_every_failed_write_of_a_recovery_is_survived(
    directory: Path, clock: ManualClock, fail_at: int, stored: bool
) -> None:
    """The commit crashes right after the lock, then the recovery itself fails."""
    broken = FaultyStore(DirectoryStore(directory), 1, stored=True)
    writer = LogWriter(broken, KEY, ORIGIN, clock)
    with pytest.raises(StorageFailed):
        writer.append(_entries(0, 5))
    writer.close()
    store = FaultyStore(DirectoryStore(directory), fail_at, stored=stored)
    with pytest.raises(StorageFailed):
        LogWriter(store, KEY, ORIGIN, clock)
    store.close()
    writer = LogWriter.open(directory, KEY, ORIGIN, clock)
    assert list(check_log(writer.fetch, POLICY).entries) == _entries(0, 5)
    assert writer.append(_entries(4, 2)) == [4, 5]
    check_log(writer.fetch, POLICY)
    writer.close()


@pytest.mark.parametrize("stored", [False, True], ids=["not-stored", "stored"])
@pytest.mark.parametrize("fail_at", range(2))
def test_every_failed_write_of_the_creation_is_survived(
    tmp_path: Path, clock: ManualClock, fail_at: int, stored: bool
) -> None:
    store = FaultyStore(DirectoryStore(tmp_path / "new"), fail_at, stored=stored)
    with pytest.raises(StorageFailed):
        create_in(store, KEY, ORIGIN, clock)
    store.close()
    try:
        writer = LogWriter.open(tmp_path / "new", KEY, ORIGIN, clock)
    except LogMissing:
        LogWriter.create(tmp_path / "new", KEY, ORIGIN, clock)
        writer = LogWriter.open(tmp_path / "new", KEY, ORIGIN, clock)
    assert writer.append(_entries(0, 1)) == [0]
    check_log(writer.fetch, POLICY)
    writer.close()


@pytest.mark.parametrize("stored", [False, True], ids=["not-stored", "stored"])
@pytest.mark.parametrize("fail_at", range(2))
def test_a_failed_write_of_a_cosignature_is_survived(
    directory: Path, clock: ManualClock, fail_at: int, stored: bool
) -> None:
    # staged, lock, bundle, tile, publish, remove come first: six writes.
    store = FaultyStore(DirectoryStore(directory), 6 + fail_at, stored=stored)
    writer = LogWriter(store, KEY, ORIGIN, clock, [Witness(clock)])
    with pytest.raises(StorageFailed):
        writer.append(_entries(0, 5))
    check_log(writer.fetch, POLICY)
    assert writer.append(_entries(0, 5)) == list(range(5))
    check_log(writer.fetch, WITNESSED)
    verify_proof(writer.prove(4), _entries(4, 1)[0], WITNESSED)
    writer.close()


def test_one_failed_batch_fails_only_those_who_waited_for_it(
    directory: Path, clock: ManualClock
) -> None:
    store = FaultyStore(DirectoryStore(directory), 0, stored=False)
    writer = LogWriter(store, KEY, ORIGIN, clock)
    with pytest.raises(StorageFailed):
        writer.append(_entries(0, 1))
    assert writer.append(_entries(1, 1)) == [0]
    writer.close()
