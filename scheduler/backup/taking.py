"""Taking a backup while the scheduler runs: database and log of one moment, without stopping it.

The database's write lock is held while three small files of the log are read and a reader opens
its snapshot: a few milliseconds. Entries are queued in the database before they are appended, so
whatever that copy of the log holds, that snapshot of the database knows. Everything else follows
afterwards: tiles are written once and never changed, and a blob is there before any row names it.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from durable.blobs import BlobFolder
from durable.files import sync_directory
from scheduler.backup import sealing
from scheduler.backup.archive import DATABASE, PRIVATE, SEALED_KEYS, Manifest, Writer
from scheduler.errors import BackupRefused
from scheduler.log.records import LockRecord, StagedBatch
from scheduler.log.recovery import LOCK, PUBLISHED, STAGED
from scheduler.log.storage import PUBLIC
from scheduler.state import State
from trust.clock import Clock
from trust.entropy import Entropy
from trust.log.checkpoint import Checkpoint
from trust.log.note import Note
from trust.log.tiles import entry_bundles, hash_tiles

# So long a scheduler under full load may keep us from the lock.
_PATIENCE = 30.0
_SINGLE = ("config.json", "authority.der", "offer.json")


@dataclass(frozen=True)
class _Log:
    """The log's small files of one moment; `size` is that of the signed checkpoint."""

    files: dict[str, bytes]
    size: int
    since: int
    root: bytes


def take(
    state: State, out: Path, clock: Clock, entropy: Entropy, *, passphrase: bytes | None = None
) -> Manifest:
    """Write a backup of `state` to `out`, which must not exist; keys only with a passphrase.

    Raises BackupRefused, StateRefused. A crash leaves a `.partial` file beside `out`.
    """
    territory = state.configuration().territory
    if out.exists():
        raise BackupRefused(f"{out} is there already", remedy="choose another name for --out")
    partial = out.with_name(f".{out.name}.partial")
    try:
        with (
            tempfile.NamedTemporaryFile(dir=out.parent, prefix=".cadastre-") as copied,
            open(partial, "xb", opener=_private) as stream,
        ):
            taken_at = clock.now().replace(microsecond=0)
            log = _one_moment(state, Path(copied.name))
            writer = Writer(stream)
            _fill(writer, state, log, Path(copied.name))
            if passphrase is not None:
                keys = {path.name: path.read_bytes() for path in sealing.key_files(state.folder)}
                writer.add(SEALED_KEYS, sealing.seal(keys, passphrase, entropy))
            manifest = writer.close(territory, taken_at, log.size, log.root)
            stream.flush()
            os.fsync(stream.fileno())
        out.hardlink_to(partial)  # unlike a rename it never replaces
        sync_directory(out.parent)
    except OSError as error:
        raise BackupRefused(
            f"the backup was not written to {out}: {error.strerror}",
            remedy="name a folder on another disk that this user may write to",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return manifest


def _fill(writer: Writer, state: State, log: _Log, database: Path) -> None:
    for name in _SINGLE:
        writer.copy(name, state.folder / name)
    for path in sorted((state.folder / "roots").glob("*.json")):
        writer.copy(f"roots/{path.name}", path)
    for name, data in log.files.items():
        writer.add(f"log/{name}", data)
    tiles = {
        tile.path
        for size in (log.size, log.since)
        for tile in (*hash_tiles(size), *entry_bundles(size))
    }
    for tile in sorted(tiles):
        # Of a batch that was staged and not finished, the tiles may not be there yet: opening the
        # log makes them, as after any crash. What is truly missing is found when it is restored.
        with suppress(FileNotFoundError):
            writer.copy(f"log/{PUBLIC}/{tile}", state.log / PUBLIC / tile)
    writer.copy(DATABASE, database)
    blobs = BlobFolder(state.objects)
    for digest in blobs:
        with suppress(FileNotFoundError):  # swept since it was listed
            path = blobs.path(digest)
            writer.copy(f"objects/{path.relative_to(state.objects)}", path)


def _one_moment(state: State, target: Path) -> _Log:
    """Copy the database to `target` and read the log's small files, both of one moment."""
    if not state.database.exists():
        raise BackupRefused(
            "there is no database yet", remedy="start the scheduler once: there is nothing to lose"
        )
    with (
        closing(_open(state.database)) as locking,
        closing(_open(state.database)) as reading,
        closing(sqlite3.connect(target)) as copy,
    ):
        try:
            locking.execute("BEGIN IMMEDIATE")
            reading.execute("BEGIN")
            reading.execute("SELECT 1 FROM installation").fetchall()  # the snapshot begins here
            log = _small_files(state.log)
            locking.execute("ROLLBACK")
            reading.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE").fetchall()
        except sqlite3.Error as error:
            raise BackupRefused(
                f"the database could not be copied: {error}",
                remedy="try again; if it lasts, look at the disk and who else has the file open",
            ) from error
    target.chmod(PRIVATE)
    return log


def _small_files(folder: Path) -> _Log:
    """Published checkpoint, lock record, staged batch: in this order, as recovery compares them.

    What was published is never more than the record knows; and where no batch is staged any more,
    the tiles of the record are there.
    """
    found = {}
    for name in (PUBLISHED, LOCK, STAGED):
        with suppress(FileNotFoundError):
            found[name] = (folder / name).read_bytes()
    if LOCK not in found:
        raise BackupRefused(f"there is no log in {folder}", remedy="install the root first")
    record = LockRecord.parse(found[LOCK])
    head = Checkpoint.parse(Note.parse(record.note).text)
    since = head.size
    if STAGED in found:
        batch = StagedBatch.parse(found[STAGED])
        if batch.since == record.since and batch.since + len(batch.entries) == head.size:
            since = batch.since
    return _Log(found, head.size, since, head.root)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)
