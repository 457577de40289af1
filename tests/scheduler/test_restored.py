"""A scheduler whose database and log are of two moments does not start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import select

from durable.blobs import BlobFolder
from scheduler.errors import DatabaseRestored
from scheduler.meters import Meters
from scheduler.service import outbox
from scheduler.store.store import Store, Transaction, open_store
from scheduler.store.tables import InstallationRow, LogRow
from trust.clock import ManualClock
from trust.ids import Digest
from trust.log.entry import Kind, LogEntry

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class Stored:
    """A log as it lies on the disk."""

    entries: list[bytes] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.entries)

    def holds(self, entry: bytes) -> bool:
        return entry in self.entries

    def append(self, envelope: bytes) -> None:
        self.entries.append(LogEntry(Kind.OPENING, Digest.of(envelope)).emit())


@dataclass(frozen=True)
class Shelf:
    blobs: BlobFolder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "s.db", ManualClock(START), Meters())
    opened.run(
        "own",
        lambda tx: tx.session.add(InstallationRow(id=1, territory="x", clock_mark=tx.now)),
    )
    yield opened
    opened.close()


def queue(store: Store, folder: Path, envelope: bytes, position: int | None) -> None:
    def work(tx: Transaction) -> None:
        outbox.publish_raw(tx, Shelf(BlobFolder(folder)), Kind.OPENING, envelope)
        digest = Digest.of(envelope)
        row = tx.session.exec(select(LogRow).where(LogRow.digest == digest)).one()
        row.position = position

    store.run("queue", work)


def test_whatever_a_crash_leaves_is_one_moment(store: Store, tmp_path: Path) -> None:
    log = Stored()
    outbox.require_one_moment(store, log)
    queue(store, tmp_path / "blobs", b"settled", 0)
    log.append(b"settled")
    queue(store, tmp_path / "blobs", b"queued", None)
    outbox.require_one_moment(store, log)
    log.append(b"queued")  # appended, and the answer lost
    outbox.require_one_moment(store, log)


def test_an_old_copy_of_either_is_found(store: Store, tmp_path: Path) -> None:
    """The scheduler used to go on, and opened and released the same round a second time."""
    log = Stored()
    queue(store, tmp_path / "blobs", b"known", 0)
    with pytest.raises(DatabaseRestored, match="the log was restored"):
        outbox.require_one_moment(store, log)
    log.append(b"known")
    log.append(b"opened since")
    with pytest.raises(DatabaseRestored, match="the database was restored"):
        outbox.require_one_moment(store, log)
