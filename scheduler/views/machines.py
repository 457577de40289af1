"""The workers as operators see them: fresh, late or lost, what they have, what they do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, func, select

from scheduler.domain.planning import round_down
from scheduler.domain.states import LIVE_ATTEMPT, AttemptState
from scheduler.service.desk import Desk
from scheduler.service.roster import freshness
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, ConsentRow, MemberRow, WorkerRow
from scheduler.views.slices import among
from trust.documents.consent import Decision

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
    return desk.store.read("view-machines", machines_in)


def machines_in(tx: Transaction, name: str = "") -> list[Machine]:
    """All of them, or the one called `name`."""
    live = select(AttemptRow.worker, func.count()).where(among(col(AttemptRow.state), LIVE))
    granted = select(ConsentRow.worker, func.count(func.distinct(ConsentRow.capsule))).where(
        ConsentRow.decision == Decision.GRANT.value, ConsentRow.expires_at > tx.now
    )
    query = select(WorkerRow, MemberRow).join(MemberRow)
    if name:
        live = live.where(AttemptRow.worker == name)
        granted = granted.where(ConsentRow.worker == name)
        query = query.where(WorkerRow.name == name)
    leases: dict[str, int] = dict(tx.session.exec(live.group_by(AttemptRow.worker)).all())
    capsules: dict[str, int] = dict(tx.session.exec(granted.group_by(ConsentRow.worker)).all())
    return [
        Machine(
            worker=row.name,
            operator=member.operator,
            site=member.site,
            freshness=_freshness(row, member, tx.now),
            last_seen=row.last_seen,
            level=row.level,
            libraries=tuple(row.libraries.split()),
            capsules=round_down(capsules.get(row.name, 0)),
            leases=leases.get(row.name, 0),
            slots=row.slots,
            contributes=row.contributes,
            concludes=row.concludes,
            draining=row.draining,
        )
        for row, member in tx.session.exec(query).all()
    ]


def _freshness(row: WorkerRow, member: MemberRow, now: datetime) -> str:
    return "banned" if member.banned_at is not None else freshness(row.last_seen, now)


@dataclass(frozen=True)
class Site:
    """The workers of one place; capsules in tens."""

    site: str
    operators: tuple[str, ...]
    fresh: int
    late: int
    lost: int
    capsules: int
    leases: int
    slots: int

    @property
    def workers(self) -> int:
        """All that are not excluded."""
        return self.fresh + self.late + self.lost


def sites(machines: Iterable[Machine]) -> list[Site]:
    """The places of the workers that are not excluded, by name."""
    found: dict[str, list[Machine]] = {}
    for one in machines:
        if one.freshness != "banned":
            found.setdefault(one.site, []).append(one)
    return [
        Site(
            site=site,
            operators=tuple(sorted({one.operator for one in those})),
            fresh=sum(one.freshness == "fresh" for one in those),
            late=sum(one.freshness == "late" for one in those),
            lost=sum(one.freshness == "lost" for one in those),
            capsules=sum(one.capsules for one in those),
            leases=sum(one.leases for one in those),
            slots=sum(one.slots for one in those),
        )
        for site, those in sorted(found.items())
    ]
