"""What the keyholder must not forget, and what it must: one SQLite file, deletion that overwrites.

Nothing in it opens anything: the secret key is wrapped, and the shares of its wrapping key are
sealed to the trustees. Session keys, returned shares and raw decryptions are never written.
Answers stay, so that they can be given again byte for byte. Every method is one durable
transaction; the ceremony's command and the serving process may both have the file open.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, fields
from datetime import datetime
from pathlib import Path

from governance.keyholder.errors import KeyholderStateRefused
from governance.keyholder.schema import open_database
from governance.transactions import transaction
from trust import clock
from trust.ids import CampaignId, Digest, ReportId


@dataclass(frozen=True)
class Campaign:
    """A campaign that the keyholder admitted."""

    id: CampaignId
    engagement: bytes
    authorisation: bytes
    proof: bytes  # of the authorisation
    rounds: int  # over which the vote splits its price


@dataclass(frozen=True)
class Epoch:
    """A campaign's key; what was secret in it is gone once it is retired."""

    campaign: CampaignId
    certificate: bytes  # EpochKey envelope
    public: bytes
    not_after: datetime
    wrapped: bytes | None = field(repr=False)
    retired: bytes | None = None  # EpochRetired envelope


@dataclass(frozen=True)
class Entrusted:
    """One trustee's place in an epoch."""

    place: int
    trustee: bytes  # TrusteeKey envelope
    sealed: bytes | None = field(repr=False)


@dataclass(frozen=True)
class Round:
    """A prepared round; `question` names the only opening that it can still have."""

    campaign: CampaignId
    number: int
    asked: Digest  # what *prepare* was asked: plan and reports
    plan: bytes
    proof: bytes  # of the plan
    epoch_proof: bytes  # of the EpochKey
    logged: int  # the EpochKey's place in the log: batches come later
    accept: bytes
    question: Digest | None = None
    opened: bytes | None = None
    values: bytes | None = None


@dataclass(frozen=True)
class Kept:
    """One accepted report."""

    report: ReportId
    partial: bytes
    operator: str


class Memory:
    """The keyholder's state; safe for many threads."""

    def __init__(self, folder: Path, territory: str) -> None:
        """Open or make it. Raises KeyholderStateRefused."""
        self._lock = threading.Lock()
        self._connection = open_database(folder, territory)

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()

    def campaign(self, campaign: CampaignId) -> Campaign | None:
        """An admitted campaign."""
        with self._transaction() as sql:
            return _campaign(sql, campaign)

    def admit(self, campaign: Campaign) -> Campaign:
        """Keep an admitted campaign; the one that is there already wins."""
        with self._transaction() as sql:
            sql.execute("INSERT OR IGNORE INTO campaign VALUES (?, ?, ?, ?, ?)", astuple(campaign))
            found = _campaign(sql, campaign.id)
        assert found is not None
        return found

    def awaiting(self) -> list[CampaignId]:
        """Admitted campaigns whose ceremony was not held."""
        with self._transaction() as sql:
            rows = sql.execute(
                "SELECT id FROM campaign WHERE id NOT IN (SELECT campaign FROM epoch) ORDER BY id"
            ).fetchall()
        return [CampaignId.parse(name) for (name,) in rows]

    def epoch(self, campaign: CampaignId) -> Epoch | None:
        """The campaign's key epoch, alive or retired."""
        with self._transaction() as sql:
            return _epoch(sql, campaign)

    def begin(self, epoch: Epoch, entrusted: Sequence[Entrusted]) -> Epoch:
        """Keep a fresh epoch; the one that is there already wins: a campaign has one.

        If we crash before the commit, the key existed in a memory that is gone.
        """
        with self._transaction() as sql:
            added = sql.execute(
                "INSERT OR IGNORE INTO epoch VALUES (?, ?, ?, ?, ?, NULL)",
                [
                    epoch.campaign,
                    epoch.certificate,
                    epoch.public,
                    clock.to_text(epoch.not_after),
                    epoch.wrapped,
                ],
            ).rowcount
            if added:
                sql.executemany(
                    "INSERT INTO entrusted VALUES (?, ?, ?, ?)",
                    [(epoch.campaign, e.place, e.trustee, e.sealed) for e in entrusted],
                )
            found = _epoch(sql, epoch.campaign)
        assert found is not None
        return found

    def entrusted(self, campaign: CampaignId) -> list[Entrusted]:
        """The trustees of an epoch by place."""
        with self._transaction() as sql:
            rows = sql.execute(
                "SELECT place, trustee, sealed FROM entrusted WHERE campaign = ? ORDER BY place",
                [campaign],
            ).fetchall()
        return [Entrusted(*row) for row in rows]

    def retire(self, campaign: CampaignId, notice: bytes) -> bytes:
        """Overwrite the wrapped key and the sealed shares; returns the notice that counts."""
        with self._transaction() as sql:
            sql.execute(
                "UPDATE epoch SET wrapped = NULL, retired = ? "
                "WHERE campaign = ? AND retired IS NULL",
                [notice, campaign],
            )
            sql.execute("UPDATE entrusted SET sealed = NULL WHERE campaign = ?", [campaign])
            (kept,) = sql.execute(
                "SELECT retired FROM epoch WHERE campaign = ?", [campaign]
            ).fetchone()
        with self._lock:
            # The write-ahead log still holds the pages as they were.
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return _bytes(kept)

    def expired(self, now: datetime) -> list[Epoch]:
        """Epochs that should be retired by `now`."""
        with self._transaction() as sql:
            rows = sql.execute(
                "SELECT campaign FROM epoch WHERE retired IS NULL AND not_after <= ?",
                [clock.to_text(now)],
            ).fetchall()
            found = [_epoch(sql, CampaignId.parse(name)) for (name,) in rows]
        return [epoch for epoch in found if epoch is not None]

    def round(self, campaign: CampaignId, number: int) -> Round | None:
        """A prepared round."""
        with self._transaction() as sql:
            return _round(sql, campaign, number)

    def prepare(self, prepared: Round, reports: Sequence[Kept]) -> Round:
        """Keep a prepared round with its reports; the one that is there already wins."""
        marks = ", ".join("?" for _ in fields(Round))
        with self._transaction() as sql:
            added = sql.execute(
                f"INSERT OR IGNORE INTO round VALUES ({marks})",  # noqa: S608 - question marks
                astuple(prepared),
            ).rowcount
            if added:
                sql.executemany(
                    "INSERT INTO report VALUES (?, ?, ?, ?, ?)",
                    [
                        (prepared.campaign, prepared.number, r.report, r.partial, r.operator)
                        for r in reports
                    ],
                )
            found = _round(sql, prepared.campaign, prepared.number)
        assert found is not None
        return found

    def reports(self, campaign: CampaignId, number: int) -> dict[ReportId, Kept]:
        """The accepted reports of a prepared round."""
        with self._transaction() as sql:
            rows = sql.execute(
                "SELECT id, partial, operator FROM report WHERE campaign = ? AND round = ?",
                [campaign, number],
            ).fetchall()
        kept = [Kept(ReportId.parse(name), _bytes(raw), operator) for name, raw, operator in rows]
        return {item.report: item for item in kept}

    def bind(self, campaign: CampaignId, number: int, question: Digest) -> Digest:
        """Fix what this round may open, before any trustee is asked; the first one wins."""
        with self._transaction() as sql:
            sql.execute(
                "UPDATE round SET question = ? "
                "WHERE campaign = ? AND number = ? AND question IS NULL",
                [question, campaign, number],
            )
            found = _round(sql, campaign, number)
        assert found is not None
        assert found.question is not None
        return found.question

    def answer(
        self, campaign: CampaignId, number: int, opened: bytes, values: bytes, records: list[bytes]
    ) -> Round:
        """Keep what was opened, before it is sent; the answer that is there already wins."""
        with self._transaction() as sql:
            changed = sql.execute(
                'UPDATE round SET opened = ?, "values" = ? '
                "WHERE campaign = ? AND number = ? AND opened IS NULL",
                [opened, values, campaign, number],
            ).rowcount
            if changed:
                sql.executemany(
                    "INSERT INTO record VALUES (?, ?, ?, ?)",
                    [(campaign, number, place, raw) for place, raw in enumerate(records)],
                )
            found = _round(sql, campaign, number)
        assert found is not None
        return found

    def records(self, campaign: CampaignId, number: int) -> list[bytes]:
        """The ShareRequest of an answered round, then the ShareReturned documents."""
        with self._transaction() as sql:
            rows = sql.execute(
                "SELECT envelope FROM record WHERE campaign = ? AND round = ? ORDER BY place",
                [campaign, number],
            ).fetchall()
        return [_bytes(raw) for (raw,) in rows]

    def status_number(self) -> int:
        """The highest number of a governance status that was ever taken."""
        with self._transaction() as sql:
            (number,) = sql.execute("SELECT status FROM keyholder").fetchone()
        return int(number)

    def keep_status_number(self, number: int) -> None:
        """Remember it before the status is used: a lower one is a replay from then on."""
        with self._transaction() as sql:
            sql.execute("UPDATE keyholder SET status = max(status, ?)", [number])

    def counts(self) -> dict[str, int]:
        """Campaigns admitted, with a live key, and rounds opened."""
        with self._transaction() as sql:
            row = sql.execute(
                "SELECT (SELECT count(*) FROM campaign), "
                "(SELECT count(*) FROM epoch WHERE retired IS NULL), "
                "(SELECT count(*) FROM round WHERE opened IS NOT NULL)"
            ).fetchone()
        return dict(zip(("campaigns", "live epochs", "rounds opened"), row, strict=True))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, transaction(self._connection) as sql:
            yield sql


def _campaign(sql: sqlite3.Connection, campaign: CampaignId) -> Campaign | None:
    row = sql.execute("SELECT * FROM campaign WHERE id = ?", [campaign]).fetchone()
    if row is None:
        return None
    name, engagement, authorisation, proof, rounds = row
    return Campaign(
        CampaignId.parse(name), _bytes(engagement), _bytes(authorisation), _bytes(proof), rounds
    )


def _epoch(sql: sqlite3.Connection, campaign: CampaignId) -> Epoch | None:
    row = sql.execute("SELECT * FROM epoch WHERE campaign = ?", [campaign]).fetchone()
    if row is None:
        return None
    name, certificate, public, not_after, wrapped, retired = row
    return Epoch(
        CampaignId.parse(name),
        _bytes(certificate),
        _bytes(public),
        clock.from_text(not_after),
        _optional(wrapped),
        _optional(retired),
    )


def _round(sql: sqlite3.Connection, campaign: CampaignId, number: int) -> Round | None:
    row = sql.execute(
        "SELECT * FROM round WHERE campaign = ? AND number = ?", [campaign, number]
    ).fetchone()
    if row is None:
        return None
    name, at, asked, plan, proof, epoch, logged, accept, question, opened, values = row
    return Round(
        CampaignId.parse(name),
        at,
        Digest.parse(asked),
        _bytes(plan),
        _bytes(proof),
        _bytes(epoch),
        logged,
        _bytes(accept),
        None if question is None else Digest.parse(question),
        _optional(opened),
        _optional(values),
    )


def _optional(value: object) -> bytes | None:
    return None if value is None else _bytes(value)


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise KeyholderStateRefused(
            "the keyholder's database holds a text where a blob was stored",
            remedy="somebody changed it: restore it from a backup",
        )
    return value
