"""What the helper must not forget, and what it must: one SQLite file, deletion that overwrites.

A campaign's key and the seeds sealed to it live here until the campaign ends; answers stay, so
that they can be given again byte for byte. Every method is one durable transaction.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from durable.files import make_directory
from governance.helper.errors import HelperStateRefused
from governance.transactions import transaction
from trust import clock
from trust.ids import CampaignId, Digest, ReportId

SCHEMA_VERSION = 1
FILE_NAME = "helper.sqlite"
BUSY_SECONDS = 10  # for a transaction of `helper status` beside ours

_SCHEMA = """
CREATE TABLE helper (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  territory TEXT NOT NULL,
  status INTEGER NOT NULL           -- highest number of a governance status ever seen
);
CREATE TABLE campaign (
  id TEXT PRIMARY KEY,
  engagement BLOB NOT NULL,         -- the leader's envelope
  authorisation BLOB NOT NULL,      -- the college's envelope
  secret BLOB,                      -- X25519 private key; NULL once destroyed
  certificate BLOB NOT NULL,        -- HelperKey envelope
  rounds INTEGER NOT NULL,          -- over which the vote splits its price
  logged INTEGER NOT NULL,          -- log size when engaged: its batches come later
  not_after TEXT NOT NULL,
  destroyed BLOB                    -- KeyDestroyed envelope
) WITHOUT ROWID;
CREATE TABLE round (
  campaign TEXT NOT NULL REFERENCES campaign (id),
  number INTEGER NOT NULL,
  asked TEXT NOT NULL,              -- digest of what was asked: plan and sorted reports
  plan TEXT NOT NULL,               -- digest of the plan's envelope
  parameters TEXT NOT NULL,
  accept BLOB NOT NULL,             -- AcceptList envelope
  batch BLOB NOT NULL,              -- the batch's bytes
  profile TEXT,                     -- of its ciphertexts; NULL where shares are summed
  share BLOB,                       -- AggregateShare envelope, once committed
  masks BLOB,                       -- the blob that it names
  PRIMARY KEY (campaign, number)
) WITHOUT ROWID;
CREATE TABLE report (
  campaign TEXT NOT NULL,
  round INTEGER NOT NULL,
  partial BLOB NOT NULL,            -- the worker's envelope
  sealed BLOB NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (campaign, round, id)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Campaign:
    """A campaign that the helper was engaged for."""

    id: CampaignId
    engagement: bytes
    authorisation: bytes
    secret: bytes | None
    certificate: bytes
    rounds: int
    logged: int
    not_after: datetime
    destroyed: bytes | None


@dataclass(frozen=True)
class Round:
    """A prepared round, with the answer once it was given."""

    campaign: CampaignId
    number: int
    asked: Digest
    plan: Digest
    parameters: Digest
    accept: bytes
    batch: bytes
    profile: str | None = None  # of protection.ckks.profile, where ciphertexts are summed
    share: bytes | None = None
    masks: bytes | None = None


@dataclass(frozen=True)
class Kept:
    """One accepted report."""

    report: ReportId
    partial: bytes
    sealed: bytes


class Memory:
    """The helper's state; safe for many threads of one process."""

    def __init__(self, folder: Path, territory: str) -> None:
        """Open or make it. Raises HelperStateRefused."""
        make_directory(folder, mode=0o700)
        self._lock = threading.Lock()
        self._connection = _open(folder / FILE_NAME)
        # A crash may have left a key in the write-ahead log that was destroyed already.
        self._stale = True
        with self._transaction() as sql:
            _prepare(sql, territory, folder / FILE_NAME)
        self.erase()

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()

    def campaign(self, campaign: CampaignId) -> Campaign | None:
        """What is known of a campaign."""
        with self._transaction() as sql:
            row = sql.execute("SELECT * FROM campaign WHERE id = ?", [campaign]).fetchone()
        return None if row is None else _campaign(row)

    def engage(self, campaign: Campaign) -> Campaign:
        """Keep a fresh campaign; the one that is there already wins.

        If we crash before the commit nobody has the key; after it, the same key is answered.
        """
        with self._transaction() as sql:
            sql.execute(
                "INSERT OR IGNORE INTO campaign VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                [
                    campaign.id,
                    campaign.engagement,
                    campaign.authorisation,
                    campaign.secret,
                    campaign.certificate,
                    campaign.rounds,
                    campaign.logged,
                    clock.to_text(campaign.not_after),
                ],
            )
            row = sql.execute("SELECT * FROM campaign WHERE id = ?", [campaign.id]).fetchone()
        return _campaign(row)

    def round(self, campaign: CampaignId, number: int) -> Round | None:
        """A prepared round."""
        with self._transaction() as sql:
            row = sql.execute(
                "SELECT * FROM round WHERE campaign = ? AND number = ?", [campaign, number]
            ).fetchone()
        return None if row is None else _round(row)

    def reports(self, campaign: CampaignId, number: int) -> list[Kept]:
        """The accepted reports of a prepared round, by report id."""
        with self._transaction() as sql:
            rows = sql.execute(
                "SELECT id, partial, sealed FROM report WHERE campaign = ? AND round = ? "
                "ORDER BY id",
                [campaign, number],
            ).fetchall()
        return [Kept(ReportId.parse(name), partial, sealed) for name, partial, sealed in rows]

    def prepare(self, prepared: Round, reports: Sequence[Kept]) -> Round:
        """Keep a prepared round with its reports; the one that is there already wins."""
        with self._transaction() as sql:
            added = sql.execute(
                "INSERT OR IGNORE INTO round VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
                [
                    prepared.campaign,
                    prepared.number,
                    prepared.asked,
                    prepared.plan,
                    prepared.parameters,
                    prepared.accept,
                    prepared.batch,
                    prepared.profile,
                ],
            ).rowcount
            if added:
                sql.executemany(
                    "INSERT INTO report VALUES (?, ?, ?, ?, ?)",
                    [
                        (prepared.campaign, prepared.number, r.partial, r.sealed, r.report)
                        for r in reports
                    ],
                )
            row = sql.execute(
                "SELECT * FROM round WHERE campaign = ? AND number = ?",
                [prepared.campaign, prepared.number],
            ).fetchone()
        return _round(row)

    def answer(self, campaign: CampaignId, number: int, share: bytes, masks: bytes) -> Round:
        """Keep the answer to a commit, before it is sent; the one that is there already wins.

        The round's seeds have done their work: they go in the same transaction.
        """
        key = [campaign, number]
        with self._transaction() as sql:
            sql.execute(
                "UPDATE round SET share = ?, masks = ? "
                "WHERE campaign = ? AND number = ? AND share IS NULL",
                [share, masks, *key],
            )
            sql.execute("DELETE FROM report WHERE campaign = ? AND round = ?", key)
            row = sql.execute(
                "SELECT * FROM round WHERE campaign = ? AND number = ?", key
            ).fetchone()
        return _round(row)

    def destroy(self, campaign: CampaignId, notice: bytes) -> bytes:
        """Overwrite the campaign's key and seeds; returns the notice that counts.

        Answers stay: the leader may have lost one on its way, and they are noised.
        """
        with self._transaction() as sql:
            sql.execute(
                "UPDATE campaign SET secret = NULL, destroyed = ? "
                "WHERE id = ? AND destroyed IS NULL",
                [notice, campaign],
            )
            sql.execute("DELETE FROM report WHERE campaign = ?", [campaign])
            (kept,) = sql.execute(
                "SELECT destroyed FROM campaign WHERE id = ?", [campaign]
            ).fetchone()
        self._stale = True
        self.erase()
        return bytes(kept)

    def erase(self) -> bool:
        """Empty the write-ahead log, which holds pages as they were; whether nothing is left.

        While another process reads the file its pages stay: the clock's next turn tries again.
        """
        with self._lock:
            if self._stale:
                # A reader may take its time: the leader's next question does not wait for it.
                self._connection.execute("PRAGMA busy_timeout = 100")
                row = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
                self._stale = bool(row[0])
            return not self._stale

    def expired(self, now: datetime) -> list[Campaign]:
        """Campaigns whose key should be gone by `now`."""
        with self._transaction() as sql:
            rows = sql.execute(
                "SELECT * FROM campaign WHERE destroyed IS NULL AND not_after <= ?",
                [clock.to_text(now)],
            ).fetchall()
        return [_campaign(row) for row in rows]

    def status_number(self) -> int:
        """The highest number of a governance status that was ever taken."""
        with self._transaction() as sql:
            (number,) = sql.execute("SELECT status FROM helper").fetchone()
        return int(number)

    def keep_status_number(self, number: int) -> None:
        """Remember it before the status is used: a lower one is a replay from then on."""
        with self._transaction() as sql:
            sql.execute("UPDATE helper SET status = max(status, ?)", [number])

    def counts(self) -> dict[str, int]:
        """Campaigns engaged, with a live key, and rounds answered."""
        with self._transaction() as sql:
            row = sql.execute(
                "SELECT (SELECT count(*) FROM campaign), "
                "(SELECT count(*) FROM campaign WHERE destroyed IS NULL), "
                "(SELECT count(*) FROM round WHERE share IS NOT NULL)"
            ).fetchone()
        return dict(zip(("campaigns", "live keys", "rounds answered"), row, strict=True))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, transaction(self._connection) as sql:
            yield sql


def _campaign(row: Sequence[object]) -> Campaign:
    name, engagement, authorisation, secret, certificate, rounds, logged, not_after, end = row
    return Campaign(
        CampaignId.parse(str(name)),
        _bytes(engagement),
        _bytes(authorisation),
        None if secret is None else _bytes(secret),
        _bytes(certificate),
        int(str(rounds)),
        int(str(logged)),
        clock.from_text(str(not_after)),
        None if end is None else _bytes(end),
    )


def _round(row: Sequence[object]) -> Round:
    campaign, number, asked, plan, parameters, accept, batch, profile, share, masks = row
    return Round(
        CampaignId.parse(str(campaign)),
        int(str(number)),
        Digest.parse(str(asked)),
        Digest.parse(str(plan)),
        Digest.parse(str(parameters)),
        _bytes(accept),
        _bytes(batch),
        None if profile is None else str(profile),
        None if share is None else _bytes(share),
        None if masks is None else _bytes(masks),
    )


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise HelperStateRefused(
            "the helper's database holds a text where a blob was stored",
            remedy="somebody changed it: restore it from a backup",
        )
    return value


def _open(path: Path) -> sqlite3.Connection:
    if not path.exists():
        path.touch(mode=0o600)
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # What is deleted is overwritten with zeros, not only unlinked from its page.
        connection.execute("PRAGMA secure_delete = ON")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise HelperStateRefused(
            f"{path} is not a readable SQLite file",
            remedy="restore it from a backup; rounds that it had answered stay closed by the log",
        ) from error
    return connection


def _prepare(sql: sqlite3.Connection, territory: str, path: Path) -> None:
    (version,) = sql.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in _SCHEMA.split(";\n"):
            if statement.strip():
                sql.execute(statement)
        sql.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        sql.execute("INSERT INTO helper VALUES (1, ?, 0)", [territory])
        return
    if version != SCHEMA_VERSION:
        raise HelperStateRefused(
            f"{path} has schema {version}, this program knows {SCHEMA_VERSION}",
            remedy="run the release that wrote it",
        )
    (owner,) = sql.execute("SELECT territory FROM helper").fetchone()
    if owner != territory:
        raise HelperStateRefused(
            f"{path} is the helper of {owner}, not of {territory}",
            remedy="give the state folder of this territory",
        )
