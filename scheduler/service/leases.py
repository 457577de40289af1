"""What time and the log do to units: inputs become ready, leases and back-offs end."""

from __future__ import annotations

from sqlalchemy import bindparam
from sqlmodel import col, or_, select

from scheduler.domain.events import InputsReady, Tick
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.states import LIVE_ATTEMPT, RoundState, UnitState
from scheduler.service import endings
from scheduler.service.bell import for_campaign
from scheduler.service.desk import Desk
from scheduler.service.units import apply
from scheduler.store.store import Transaction
from scheduler.store.tables import (
    AttemptRow,
    AuthorisationRow,
    CampaignRow,
    LogRow,
    RoundRow,
    UnitRow,
)

# One transaction stays short; the rest follows at the next turn.
BATCH = 500
_WAITING = (
    select(UnitRow)
    .where(UnitRow.state == UnitState.WAITING.value, col(UnitRow.not_before).is_(None))
    .limit(BATCH)
)
_PROVEN = select(LogRow.digest).where(
    col(LogRow.digest).in_(bindparam("digests", expanding=True)), col(LogRow.proof).is_not(None)
)


async def release_inputs(desk: Desk) -> None:
    """Units whose plan (or opening) and authorisation are proven in the log become ready."""

    def waiting(tx: Transaction) -> list[UnitRow]:
        proven: dict[tuple[str, str], bool] = {}  # all units of a round wait for the same two
        ready = []
        for row in tx.session.exec(_WAITING).all():
            inputs = (row.campaign, row.needs)
            if inputs not in proven:
                proven[inputs] = _inputs_proven(tx, row)
            if proven[inputs]:
                ready.append(row)
        return ready

    if not await desk.look("list-waiting-units", waiting):
        return

    def settle(tx: Transaction) -> None:
        for row in waiting(tx):
            apply(tx, desk, row, InputsReady())
            _round_moves(tx, row)

    await desk.run("release-inputs", settle)


async def let_time_pass(desk: Desk) -> None:
    """Expire leases, end back-offs, fail units past their deadline."""

    def due(tx: Transaction) -> list[UnitRow]:
        moving = [UnitState.WAITING.value, UnitState.READY.value, UnitState.LEASED.value]
        expired = select(AttemptRow.unit).where(
            col(AttemptRow.state).in_([state.value for state in LIVE_ATTEMPT]),
            AttemptRow.expires_at <= tx.now,
        )
        query = select(UnitRow).where(
            col(UnitRow.state).in_(moving),
            or_(
                UnitRow.deadline <= tx.now,
                col(UnitRow.not_before) <= tx.now,
                col(UnitRow.id).in_(expired),
            ),
        )
        return list(tx.session.exec(query.limit(BATCH)))

    if not await desk.look("list-due-units", due):
        return

    def settle(tx: Transaction) -> None:
        for row in due(tx):
            apply(tx, desk, row, Tick())

    await desk.run("let-time-pass", settle)


def _inputs_proven(tx: Transaction, unit: UnitRow) -> bool:
    campaign = tx.session.get(CampaignRow, unit.campaign)
    assert campaign is not None
    authorisation = tx.session.get(AuthorisationRow, campaign.authorisation)
    assert authorisation is not None
    needed = {unit.needs, authorisation.digest}
    return set(tx.session.exec(_PROVEN, params={"digests": list(needed)})) == needed


def _round_moves(tx: Transaction, unit: UnitRow) -> None:
    row = tx.session.get(RoundRow, (unit.campaign, unit.round))
    if row is not None and row.reason == Reason.WAITING_FOR_LOG.value:
        if row.state == RoundState.OPEN.value:
            reason = Reason.WAITING_FOR_PARTIALS
            why = sentence(reason, have=0, need=_units(tx, row))
            endings.move_round(tx, row, RoundState.OPEN, reason.value, why)
        tx.rings.add(for_campaign(unit.campaign))


def _units(tx: Transaction, row: RoundRow) -> int:
    query = select(UnitRow.id).where(UnitRow.campaign == row.campaign, UnitRow.round == row.number)
    return len(tx.session.exec(query).all())
