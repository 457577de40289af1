"""What a trustee's program must not forget: one SQLite file, 0600.

It holds the private key that shares are sealed to, and for each round the one opening that the
share was given for. A share itself is never in it, other than sealed to the keyholder.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from durable.files import make_directory
from governance.transactions import transaction
from governance.trustee.errors import TrusteeStateRefused
from trust.ids import CampaignId, Digest

SCHEMA_VERSION = 1
FILE_NAME = "trustee.sqlite"

_SCHEMA = """
CREATE TABLE trustee (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  territory TEXT NOT NULL,
  status INTEGER NOT NULL,          -- highest number of a governance status ever seen
  secret BLOB,                      -- X25519 private key
  certificate BLOB                  -- TrusteeKey envelope
);
CREATE TABLE given (
  campaign TEXT NOT NULL,
  round INTEGER NOT NULL,
  question TEXT NOT NULL,           -- digest of epoch, batch and sums: the only one for ever
  request TEXT NOT NULL,            -- digest of the ShareRequest that was answered last
  returned BLOB NOT NULL,           -- ShareReturned envelope
  sealed BLOB NOT NULL,             -- the share, sealed to that request's key
  PRIMARY KEY (campaign, round)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Identity:
    """The sealing key, and its public half as the trustee signed it."""

    secret: bytes = field(repr=False)
    certificate: bytes


@dataclass(frozen=True)
class Given:
    """The share as it was given for one round."""

    campaign: CampaignId
    round: int
    question: Digest
    request: Digest
    returned: bytes
    sealed: bytes


class Memory:
    """A trustee's state; every method is one durable transaction."""

    def __init__(self, folder: Path, territory: str) -> None:
        """Open or make it. Raises TrusteeStateRefused."""
        make_directory(folder, mode=0o700)
        self._path = folder / FILE_NAME
        if not self._path.exists():
            self._path.touch(mode=0o600)
        self._connection = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        try:
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA secure_delete = ON")
            with self._transaction() as sql:
                self._prepare(sql, territory)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise TrusteeStateRefused(
                f"{self._path} is not a readable SQLite file",
                remedy="restore it from a backup, or make a new key with `cadastre trustee init`",
            ) from error
        except TrusteeStateRefused:
            self._connection.close()
            raise

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def identity(self) -> Identity | None:
        """The trustee's sealing key, once it was made."""
        with self._transaction() as sql:
            secret, certificate = sql.execute("SELECT secret, certificate FROM trustee").fetchone()
        return None if secret is None else Identity(secret, certificate)

    def become(self, make: Callable[[], Identity]) -> Identity:
        """The key that is there, or else the one that `make` gives, kept."""
        with self._transaction() as sql:
            secret, certificate = sql.execute("SELECT secret, certificate FROM trustee").fetchone()
            if secret is not None:
                return Identity(secret, certificate)
            made = make()
            sql.execute(
                "UPDATE trustee SET secret = ?, certificate = ?", [made.secret, made.certificate]
            )
        return made

    def given(self, campaign: CampaignId, number: int) -> Given | None:
        """For what the share was given in one round."""
        with self._transaction() as sql:
            row = sql.execute(
                "SELECT * FROM given WHERE campaign = ? AND round = ?", [campaign, number]
            ).fetchone()
        return None if row is None else _given(row)

    def give(self, given: Given) -> Given:
        """Remember it before it is sent; answers what counts.

        Another request for the same question replaces the answer; another question never does.
        """
        with self._transaction() as sql:
            sql.execute(
                "INSERT INTO given VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (campaign, round) "
                "DO UPDATE SET request = excluded.request, returned = excluded.returned, "
                "sealed = excluded.sealed WHERE question = excluded.question",
                [
                    given.campaign,
                    given.round,
                    given.question,
                    given.request,
                    given.returned,
                    given.sealed,
                ],
            )
            row = sql.execute(
                "SELECT * FROM given WHERE campaign = ? AND round = ?",
                [given.campaign, given.round],
            ).fetchone()
        return _given(row)

    def history(self) -> list[Given]:
        """Every round that the share was given for."""
        with self._transaction() as sql:
            rows = sql.execute("SELECT * FROM given ORDER BY campaign, round").fetchall()
        return [_given(row) for row in rows]

    def status_number(self) -> int:
        """The highest number of a governance status that was ever taken."""
        with self._transaction() as sql:
            (number,) = sql.execute("SELECT status FROM trustee").fetchone()
        return int(number)

    def keep_status_number(self, number: int) -> None:
        """Remember it before the status is used: a lower one is a replay from then on."""
        with self._transaction() as sql:
            sql.execute("UPDATE trustee SET status = max(status, ?)", [number])

    def _prepare(self, sql: sqlite3.Connection, territory: str) -> None:
        (version,) = sql.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _SCHEMA.split(";\n"):
                if statement.strip():
                    sql.execute(statement)
            sql.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            sql.execute("INSERT INTO trustee VALUES (1, ?, 0, NULL, NULL)", [territory])
            return
        if version != SCHEMA_VERSION:
            raise TrusteeStateRefused(
                f"{self._path} has schema {version}, this program knows {SCHEMA_VERSION}",
                remedy="run the release that wrote it",
            )
        (owner,) = sql.execute("SELECT territory FROM trustee").fetchone()
        if owner != territory:
            raise TrusteeStateRefused(
                f"{self._path} is of a trustee of {owner}, not of {territory}",
                remedy="give the state folder of this territory",
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with transaction(self._connection) as sql:
            yield sql


def _given(row: Sequence[object]) -> Given:
    campaign, number, question, request, returned, sealed = row
    if not isinstance(returned, bytes) or not isinstance(sealed, bytes):
        raise TrusteeStateRefused("the trustee's database holds a text where a blob was stored")
    return Given(
        CampaignId.parse(str(campaign)),
        int(str(number)),
        Digest.parse(str(question)),
        Digest.parse(str(request)),
        returned,
        sealed,
    )
