"""The workers as operators see them: fresh, late or lost, what they have, what they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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
    draining: bool  # by itself
    drained: bool  # by an operator

    @property
    def takes(self) -> str:
        """Whether it is given new work: "takes" | "drained" | "draining" | "nothing"."""
        if self.freshness == "banned" or not (self.contributes or self.concludes):
            return "nothing"
        if self.drained:
            return "drained"
        return "draining" if self.draining else "takes"


def machines(desk: Desk) -> list[Machine]:
    """Every worker; a territory has hundreds, not millions."""
    return desk.store.read("view-machines", machines_in)


def machines_in(tx: Transaction, name: str = "") -> list[Machine]:
    """All of them, or the one called `name`."""
    live = select(AttemptRow.worker, func.count()).where(among(col(AttemptRow.state), LIVE))
    query = select(WorkerRow, MemberRow).join(MemberRow)
    if name:
        live = live.where(AttemptRow.worker == name)
        query = query.where(WorkerRow.name == name)
    leases: dict[str, int] = dict(tx.session.exec(live.group_by(AttemptRow.worker)).all())
    capsules = live_capsules(tx, name)
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
            drained=row.drained_at is not None,
        )
        for row, member in tx.session.exec(query).all()
    ]


def freshnesses(tx: Transaction) -> Counter[str]:
    """How many workers are fresh, late, lost or banned.

    Looks at no consent: what is rendered every second must not cost more with every owner.
    """
    rows = tx.session.exec(select(WorkerRow, MemberRow).join(MemberRow)).all()
    return Counter(_freshness(row, member, tx.now) for row, member in rows)


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
