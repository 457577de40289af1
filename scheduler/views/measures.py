"""How much there is of everything that an operator watches: counts by state, nobody by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import SQLModel, col, func, select

from scheduler.domain.states import FINAL_CAMPAIGN, FINAL_UNIT, CampaignState, UnitState
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import CampaignRow, LogRow, UnitRow
from scheduler.views.health import count_failed
from scheduler.views.lateness import count_late
from scheduler.views.machines import freshnesses
from scheduler.views.slices import among

FRESHNESSES = ("fresh", "late", "lost", "banned")
MOVING_CAMPAIGNS = [state.value for state in CampaignState if state not in FINAL_CAMPAIGN]
MOVING_UNITS = [state.value for state in UnitState if state not in FINAL_UNIT]


@dataclass(frozen=True)
class Measures:
    """Counts of one moment; every state is there, with 0 where nothing is in it."""

    workers: Mapping[str, int]  # by freshness
    campaigns: Mapping[str, int]  # those that have not ended, by state
    units: Mapping[str, int]  # the same
    late_units: int
    failed_campaigns: int  # in 24 hours
    failed_units: int  # in 24 hours
    unproven: int  # log entries without a witnessed proof
    root_seconds: float  # until the territory root expires; negative since then
    clock_leaping: bool
    turn_seconds: float  # since the last turn of what moves by itself


def measures(desk: Desk) -> Measures:
    """All of them; reads what moves, what failed lately, and the workers."""

    def gather(tx: Transaction) -> Measures:
        workers = freshnesses(tx)
        turned = desk.turned_at or tx.now
        return Measures(
            workers={name: workers[name] for name in FRESHNESSES},
            campaigns=_by_state(tx, CampaignRow, MOVING_CAMPAIGNS),
            units=_by_state(tx, UnitRow, MOVING_UNITS),
            late_units=count_late(tx),
            failed_campaigns=count_failed(tx, CampaignRow),
            failed_units=count_failed(tx, UnitRow),
            unproven=tx.session.exec(
                select(func.count()).select_from(LogRow).where(col(LogRow.proof).is_(None))
            ).one(),
            root_seconds=(desk.root.document.expires_at - tx.now).total_seconds(),
            clock_leaping=desk.store.clock.leaping,
            turn_seconds=max(0.0, (tx.now - turned).total_seconds()),
        )

    return desk.store.read("view-measures", gather)


def _by_state(tx: Transaction, table: type[SQLModel], states: list[str]) -> dict[str, int]:
    state = table.__table__.c["state"]  # type: ignore[attr-defined]
    query = select(state, func.count()).where(among(state, states)).group_by(state)
    found: dict[str, int] = dict(tx.session.exec(query).all())
    return {name: found.get(name, 0) for name in states}
