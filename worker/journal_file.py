"""The journal's file: SQLite that is opened, checked, brought up to date and written whole.

WAL with synchronous=FULL: what a transaction has returned from is on disk; if we crash inside
one, nothing of it is. A damaged, foreign or newer file is refused, never repaired: without its
journal a worker could say something twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from durable.errors import DiskFull, StorageFailed
from worker.errors import JournalRefused

FILE_NAME = "journal.sqlite"
BUSY_SECONDS = 10.0
# Pages of the write-ahead log after which a commit copies them into the database (SQLite's own
# default), and how many may wait while a large write is put off: 64 MiB.
_USUAL_PAGES, _MOST_PAGES = 1_000, 16_384
_APPLICATION = 0x43414405  # "CAD", file kind 5
_VERSION = 5
_SCHEMA = (
    # One row: counters that only grow, and the exchange that waits for its answer.
    """CREATE TABLE counter (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        sequence INTEGER NOT NULL, status_number INTEGER NOT NULL,
        ledger_counter INTEGER NOT NULL, ledger_hash BLOB NOT NULL, outgoing BLOB
    )""",
    "INSERT INTO counter VALUES (1, 0, 0, 0, zeroblob(32), NULL)",
    # The one plan of a round and the vote that it rests on; rho is the price of one
    # contribution, once it is known; begun_at: seconds since 1970, 0 for those of before
    # version 5. Never deleted: budgets and campaigns are counted from it.
    """CREATE TABLE round (
        campaign TEXT NOT NULL, round INTEGER NOT NULL, plan TEXT NOT NULL, rho TEXT,
        authorisation TEXT NOT NULL, begun_at INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (campaign, round)
    ) WITHOUT ROWID""",
    "CREATE INDEX round_vote ON round(authorisation)",
    # What this worker said about one round: never a second one, whatever the attempt. The row
    # is never deleted; once it is retired, its envelope and content are empty.
    """CREATE TABLE statement (
        campaign TEXT NOT NULL, round INTEGER NOT NULL, kind TEXT NOT NULL,
        plan TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, envelope BLOB NOT NULL,
        content BLOB NOT NULL, retired_at INTEGER, sealed BLOB,
        PRIMARY KEY (campaign, round, kind)
    )""",
    # Finished attempts; a receipt ends the repetition. `receipted_at`: seconds since 1970 at the
    # first pruning that saw the receipt.
    """CREATE TABLE report (
        attempt TEXT PRIMARY KEY, body BLOB NOT NULL,
        receipt BLOB, orders TEXT, receipted_at INTEGER
    )""",
    # Signed order batches that receipts stand in.
    "CREATE TABLE receipt (orders TEXT PRIMARY KEY, envelope BLOB NOT NULL)",
)
# Version -> what makes it the next one. Version 1 was never released.
_STEPS = {
    2: (
        "ALTER TABLE statement ADD COLUMN retired_at INTEGER",
        "ALTER TABLE report ADD COLUMN receipted_at INTEGER",
    ),
    # Reports say from now on whether a sealed share goes with them; those before had none.
    3: (
        "ALTER TABLE statement ADD COLUMN sealed BLOB",
        """UPDATE report SET body = CAST(json_set(CAST(body AS TEXT), '$.sealed', NULL) AS BLOB)
        WHERE length(body) > 0""",
    ),
    4: ("ALTER TABLE round ADD COLUMN begun_at INTEGER NOT NULL DEFAULT 0",),
}


class JournalFile:
    """One open journal."""

    def __init__(self, state: Path) -> None:
        """Open or create `<state>/journal.sqlite`. Raises JournalRefused or StorageFailed."""
        self._path = state / FILE_NAME
        with self.translated():
            self._connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise
        self._path.chmod(0o600)
        self._behind = False

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def one(self, query: str, values: Sequence[object] = ()) -> Any:
        """The first column of the first row, or None."""
        row = self.row(query, values)
        return None if row is None else row[0]

    def row(self, query: str, values: Sequence[object] = ()) -> Any:
        """The first row, or None."""
        with self.translated():
            return self._connection.execute(query, values).fetchone()

    def rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        """Every row."""
        with self.translated():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing. Raises DiskFull, StorageFailed or JournalRefused."""
        with self.translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def put_off(self) -> None:
        """Leave what is committed from now on in the write-ahead log, until `catch_up`.

        It is on disk there. Copying megabytes into the database would take as long again, while
        somebody waits for what was written.
        """
        if not self._behind:
            self.one(f"PRAGMA wal_autocheckpoint={_MOST_PAGES}")
            self._behind = True

    def catch_up(self) -> None:
        """Copy what was put off; if we crash before, the next opening reads it from the log.

        A full disk is told by the next write: what is in the log is safe there.
        """
        if self._behind:
            with suppress(StorageFailed):
                self.rows("PRAGMA wal_checkpoint(PASSIVE)")
                self.one(f"PRAGMA wal_autocheckpoint={_USUAL_PAGES}")
                self._behind = False

    @contextmanager
    def translated(self) -> Iterator[None]:
        """SQLite's errors in our words."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise DiskFull(
                    f"the disk that holds {self._path.parent} is full",
                    remedy="free some space there; nothing was lost or half written, work resumes",
                ) from error
            raise StorageFailed(
                f"could not use {self._path}: {error}",
                remedy="check the file's permissions and that no other program holds it",
            ) from error
        except sqlite3.DatabaseError as error:
            raise JournalRefused(
                f"{self._path} is damaged or is no database: {error}",
                remedy="keep a copy of it, stop this worker and ask the territory's operator: "
                "without its journal a worker could say something twice",
            ) from error

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")
        run("BEGIN IMMEDIATE")
        try:
            self._bring_up_to_date()
            run("COMMIT")
        except BaseException:
            run("ROLLBACK")
            raise
        if run("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check failed")

    def _bring_up_to_date(self) -> None:
        """Create or migrate, inside one transaction. Raises JournalRefused."""
        run = self._connection.execute
        application = run("PRAGMA application_id").fetchone()[0]
        version = run("PRAGMA user_version").fetchone()[0]
        if (application, version) == (0, 0) and not run("SELECT 1 FROM sqlite_master").fetchone():
            for statement in _SCHEMA:
                run(statement)
            run(f"PRAGMA application_id={_APPLICATION}")
            application, version = _APPLICATION, _VERSION
        if application != _APPLICATION:
            raise JournalRefused(
                f"{self._path} is not a worker's journal",
                remedy="check the --state directory; do not point two programs at one file",
            )
        while version in _STEPS:
            for statement in _STEPS[version]:
                run(statement)
            version += 1
        if version != _VERSION:
            raise JournalRefused(
                f"{self._path} has schema version {version}, this program knows {_VERSION}",
                remedy="start the Cadastre version that wrote it, or upgrade this one",
            )
        run(f"PRAGMA user_version={_VERSION}")
