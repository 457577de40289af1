"""The registry's file: its schema, its salt, and transactions that are durable or did not happen.

Whatever SQLite says against a read or a write leaves here as StorageFailed: the programs above
know what to do with a refusal, and nothing of a driver.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from durable.errors import DiskFull, StorageFailed
from durable.files import make_directory, write_new
from governance.errors import StateRefused
from governance.state_file import Layout, connect, prepare
from governance.transactions import transaction
from trust.entropy import Entropy

_SALT_BYTES = 32

_TABLES = """
-- One row: whose registry this is, and the counters that must survive a crash.
CREATE TABLE state (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  territory TEXT NOT NULL,
  number INTEGER NOT NULL,          -- of the last status that may have been published
  revision INTEGER NOT NULL         -- grows with every accepted change
);
-- The first owner key seen for a capsule, both as keyed hashes.
CREATE TABLE owners (capsule BLOB PRIMARY KEY, owner BLOB NOT NULL) WITHOUT ROWID;
-- The consent with the highest serial per capsule and target.
CREATE TABLE consents (
  capsule BLOB NOT NULL,            -- keyed hash
  target TEXT NOT NULL,             -- bundle digest or purpose:text
  serial INTEGER NOT NULL,
  granted INTEGER NOT NULL,         -- 1 grant, 0 revocation
  worker TEXT NOT NULL,             -- the host that the owner chose
  expires_at TEXT NOT NULL,         -- RFC 3339; of a revocation: until when its token is published
  token TEXT NOT NULL,              -- revocation token, published while revoked
  envelope TEXT NOT NULL,           -- digest of the owner's envelope
  PRIMARY KEY (capsule, target)
) WITHOUT ROWID;
CREATE INDEX consents_by_target ON consents (granted, target, worker, expires_at);
CREATE TABLE suspensions (
  authorisation TEXT PRIMARY KEY,
  reason TEXT NOT NULL,
  issued_at TEXT NOT NULL,
  envelope BLOB NOT NULL            -- the college's own bytes
) WITHOUT ROWID;
"""

_BUDGETS = """
-- Every host that an owner (keyed hash) ever granted anything: each has a ledger of its own.
CREATE TABLE hosts (
  owner BLOB NOT NULL, worker TEXT NOT NULL, PRIMARY KEY (owner, worker)
) WITHOUT ROWID;
CREATE INDEX hosts_by_worker ON hosts (worker);
-- The furthest point that a worker's privacy ledger was ever said to have reached.
CREATE TABLE checkpoints (
  worker TEXT PRIMARY KEY, counter INTEGER NOT NULL, head TEXT NOT NULL, kept_at TEXT NOT NULL
) WITHOUT ROWID;
"""
_HOSTS_OF_BEFORE = """
INSERT OR IGNORE INTO hosts SELECT owners.owner, consents.worker
FROM consents JOIN owners ON owners.capsule = consents.capsule;
"""
# Whoever has a consent of version 1 chose its host.
LAYOUT = Layout(
    holder="registry",
    refused=StateRefused,
    loss="restore the newest copy of the whole folder",
    version=2,
    tables=(_TABLES, _BUDGETS),
    table="state",
    counters=("number", "revision"),
    steps={1: (_BUDGETS, _HOSTS_OF_BEFORE)},
    secret=False,  # rows are replaced, never deleted, and name nobody without the salt
)


class RegistryFile:
    """The open file of one territory's registry; safe for many threads of one process.

    `salt` keys the pseudonyms; it lies in a file of its own, so that a copy of the database
    links no row to a capsule or an owner's key.
    """

    def __init__(self, folder: Path, territory: str, entropy: Entropy) -> None:
        make_directory(folder, mode=0o700)
        self._path = folder / "registry.sqlite"
        self.salt = _salt(folder / "registry.salt", self._path, entropy)
        self._lock = threading.Lock()
        self.connection = connect(LAYOUT, self._path)
        try:
            with self.transaction() as sql:
                prepare(LAYOUT, sql, territory, self._path)
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self.connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection for one question. Raises StorageFailed."""
        with self._lock, self._translated():
            yield self.connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction; undone when the body, or the commit itself, fails.

        Raises StorageFailed. If we crash inside, nothing of it happened.
        """
        with self._lock, self._translated(), transaction(self.connection) as sql:
            yield sql

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise DiskFull(
                    f"the disk that holds {self._path.parent} is full",
                    remedy="free some space there; nothing was lost or half written",
                ) from error
            raise StorageFailed(
                f"the registry {self._path} could not be read or written: {error}",
                remedy="check the disk, and that no other program holds the file open",
            ) from error


def _salt(path: Path, database: Path, entropy: Entropy) -> bytes:
    """The key of the pseudonyms, made once, before the database.

    If we crash between the two, the next start finds the salt and makes the database.
    """
    if not path.exists():
        if database.exists():
            raise StateRefused(
                f"{path} is missing beside its database",
                remedy="restore it from a backup: without it no consent can be matched",
            )
        # Of two first starts at once one writes it, and both read what was written.
        with suppress(FileExistsError):
            write_new(path, entropy(_SALT_BYTES), mode=0o600)
    salt = path.read_bytes()
    if len(salt) != _SALT_BYTES:
        raise StateRefused(
            f"{path} is damaged: it has {len(salt)} bytes", remedy="restore it from a backup"
        )
    return salt
