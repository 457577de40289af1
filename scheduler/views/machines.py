"""The workers as operators see them: fresh, late or lost, what they have, what they do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, func, select

from scheduler.domain.planning import round_down
from scheduler.domain.states import LIVE_ATTEMPT, AttemptState
from scheduler.service.desk import Desk
from scheduler.service.roster import freshness, live_capsules
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, MemberRow, WorkerRow
from scheduler.views.slices import among

# In the order of the states, as the indexes over live attempts spell it.
LIVE = [state.value for state in AttemptState if state in LIVE_ATTEMPT]


@dataclass(frozen=True)
class Machine:
    """One worker. `capsules` with any live grant, rounded down to tens; never whose."""

    worker: str
    operator: str
    site: str
    freshness: str  # "fresh" | "late" | "lost" | "banned"
    last_seen: datetime | None
    level: str
    libraries: tuple[str, ...]
    capsules: int
    leases: int
    slots: int
    contributes: bool
    concludes: bool
    draining: bool


def machines(desk: Desk) -> list[Machine]:
    """Every worker; a territory has hundreds, not millions."""

    def gather(tx: Transaction) -> list[Machine]:
        leases: dict[str, int] = dict(
            tx.session.exec(
                select(AttemptRow.worker, func.count())
                .where(among(col(AttemptRow.state), LIVE))
                .group_by(AttemptRow.worker)
            ).all()
        )
        capsules = live_capsules(tx)
        return [
            Machine(
                worker=row.name,
                operator=member.operator,
                site=member.site,
                freshness=_freshness(row, member, tx.now),
                last_seen=row.last_seen,
                level=row.level,
                libraries=tuple(row.libraries.split()),
                capsules=round_down(capsules[row.name]),
                leases=leases.get(row.name, 0),
                slots=row.slots,
                contributes=row.contributes,
                concludes=row.concludes,
                draining=row.draining,
            )
            for row, member in tx.session.exec(select(WorkerRow, MemberRow).join(MemberRow)).all()
        ]

    return desk.store.read("view-machines", gather)


def freshnesses(tx: Transaction) -> Counter[str]:
    """How many workers are fresh, late, lost or banned.

    Looks at no consent: what is rendered every second must not cost more with every owner.
    """
    rows = tx.session.exec(select(WorkerRow, MemberRow).join(MemberRow)).all()
    return Counter(_freshness(row, member, tx.now) for row, member in rows)


def _freshness(row: WorkerRow, member: MemberRow, now: datetime) -> str:
    return "banned" if member.banned_at is not None else freshness(row.last_seen, now)
