"""The tables of the keyholder's file, made when it is first opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from durable.files import make_directory
from governance.keyholder.errors import KeyholderStateRefused

SCHEMA_VERSION = 1
FILE_NAME = "keyholder.sqlite"

_SCHEMA = """
CREATE TABLE keyholder (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  territory TEXT NOT NULL,
  status INTEGER NOT NULL           -- highest number of a governance status ever seen
);
CREATE TABLE campaign (
  id TEXT PRIMARY KEY,
  engagement BLOB NOT NULL,         -- the leader's envelope
  authorisation BLOB NOT NULL,      -- the college's envelope
  proof BLOB NOT NULL,              -- that it is logged
  rounds INTEGER NOT NULL           -- over which the vote splits its price
) WITHOUT ROWID;
CREATE TABLE epoch (
  campaign TEXT PRIMARY KEY REFERENCES campaign (id),
  certificate BLOB NOT NULL,        -- EpochKey envelope
  public BLOB NOT NULL,             -- public context
  not_after TEXT NOT NULL,
  wrapped BLOB,                     -- secret key under the shared wrapping key; NULL once retired
  retired BLOB                      -- EpochRetired envelope
);
CREATE TABLE entrusted (
  campaign TEXT NOT NULL REFERENCES epoch (campaign),
  place INTEGER NOT NULL,
  trustee BLOB NOT NULL,            -- TrusteeKey envelope
  sealed BLOB,                      -- the share, sealed to that key; NULL once retired
  PRIMARY KEY (campaign, place)
) WITHOUT ROWID;
CREATE TABLE round (
  campaign TEXT NOT NULL REFERENCES epoch (campaign),
  number INTEGER NOT NULL,
  asked TEXT NOT NULL,              -- digest of what was asked: plan and sorted reports
  plan BLOB NOT NULL,
  proof BLOB NOT NULL,
  epoch_proof BLOB NOT NULL,
  logged INTEGER NOT NULL,          -- the EpochKey's index in the log
  accept BLOB NOT NULL,             -- AcceptList envelope
  question TEXT,                    -- digest of the one opening that was asked for
  opened BLOB,                      -- AggregateOpened envelope
  "values" BLOB,                    -- the blob that it names
  PRIMARY KEY (campaign, number)
) WITHOUT ROWID;
CREATE TABLE report (
  campaign TEXT NOT NULL,
  round INTEGER NOT NULL,
  id TEXT NOT NULL,
  partial BLOB NOT NULL,            -- the worker's envelope
  operator TEXT NOT NULL,
  PRIMARY KEY (campaign, round, id)
) WITHOUT ROWID;
CREATE TABLE record (
  campaign TEXT NOT NULL,
  round INTEGER NOT NULL,
  place INTEGER NOT NULL,           -- 0 is the ShareRequest
  envelope BLOB NOT NULL,
  PRIMARY KEY (campaign, round, place)
) WITHOUT ROWID;
"""


def open_database(folder: Path, territory: str) -> sqlite3.Connection:
    """The keyholder's file in `folder`, made when there is none. Raises KeyholderStateRefused."""
    make_directory(folder, mode=0o700)
    path = folder / FILE_NAME
    if not path.exists():
        path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # What is deleted is overwritten with zeros, not only unlinked from its page.
        connection.execute("PRAGMA secure_delete = ON")
        # Nothing spills into a temporary file.
        connection.execute("PRAGMA temp_store = MEMORY")
        _prepare(connection, territory, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise KeyholderStateRefused(
            f"{path} is not a readable SQLite file",
            remedy="restore it from a backup; rounds that it had opened stay closed by the log",
        ) from error
    except KeyholderStateRefused:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, territory: str, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _SCHEMA.split(";\n"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("INSERT INTO keyholder VALUES (1, ?, 0)", [territory])
        else:
            _require_ours(connection, version, territory, path)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _require_ours(connection: sqlite3.Connection, version: int, territory: str, path: Path) -> None:
    if version != SCHEMA_VERSION:
        raise KeyholderStateRefused(
            f"{path} has schema {version}, this program knows {SCHEMA_VERSION}",
            remedy="run the release that wrote it",
        )
    (owner,) = connection.execute("SELECT territory FROM keyholder").fetchone()
    if owner != territory:
        raise KeyholderStateRefused(
            f"{path} is the keyholder of {owner}, not of {territory}",
            remedy="give the state folder of this territory",
        )
