"""What the helper must not forget, and what it must: one SQLite file, deletion that overwrites.

A campaign's key and the seeds sealed to it live here until the campaign ends; answers stay, so
that they can be given again byte for byte. Every method is one durable transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from governance.helper.schema import (
    FILE_NAME,
    LAYOUT,
    Campaign,
    Kept,
    Round,
    campaign_of,
    round_of,
)
from governance.state_file import StateFile
from trust import clock
from trust.ids import CampaignId, ReportId


class Memory(StateFile):
    """The helper's state; safe for many threads of one process."""

    def __init__(self, folder: Path, territory: str) -> None:
        """Open or make it. Raises HelperStateRefused."""
        super().__init__(LAYOUT, folder / FILE_NAME, territory)

    def campaign(self, campaign: CampaignId) -> Campaign | None:
        """What is known of a campaign."""
        with self._transaction() as sql:
            row = sql.execute("SELECT * FROM campaign WHERE id = ?", [campaign]).fetchone()
        return None if row is None else campaign_of(row)

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
        return campaign_of(row)

    def round(self, campaign: CampaignId, number: int) -> Round | None:
        """A prepared round."""
        with self._transaction() as sql:
            row = sql.execute(
                "SELECT * FROM round WHERE campaign = ? AND number = ?", [campaign, number]
            ).fetchone()
        return None if row is None else round_of(row)

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
                # Unless the clock destroyed the key while these were judged.
                sql.executemany(
                    "INSERT INTO report SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS "
                    "(SELECT 1 FROM campaign WHERE id = ?1 AND destroyed IS NULL)",
                    [
                        (prepared.campaign, prepared.number, r.partial, r.sealed, r.report)
                        for r in reports
                    ],
                )
            row = sql.execute(
                "SELECT * FROM round WHERE campaign = ? AND number = ?",
                [prepared.campaign, prepared.number],
            ).fetchone()
        return round_of(row)

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
        return round_of(row)

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
        self.erase()
        return bytes(kept)

    def expired(self, now: datetime) -> list[Campaign]:
        """Campaigns whose key should be gone by `now`."""
        with self._transaction() as sql:
            rows = sql.execute(
                "SELECT * FROM campaign WHERE destroyed IS NULL AND not_after <= ?",
                [clock.to_text(now)],
            ).fetchall()
        return [campaign_of(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """Campaigns engaged, with a live key, and rounds answered."""
        with self._transaction() as sql:
            row = sql.execute(
                "SELECT (SELECT count(*) FROM campaign), "
                "(SELECT count(*) FROM campaign WHERE destroyed IS NULL), "
                "(SELECT count(*) FROM round WHERE share IS NOT NULL)"
            ).fetchone()
        return dict(zip(("campaigns", "live keys", "rounds answered"), row, strict=True))
