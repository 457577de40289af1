"""What the keyholder must not forget, and what it must: one SQLite file, deletion that overwrites.

Nothing in it opens anything: the secret key is wrapped, and the shares of its wrapping key are
sealed to the trustees. Session keys, returned shares and raw decryptions are never written.
Answers stay, so that they can be given again byte for byte. Every method is one durable
transaction; the ceremony's command and the serving process may both have the file open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields
from datetime import datetime
from pathlib import Path

from governance.keyholder.schema import (
    FILE_NAME,
    LAYOUT,
    Campaign,
    Entrusted,
    Epoch,
    Kept,
    Round,
    campaign_in,
    epoch_in,
    round_in,
)
from governance.state_file import StateFile
from trust import clock
from trust.ids import CampaignId, Digest, ReportId


class Memory(StateFile):
    """The keyholder's state; safe for many threads."""

    def __init__(self, folder: Path, territory: str) -> None:
        """Open or make it. Raises KeyholderStateRefused."""
        super().__init__(LAYOUT, folder / FILE_NAME, territory)

    def campaign(self, campaign: CampaignId) -> Campaign | None:
        """An admitted campaign."""
        with self._transaction() as sql:
            return campaign_in(sql, campaign)

    def admit(self, campaign: Campaign) -> Campaign:
        """Keep an admitted campaign; the one that is there already wins."""
        with self._transaction() as sql:
            sql.execute("INSERT OR IGNORE INTO campaign VALUES (?, ?, ?, ?, ?)", astuple(campaign))
            found = campaign_in(sql, campaign.id)
        assert found is not None
        return found

    def awaiting(self) -> list[CampaignId]:
        """Admitted campaigns whose ceremony was not held."""
        with self._transaction() as sql:
            rows = sql.execute(
                "SELECT id FROM campaign WHERE id NOT IN (SELECT campaign FROM epoch) ORDER BY id"
            ).fetchall()
        return [CampaignId.parse(name) for (name,) in rows]

    def forget(self, campaign: CampaignId) -> None:
        """Admit a campaign no longer that has no epoch; one that has keeps it."""
        with self._transaction() as sql:
            sql.execute(
                "DELETE FROM campaign WHERE id = ? AND id NOT IN (SELECT campaign FROM epoch)",
                [campaign],
            )

    def epoch(self, campaign: CampaignId) -> Epoch | None:
        """The campaign's key epoch, alive or retired."""
        with self._transaction() as sql:
            return epoch_in(sql, campaign)

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
            found = epoch_in(sql, epoch.campaign)
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
        self.erase()
        return bytes(kept)

    def expired(self, now: datetime) -> list[Epoch]:
        """Epochs that should be retired by `now`."""
        with self._transaction() as sql:
            rows = sql.execute(
                "SELECT campaign FROM epoch WHERE retired IS NULL AND not_after <= ?",
                [clock.to_text(now)],
            ).fetchall()
            found = [epoch_in(sql, CampaignId.parse(name)) for (name,) in rows]
        return [epoch for epoch in found if epoch is not None]

    def round(self, campaign: CampaignId, number: int) -> Round | None:
        """A prepared round."""
        with self._transaction() as sql:
            return round_in(sql, campaign, number)

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
            found = round_in(sql, prepared.campaign, prepared.number)
        assert found is not None
        return found

    def reports(self, campaign: CampaignId, number: int) -> dict[ReportId, Kept]:
        """The accepted reports of a prepared round."""
        with self._transaction() as sql:
            rows = sql.execute(
                "SELECT id, partial, operator FROM report WHERE campaign = ? AND round = ?",
                [campaign, number],
            ).fetchall()
        kept = [
            Kept(ReportId.parse(name), LAYOUT.blob(raw), operator) for name, raw, operator in rows
        ]
        return {item.report: item for item in kept}

    def bind(self, campaign: CampaignId, number: int, question: Digest) -> Digest:
        """Fix what this round may open, before any trustee is asked; the first one wins."""
        with self._transaction() as sql:
            sql.execute(
                "UPDATE round SET question = ? "
                "WHERE campaign = ? AND number = ? AND question IS NULL",
                [question, campaign, number],
            )
            found = round_in(sql, campaign, number)
        assert found is not None
        assert found.question is not None
        return found.question

    def answer(
        self, campaign: CampaignId, number: int, opened: bytes, values: bytes, records: list[bytes]
    ) -> Round:
        """Keep what was opened, before it is sent; the answer that is there already wins.

        The round stays unopened where the command line has retired its epoch meanwhile.
        """
        with self._transaction() as sql:
            changed = sql.execute(
                'UPDATE round SET opened = ?, "values" = ? '
                "WHERE campaign = ? AND number = ? AND opened IS NULL AND EXISTS "
                "(SELECT 1 FROM epoch WHERE epoch.campaign = round.campaign AND retired IS NULL)",
                [opened, values, campaign, number],
            ).rowcount
            if changed:
                sql.executemany(
                    "INSERT INTO record VALUES (?, ?, ?, ?)",
                    [(campaign, number, place, raw) for place, raw in enumerate(records)],
                )
            found = round_in(sql, campaign, number)
        assert found is not None
        return found

    def records(self, campaign: CampaignId, number: int) -> list[bytes]:
        """The ShareRequest of an answered round, then the ShareReturned documents."""
        with self._transaction() as sql:
            rows = sql.execute(
                "SELECT envelope FROM record WHERE campaign = ? AND round = ? ORDER BY place",
                [campaign, number],
            ).fetchall()
        return [LAYOUT.blob(raw) for (raw,) in rows]

    def counts(self) -> dict[str, int]:
        """Campaigns admitted, with a live key, and rounds opened."""
        with self._transaction() as sql:
            row = sql.execute(
                "SELECT (SELECT count(*) FROM campaign), "
                "(SELECT count(*) FROM epoch WHERE retired IS NULL), "
                "(SELECT count(*) FROM round WHERE opened IS NOT NULL)"
            ).fetchone()
        return dict(zip(("campaigns", "live epochs", "rounds opened"), row, strict=True))
