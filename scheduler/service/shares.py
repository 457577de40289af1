"""Single workers' shares under a helper: the leader's alone, and not for ever."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select
from sqlmodel import col, select

from scheduler.domain.states import FINAL_CAMPAIGN
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, CampaignRow, RoundRow, UnitRow
from trust.documents.campaign import UnitKind


def single_shares(*, ended: bool = False) -> Select[Any]:
    """The digests of workers' shares, of all campaigns or of those that have `ended`.

    Whoever holds one together with the helper's seeds knows one worker's exact sum: no evidence
    has them, and no auditor reads them.
    """
    query = (
        select(AttemptRow.values_digest)
        .join(UnitRow, col(UnitRow.id) == col(AttemptRow.unit))
        .join(CampaignRow, col(CampaignRow.id) == col(UnitRow.campaign))
        .where(
            UnitRow.kind == UnitKind.CONTRIBUTE.value,
            col(CampaignRow.helper).is_not(None),
            col(AttemptRow.values_digest).is_not(None),
        )
    )
    if ended:
        query = query.where(col(CampaignRow.state).in_([state.value for state in FINAL_CAMPAIGN]))
    return query


def forget_halves(tx: Transaction, campaign: str) -> None:
    """What the leader kept to open rounds that are over: sealed seeds, sums, masks."""
    query = (
        select(AttemptRow)
        .join(UnitRow, col(UnitRow.id) == col(AttemptRow.unit))
        .where(UnitRow.campaign == campaign, col(AttemptRow.sealed).is_not(None))
    )
    for attempt in tx.session.exec(query).all():
        attempt.sealed = None
    for row in tx.session.exec(select(RoundRow).where(RoundRow.campaign == campaign)).all():
        row.ciphertext = row.masks = None
