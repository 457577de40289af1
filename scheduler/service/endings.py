"""How a campaign changes state, and what is due when it ends."""

from __future__ import annotations

from sqlmodel import col, select

from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.states import CAMPAIGN_STEPS, FINAL_CAMPAIGN, FINAL_ROUND, CampaignState
from scheduler.domain.states import RoundState as Rounds
from scheduler.service import committing, shares
from scheduler.service.bell import PACE, for_campaign
from scheduler.service.desk import Desk
from scheduler.service.units import cancel_all
from scheduler.store.store import Transaction
from scheduler.store.tables import CampaignRow, RoundRow


def move(
    tx: Transaction,
    row: CampaignRow,
    state: CampaignState,
    reason: Reason,
    why: str,
    *,
    code: str = "",
) -> None:
    """Store a new state or a new reason to wait. A step that is not drawn is a broken invariant.

    The same reason in other words, as by an institution that answers now this and now that, is
    the same wait: since when it lasts stays.

    `code` is another institution's own word for the reason, and then the one that is shown.
    """
    old, code = CampaignState(row.state), code or reason.value
    if state is old and (row.reason, row.why) == (code, why):
        return
    assert state is old or state in CAMPAIGN_STEPS[old], f"{old} -> {state}"
    if state is not old or row.reason != code:
        row.waits_since = tx.now
    row.state, row.reason, row.why = state.value, code, why
    row.updated_at, row.updated_by = tx.now, tx.name
    tx.rings.update({for_campaign(row.id), PACE})
    tx.session.flush()


def move_round(tx: Transaction, row: RoundRow, state: Rounds, code: str, why: str) -> None:
    """Store a round's state and reason code; since when it waits stays while both are the same."""
    if (row.state, row.reason) != (state.value, code):
        row.waits_since = tx.now
    row.state, row.reason, row.why = state.value, code, why


def end(
    tx: Transaction,
    desk: Desk,
    row: CampaignRow,
    state: CampaignState,
    *,
    reason: Reason,
    why: str,
    code: str = "",
) -> None:
    """End a campaign without a release: units, rounds, and what auditors must get.

    `code`: as in `move`.
    """
    assert state in FINAL_CAMPAIGN
    if CampaignState(row.state) in FINAL_CAMPAIGN:
        return
    cancel_all(tx, desk, row.id, reason, why, number=None)
    query = select(RoundRow).where(
        RoundRow.campaign == row.id,
        col(RoundRow.state).not_in([final.value for final in FINAL_ROUND]),
    )
    for entry in tx.session.exec(query).all():
        move_round(tx, entry, Rounds.ABORTED, code or reason.value, why)
    shares.forget_halves(tx, row.id)
    committing.commit_campaign(tx, desk, row.id)
    move(tx, row, state, reason, why or sentence(reason), code=code)
