"""A backup taken while the scheduler works is of one moment, and is put back only where honest."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import tarfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from benchmarks.filled import found
from durable.blobs import BlobFolder
from scheduler.backup import sealing, taking
from scheduler.backup.archive import MANIFEST, Manifest, Writer
from scheduler.backup.restoring import restore
from scheduler.backup.taking import take
from scheduler.database import open_database
from scheduler.errors import BackupOutlived, BackupRefused, DatabaseRestored
from scheduler.log.errors import CosignerConflict, CosignerUnavailable, LogDamaged
from scheduler.log.writer import LogWriter
from scheduler.meters import Meters
from scheduler.service import outbox
from scheduler.service.bell import Bell
from scheduler.service.desk import Desk
from scheduler.state import State
from trust.clock import SystemClock
from trust.entropy import SYSTEM
from trust.keys import PrivateKey
from trust.log.cosignature import CosignerKey
from trust.log.entry import Kind

CLOCK = SystemClock()
PHRASE = b"correct horse battery staple"


@contextmanager
def opened(state: State) -> Iterator[Desk]:
    """The desk of a scheduler that works on `state`."""
    store = open_database(state, CLOCK, Meters())
    log = LogWriter.open(state.log, state.log_key(), state.origin, CLOCK)
    with closing(store), closing(log):
        yield Desk(
            store=store,
            blobs=BlobFolder(state.objects),
            log=log,
            entropy=SYSTEM,
            orders=state.orders_key(),
            authority=state.authority(),
            root=state.trusted_root(),
            meters=Meters(),
            bell=Bell(),
            work_address="127.0.0.1:1",
        )


async def publish(desk: Desk, text: str) -> None:
    await desk.run(
        "test-publish",
        lambda tx: outbox.publish_raw(tx, desk, Kind.OPENING, text.encode()),
    )
    await outbox.flush(desk)


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A scheduler's state with three logged documents; nobody works on it now."""
    made = found(tmp_path / "scheduler", CLOCK, SYSTEM)

    async def begin(desk: Desk) -> None:
        for number in range(3):
            await publish(desk, f"document {number}")

    with opened(made) as desk:
        asyncio.run(begin(desk))
    return made


class Witness:
    """What a witness answers that has cosigned `size` entries; None: it does not answer."""

    def __init__(self, size: int | None) -> None:
        self.key = CosignerKey("witness.example/one", PrivateKey.generate(SYSTEM).public)
        self._size = size

    def cosign(self, old_size: int, consistency: Sequence[bytes], note: bytes) -> bytes:
        if self._size is None:
            raise CosignerUnavailable("it does not answer")
        if self._size != old_size:
            raise CosignerConflict(self.key.name, self._size)
        return b"lines"


def contents(folder: Path, *leaving: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in leaving
    }


def rows(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_what_is_put_back_is_what_was_there(state: State, tmp_path: Path) -> None:
    backup, back = tmp_path / "b.tar", tmp_path / "back"
    manifest = take(state, backup, CLOCK, SYSTEM)
    done = restore(backup, back, CLOCK, ask=lambda _: [Witness(3)])
    assert done.manifest == manifest
    assert (manifest.log_size, done.with_keys) == (3, False)
    assert done.witnesses == ("witness.example/one",)
    leaving = ("keys", "scheduler.db", "scheduler.db-wal", "scheduler.db-shm", "log")
    assert contents(back, *leaving) == contents(state.folder, *leaving)
    assert contents(back / "log" / "public").items() <= contents(state.log / "public").items()
    assert backup.stat().st_mode & 0o077 == 0
    assert {path.name for path in tmp_path.iterdir()} == {"b.tar", "back", "scheduler"}

    (state.folder / "keys").rename(back / "keys")
    with opened(State(back)) as desk:
        outbox.require_one_moment(desk.store, desk.log)  # type: ignore[arg-type]
        asyncio.run(publish(desk, "and it goes on"))
        assert desk.log.size == 4  # type: ignore[attr-defined]


def test_backups_of_a_scheduler_at_work_are_each_of_one_moment(
    state: State, tmp_path: Path
) -> None:
    """It logs as fast as it can meanwhile; every copy opens, and none is of two moments."""
    over, written = threading.Event(), [0]
    begun = threading.Event()

    with opened(state) as desk:

        async def work() -> None:
            while not over.is_set():
                await publish(desk, f"busy {written[0]}")
                written[0] += 1
                begun.set()

        busy = threading.Thread(target=lambda: asyncio.run(work()))
        busy.start()
        try:
            assert begun.wait(30)
            taken = [take(state, tmp_path / f"{n}.tar", CLOCK, SYSTEM) for n in range(6)]
        finally:
            over.set()
            busy.join()
    sizes = [one.log_size for one in taken]
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0], "it worked meanwhile"
    for number, size in enumerate(sizes):
        back = tmp_path / f"back{number}"
        restore(tmp_path / f"{number}.tar", back, CLOCK, ask=lambda _, size=size: [Witness(size)])  # type: ignore[misc]


def test_what_is_logged_between_two_copies_is_in_both_or_in_neither(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document is published at the one instant that matters; it has to wait for the lock."""
    reading, instant, logged = taking._small_files, threading.Event(), threading.Event()
    with opened(state) as desk:

        def publisher() -> None:
            instant.wait(30)
            asyncio.run(publish(desk, "in between"))
            logged.set()

        def read(folder: Path) -> taking._Log:
            instant.set()
            # As long as a commit takes many times over: without the lock it would be there now.
            assert not logged.wait(0.5)
            return reading(folder)

        monkeypatch.setattr(taking, "_small_files", read)
        busy = threading.Thread(target=publisher)
        busy.start()
        taken = take(state, tmp_path / "b.tar", CLOCK, SYSTEM)
        assert logged.wait(30), "it waited, and nothing more"
        busy.join()
        assert (taken.log_size, desk.log.size) == (3, 4)  # type: ignore[attr-defined]
    restore(tmp_path / "b.tar", tmp_path / "back", CLOCK, ask=lambda _: [Witness(3)])


@pytest.mark.parametrize("keyed", [False, True])
def test_keys_are_in_it_only_when_asked_and_sealed(
    state: State, tmp_path: Path, keyed: bool
) -> None:
    backup, back = tmp_path / "b.tar", tmp_path / "back"
    take(state, backup, CLOCK, SYSTEM, passphrase=PHRASE if keyed else None)
    raw = backup.read_bytes()
    for path in (state.folder / "keys").iterdir():
        if path.suffix != ".pub":
            assert path.read_bytes().strip()[-40:] not in raw, path
    if not keyed:
        with pytest.raises(BackupRefused, match="holds no keys"):
            restore(backup, back, CLOCK, passphrase=PHRASE)
        return
    with pytest.raises(BackupRefused, match="do not open"):
        restore(backup, back, CLOCK, passphrase=PHRASE + b"!")
    assert not back.exists()
    assert restore(backup, back, CLOCK, passphrase=PHRASE).with_keys
    assert contents(back / "keys") == contents(state.folder / "keys")
    assert all(path.stat().st_mode & 0o077 == 0 for path in (back / "keys").iterdir())
    assert not (back / "keys.sealed").exists()


@pytest.mark.parametrize(
    ("size", "refusal", "says"),
    [
        (4, BackupOutlived, "1 were logged after"),
        (None, BackupRefused, "it does not answer"),
        (2, None, ""),  # it had not yet cosigned the last one: the log will show it
    ],
)
def test_the_witnesses_say_whether_the_log_went_on(
    state: State, tmp_path: Path, size: int | None, refusal: type[Exception] | None, says: str
) -> None:
    backup, back = tmp_path / "b.tar", tmp_path / "back"
    take(state, backup, CLOCK, SYSTEM)
    if refusal is None:
        restore(backup, back, CLOCK, ask=lambda _: [Witness(3), Witness(size)])
        assert back.exists()
        return
    with pytest.raises(refusal, match=says):
        restore(backup, back, CLOCK, ask=lambda _: [Witness(3), Witness(size)])
    assert not back.exists(), "nothing stays that somebody could start"
    assert {path.name for path in tmp_path.iterdir()} == {"b.tar", "scheduler"}


def rewritten(source: Path, target: Path, change) -> None:  # type: ignore[no-untyped-def]
    """The archive with each member as `change(name, data)` gives it; None leaves it out."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for entry in old:
            stream = old.extractfile(entry)
            assert stream is not None
            data = change(entry.name, stream.read())
            if data is not None:
                entry.size = len(data)
                new.addfile(entry, io.BytesIO(data))


def test_an_altered_or_broken_file_is_refused(state: State, tmp_path: Path) -> None:
    backup, bad, back = tmp_path / "b.tar", tmp_path / "bad.tar", tmp_path / "back"
    take(state, backup, CLOCK, SYSTEM)

    def attempt(says: str) -> None:
        with pytest.raises(BackupRefused, match=says):
            restore(bad, back, CLOCK)
        assert not back.exists()

    for length in (0, 100, 2_000, backup.stat().st_size // 2):
        bad.write_bytes(backup.read_bytes()[:length])
        attempt("no whole backup")
    rewritten(backup, bad, lambda name, data: None if name == MANIFEST else data)
    attempt("no whole backup")
    rewritten(backup, bad, lambda name, data: None if name == "offer.json" else data)
    attempt("offer.json")
    rewritten(backup, bad, lambda name, data: data + b" " if name == "config.json" else data)
    attempt("config.json")


@pytest.mark.parametrize(
    "name", ["../../escape", "/etc/passwd", "keys/orders", "log/public/../x", "scheduler.db-wal"]
)
def test_no_name_leads_out_of_the_folder(state: State, tmp_path: Path, name: str) -> None:
    bad, back = tmp_path / "bad.tar", tmp_path / "deep" / "back"
    back.parent.mkdir()
    with tarfile.open(bad, "w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"evil"))
    with pytest.raises(BackupRefused, match="nothing that a backup holds"):
        restore(bad, back, CLOCK)
    link = tarfile.TarInfo("config.json")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(bad, "w") as tar:
        tar.addfile(link)
    with pytest.raises(BackupRefused, match="nothing that a backup holds"):
        restore(bad, back, CLOCK)
    assert list(back.parent.iterdir()) == []


def test_an_honest_manifest_over_two_moments_is_refused(state: State, tmp_path: Path) -> None:
    """Somebody packs files of two backups: hashes fit, the moments do not."""
    with opened(state) as desk:
        old = tmp_path / "old.db"
        with closing(sqlite3.connect(state.database)) as a, closing(sqlite3.connect(old)) as b:
            a.backup(b)
            b.execute("PRAGMA journal_mode=DELETE").fetchall()
        asyncio.run(publish(desk, "since"))
    mixed = tmp_path / "mixed.tar"
    take(state, tmp_path / "b.tar", CLOCK, SYSTEM)
    with tarfile.open(tmp_path / "b.tar") as tar, mixed.open("wb") as out:
        writer = Writer(out)
        manifest: Manifest | None = None
        for entry in tar:
            stream = tar.extractfile(entry)
            assert stream is not None
            if entry.name == MANIFEST:
                manifest = Manifest.parse(stream.read())
            elif entry.name == "scheduler.db":
                writer.copy(entry.name, old)
            else:
                writer.add(entry.name, stream.read())
        assert manifest is not None
        root = bytes.fromhex(manifest.log_root)
        writer.close(manifest.territory, manifest.taken_at, manifest.log_size, root)
    with pytest.raises(DatabaseRestored, match="the database was restored"):
        restore(mixed, tmp_path / "back", CLOCK)


def test_a_log_that_lost_a_tile_is_found(state: State, tmp_path: Path) -> None:
    tile = next((state.log / "public" / "tile" / "entries").rglob("*.p/3"))
    tile.unlink()
    take(state, tmp_path / "b.tar", CLOCK, SYSTEM)
    with pytest.raises(LogDamaged):
        restore(tmp_path / "b.tar", tmp_path / "back", CLOCK)


def test_nothing_is_ever_overwritten(state: State, tmp_path: Path) -> None:
    backup = tmp_path / "b.tar"
    take(state, backup, CLOCK, SYSTEM)
    before = backup.read_bytes()
    with pytest.raises(BackupRefused, match="there already"):
        take(state, backup, CLOCK, SYSTEM)
    assert backup.read_bytes() == before
    with pytest.raises(BackupRefused, match="not empty"):
        restore(backup, state.folder, CLOCK)
    back = tmp_path / "back"
    back.mkdir()
    restore(backup, back, CLOCK)  # an empty one, as a mount point is


def test_a_disk_that_cannot_be_written_to_is_named(state: State, tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="not written"):
        take(state, tmp_path / "nowhere" / "b.tar", CLOCK, SYSTEM)


@pytest.mark.parametrize("phrase", ["short", ""])
def test_a_passphrase_is_long(tmp_path: Path, phrase: str) -> None:
    path = tmp_path / "phrase"
    path.write_text(phrase + "\n")
    with pytest.raises(BackupRefused, match="characters"):
        sealing.passphrase_in(path)


def test_a_manifest_of_tomorrow_is_refused() -> None:
    made = Manifest("a", CLOCK.now().replace(microsecond=0), 1, "00", {"config.json": (1, "x")})
    assert Manifest.parse(made.emit()) == made
    newer = json.dumps({**json.loads(made.emit()), "format": "cadastre-backup-v2"}).encode()
    for data in (newer, b"", b"[]", b"{}"):
        with pytest.raises(BackupRefused, match="newer release"):
            Manifest.parse(data)
