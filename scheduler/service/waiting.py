"""Waiting for somebody else to act: said with its reason, and never for ever."""

from __future__ import annotations

from datetime import timedelta

from sqlmodel import select

from scheduler.domain.reasons import Reason, quote, sentence
from scheduler.domain.states import FINAL_CAMPAIGN, FINAL_ROUND, CampaignState, RoundState
from scheduler.service import endings
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import CampaignRow, RoundRow
from trust.clock import to_text

# What a round that waited too long for each of them ends with.
_OVERDUE = {
    Reason.WAITING_FOR_HELPER: Reason.HELPER_UNREACHABLE,
    Reason.WAITING_FOR_KEYHOLDER: Reason.KEYHOLDER_UNREACHABLE,
    # A keyholder that asks for a ceremony in the middle of a round does not answer it.
    Reason.WAITING_FOR_CEREMONY: Reason.KEYHOLDER_UNREACHABLE,
    Reason.WAITING_FOR_TRUSTEES: Reason.TRUSTEES_ABSENT,
    Reason.WAITING_FOR_WITNESSES: Reason.WITNESSES_ABSENT,
    Reason.WAITING_FOR_REPAIR: Reason.NEVER_REPAIRED,
}


async def wait(desk: Desk, campaign: str, reason: Reason, what: str = "") -> None:
    """Say what a campaign waits for; end it when it has waited too long."""

    def note(tx: Transaction, *, write: bool) -> bool:
        row = tx.session.get(CampaignRow, campaign)
        if row is None or CampaignState(row.state) in FINAL_CAMPAIGN:
            return False
        since = row.waits_since if row.reason == reason.value else tx.now
        why = sentence(reason, since=to_text(since), what=quote(what))
        rounds = _rounds(tx, campaign, reason)
        late = _too_late(tx, desk, row, rounds, reason)
        if late is None and (row.reason, row.why) == (reason.value, why):
            return False
        if not write:
            return True
        if late is not None:
            told = sentence(late, what=why)
            endings.end(tx, desk, row, CampaignState.FAILED, reason=late, why=told)
            return True
        endings.move(tx, row, CampaignState(row.state), reason, why)
        for entry in rounds:
            if (state := RoundState(entry.state)) not in FINAL_ROUND:
                endings.move_round(tx, entry, state, reason.value, why)
        return True

    # Looked at first on a snapshot: a campaign that still waits costs no write.
    if await desk.look("preview-waiting", lambda tx: note(tx, write=False)):
        await desk.run("wait-for-others", lambda tx: note(tx, write=True))


def _rounds(tx: Transaction, campaign: str, reason: Reason) -> list[RoundRow]:
    """The rounds whose deadlines bound the wait: what needs repair may be in any of them."""
    query = select(RoundRow).where(RoundRow.campaign == campaign)
    if reason is not Reason.WAITING_FOR_REPAIR:
        query = query.where(RoundRow.state == RoundState.PREPARING.value)
    return list(tx.session.exec(query).all())


def _too_late(
    tx: Transaction, desk: Desk, row: CampaignRow, rounds: list[RoundRow], reason: Reason
) -> Reason | None:
    """Why the campaign waits no longer, None while it may."""
    if CampaignState(row.state) is CampaignState.DRAFT and tx.now >= row.plan_before:
        return Reason.NEVER_PLANNED
    if any(tx.now >= entry.deadline + _patience(desk, row) for entry in rounds):
        return _OVERDUE[reason]
    return None


def _patience(desk: Desk, row: CampaignRow) -> timedelta:
    """How long past its deadline a round waits: one time for all whom it takes in turn.

    A machine that fails for a minute must not end what has waited days for people.
    """
    return desk.limits.helper if row.epoch is None else desk.limits.trustees
