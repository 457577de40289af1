"""A program's SQLite file: whose it is, which release wrote it, what is durable, what is erased.

One row of the holder's own table says the territory and keeps the counters that must survive a
crash. Whatever else a program must not forget is in the tables of its Layout.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from durable.files import make_directory
from governance.errors import GovernanceError
from governance.transactions import transaction

BUSY_SECONDS = 10  # for another process, the command line, to finish its transaction
# A reader may take its time: the next question does not wait for it. In milliseconds.
ERASING_PATIENCE = 100


@dataclass(frozen=True)
class Layout:
    """What a program's file is; `refused` is raised for one that it cannot work with."""

    holder: str  # as in "the helper of pays.example"
    refused: type[GovernanceError]
    loss: str  # what to do when the file cannot be read
    version: int
    tables: tuple[str, ...]  # SQL scripts that make a file of this version
    table: str  # the one with the holder's row: one, territory and the counters
    counters: tuple[str, ...] = ("status",)
    steps: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # what makes n to n + 1
    journal: str = "WAL"
    secret: bool = True  # what is deleted is gone from the disk

    def blob(self, value: object) -> bytes:
        """A column that was written as bytes. Raises `refused`."""
        if not isinstance(value, bytes):
            raise self.refused(
                f"the {self.holder}'s database holds a text where a blob was stored",
                remedy="somebody changed it: restore it from a backup",
            )
        return value

    def blob_or_none(self, value: object) -> bytes | None:
        """A column that may be empty. Raises `refused`."""
        return None if value is None else self.blob(value)


def connect(layout: Layout, path: Path) -> sqlite3.Connection:
    """The file at `path` for the threads of one process, made 0600 when there is none.

    Raises `layout.refused` for what SQLite does not take for a database.
    """
    if not path.exists():
        path.touch(mode=0o600)
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute(f"PRAGMA journal_mode = {layout.journal}")
        connection.execute("PRAGMA synchronous = FULL")
        if layout.secret:
            # What is deleted is overwritten with zeros, not only unlinked from its page.
            connection.execute("PRAGMA secure_delete = ON")
            # Nothing spills into a temporary file.
            connection.execute("PRAGMA temp_store = MEMORY")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise _unreadable(layout, path) from error
    return connection


def prepare(layout: Layout, sql: sqlite3.Connection, territory: str, path: Path) -> None:
    """Make the tables, or bring them to this release's version; inside the caller's transaction.

    Raises `layout.refused` for the file of a later release or of another territory.
    """
    (version,) = sql.execute("PRAGMA user_version").fetchone()
    if version == 0:
        _run(sql, layout.tables)
        columns = ", ".join(("one", "territory", *layout.counters))
        zeros = ", 0" * len(layout.counters)
        sql.execute(
            f"INSERT INTO {layout.table} ({columns}) VALUES (1, ?{zeros})",  # noqa: S608 - names
            [territory],
        )
        version = layout.version
        sql.execute(f"PRAGMA user_version = {version}")
    while version in layout.steps:
        _run(sql, layout.steps[version])
        version += 1
        sql.execute(f"PRAGMA user_version = {version}")
    if version != layout.version:
        raise layout.refused(
            f"{path} has schema {version}, this program knows {layout.version}",
            remedy="run the release that wrote it",
        )
    (owner,) = sql.execute(
        f"SELECT territory FROM {layout.table}"  # noqa: S608 - a name of the program's own
    ).fetchone()
    if owner != territory:
        raise layout.refused(
            f"{path} is of the {layout.holder} of {owner}, not of {territory}",
            remedy="give the state folder of this territory",
        )


class StateFile:
    """The open file of a program that holds secrets; safe for many threads of one process.

    Its holder's row has the counter `status`. Every method is one durable transaction.
    """

    def __init__(self, layout: Layout, path: Path, territory: str) -> None:
        """Open or make it, and finish what a crash left of an erasure. Raises `layout.refused`."""
        make_directory(path.parent, mode=0o700)
        self._layout = layout
        self._lock = threading.Lock()
        self._connection = connect(layout, path)
        try:
            with self._transaction() as sql:
                prepare(layout, sql, territory, path)
            self.erase()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise _unreadable(layout, path) from error
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()

    def erase(self) -> bool:
        """Empty the write-ahead log, which holds pages as they were; whether nothing is left.

        While another process reads the file its pages stay: the clock's next turn tries again.
        It may also have been another process that deleted something, so there is always a try.
        """
        with self._lock:
            self._connection.execute(f"PRAGMA busy_timeout = {ERASING_PATIENCE}")
            row = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
            return not row[0]

    def status_number(self) -> int:
        """The highest number of a governance status that was ever taken."""
        with self._transaction() as sql:
            (number,) = sql.execute(
                f"SELECT status FROM {self._layout.table}"  # noqa: S608 - a name of our own
            ).fetchone()
        return int(number)

    def keep_status_number(self, number: int) -> None:
        """Remember it before the status is used: a lower one is a replay from then on."""
        with self._transaction() as sql:
            sql.execute(
                f"UPDATE {self._layout.table} SET status = max(status, ?)",  # noqa: S608 - as above
                [number],
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, transaction(self._connection) as sql:
            yield sql


def _run(sql: sqlite3.Connection, scripts: tuple[str, ...]) -> None:
    for script in scripts:
        for statement in script.split(";\n"):
            if statement.strip():
                sql.execute(statement)


def _unreadable(layout: Layout, path: Path) -> GovernanceError:
    return layout.refused(f"{path} is not a readable SQLite file", remedy=layout.loss)
