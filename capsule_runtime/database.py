"""SQLite files of the capsule runtime: durable, refusing what they do not understand.

WAL with synchronous=FULL: when a transaction has returned it survives a power cut; if we
crash inside one, nothing of it exists. secure_delete overwrites deleted rows with zeros.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from capsule_runtime.capsules.errors import DatabaseRefused
from durable.errors import DiskFull, StorageFailed
from durable.files import make_directory

# A command line and the running worker write the same file in turn; imports take seconds.
BUSY_SECONDS = 30.0


class Database:
    """One SQLite file of a known application and schema version."""

    def __init__(
        self, path: Path, *, application: int, version: int, schema: tuple[str, ...]
    ) -> None:
        """Open or create `path`. Raises DatabaseRefused or StorageFailed."""
        self.path = path
        # One connection serves all threads of a process, so a transaction excludes the others.
        self._lock = threading.RLock()
        make_directory(path.parent, 0o700)
        _create_private(path)
        with translated(path):
            self.connection = sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(application, version, schema)
            except BaseException:
                self.connection.close()
                raise

    def _prepare(self, application: int, version: int, schema: tuple[str, ...]) -> None:
        run = self.connection.execute
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")
        run("PRAGMA secure_delete=ON")
        run("PRAGMA foreign_keys=ON")
        # The marks are written in the same transaction as the tables: a crash during creation
        # leaves an empty file, which the next start creates again.
        run("BEGIN IMMEDIATE")
        try:
            found = (_number(run, "application_id"), _number(run, "user_version"))
            empty = run("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            if found == (0, 0) and empty:
                for statement in schema:
                    run(statement)
                run(f"PRAGMA application_id={application}")
                run(f"PRAGMA user_version={version}")
                found = (application, version)
            run("COMMIT")
        except BaseException:
            run("ROLLBACK")
            raise
        if found[0] != application:
            raise DatabaseRefused(
                f"{self.path} is not the state file that this program keeps under that name",
                remedy="check the --state directory; do not point two programs at one file",
            )
        if found[1] != version:
            raise DatabaseRefused(
                f"{self.path} has schema version {found[1]}, this program knows {version}",
                remedy="start the Cadastre version that wrote it, or upgrade this one",
            )
        if run("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check failed")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing: committed and on disk when the block has ended without an error."""
        with self._lock, translated(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection for a single query, with errors in our own words."""
        with self._lock, translated(self.path):
            yield self.connection

    def scrub(self) -> None:
        """Empty the write-ahead log, which still holds pages from before a deletion."""
        with self._lock, translated(self.path):
            busy = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise StorageFailed(
                f"{self.path} is in use, so deleted bytes could not all be overwritten yet",
                remedy="repeat the command once the other program is idle",
            )

    def close(self) -> None:
        """Release the file."""
        self.connection.close()


def _create_private(path: Path) -> None:
    # SQLite gives its side files the mode and owner of the main file, so both must be right from
    # the start: root who hosts capsules for a worker must not leave files that the worker can't
    # write.
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.geteuid() == 0:
                home = path.parent.stat()
                os.fchown(descriptor, home.st_uid, home.st_gid)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageFailed.writing(path, error) from error


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about `path` into refusals with a remedy."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise DiskFull(
                f"the disk that holds {path.parent} is full",
                remedy="free some space there; nothing was lost or half written",
            ) from error
        raise StorageFailed(
            f"could not use {path}: {error}",
            remedy="check the file's permissions and that no other program holds it",
        ) from error
    except sqlite3.DatabaseError as error:
        raise DatabaseRefused(
            f"{path} is damaged or is no database: {error}",
            remedy="keep a copy of it, then restore this file from a backup",
        ) from error


def _number(run: object, pragma: str) -> int:
    assert callable(run)
    return int(run(f"PRAGMA {pragma}").fetchone()[0])
