"""One worker: what it says of itself, what it does now and what it did lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, select

from scheduler.domain.planning import round_down
from scheduler.errors import Ambiguous, Unknown
from scheduler.service import units
from scheduler.service.desk import Desk
from scheduler.service.finding import LEAST_PREFIX
from scheduler.store.store import Transaction
from scheduler.store.tables import (
    AttemptRow,
    AuthorisationRow,
    CampaignRow,
    LogRow,
    MemberRow,
    UnitRow,
    WorkerRow,
)
from scheduler.views.counting import in_tens
from scheduler.views.machines import LIVE, Machine, machines_in
from scheduler.views.slices import among
from trust.log.entry import Kind

SHOWN = 50  # attempts of one worker, running and ended
LATELY = 2000  # the newest ended attempts of the territory, among which one worker's are sought


@dataclass(frozen=True)
class Shift:
    """An attempt of a worker with the unit that it is about; progress in tens of capsules."""

    unit: str
    campaign: str
    title: str
    round: int
    kind: str
    state: str
    reason: str
    why: str
    leased_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    done: int
    capsules: int


@dataclass(frozen=True)
class MachineDetail:
    """One worker with what it says of itself, what it does and what it did lately."""

    machine: Machine
    image: str | None
    images: tuple[str, ...]  # library=digest of its further runtimes
    quota_daily: int
    quota_used: int  # today, by UTC
    enrolled_at: datetime
    enrolment_index: int | None
    banned_at: datetime | None
    banned_because: str  # for operators and auditors; "" to others
    clock: timedelta | None  # its clock less the scheduler's; None while it has not spoken
    running: tuple[Shift, ...]
    ended: tuple[Shift, ...]  # among the last LATELY of the whole territory, the newest first


def machine(desk: Desk, text: str) -> MachineDetail:
    """The worker with the name or unique prefix `text`. Raises Unknown, Ambiguous."""

    def gather(tx: Transaction) -> MachineDetail:
        row = _worker_by(tx, text)
        member = tx.session.get(MemberRow, row.name)
        assert member is not None
        quota = units.quota_of(row, tx.now)
        running = tx.session.exec(
            select(AttemptRow)
            .where(AttemptRow.worker == row.name, among(col(AttemptRow.state), LIVE))
            .order_by(col(AttemptRow.leased_at))
            .limit(SHOWN)
        ).all()
        return MachineDetail(
            machine=machines_in(tx, row.name)[0],
            image=row.image,
            images=tuple(row.images.split()),
            quota_daily=quota.daily,
            quota_used=quota.used,
            enrolled_at=member.enrolled_at,
            enrolment_index=_place(tx, member.enrolment),
            banned_at=member.banned_at,
            banned_because=member.banned_because or "",
            clock=desk.skews.get(row.name),
            running=_shifts(tx, running),
            ended=_shifts(tx, _lately(tx, row.name)),
        )

    return desk.store.read("view-machine", gather)


def _lately(tx: Transaction, worker: str) -> list[AttemptRow]:
    """No index tells who ended what long ago; the newest ends of all are few enough to look at."""
    newest = (
        select(AttemptRow.id)
        .where(col(AttemptRow.ended_at).is_not(None))
        .order_by(col(AttemptRow.ended_at).desc())
        .limit(LATELY)
        .subquery()
    )
    query = (
        select(AttemptRow)
        .join(newest, newest.c.id == col(AttemptRow.id))
        .where(AttemptRow.worker == worker)
        .order_by(col(AttemptRow.ended_at).desc(), col(AttemptRow.id))
        .limit(SHOWN)
    )
    return list(tx.session.exec(query).all())


def _shifts(tx: Transaction, rows: Sequence[AttemptRow]) -> tuple[Shift, ...]:
    work = {
        unit.id: (unit, title)
        for unit, title in tx.session.exec(
            select(UnitRow, AuthorisationRow.title)
            .join(CampaignRow, col(CampaignRow.id) == col(UnitRow.campaign))
            .join(AuthorisationRow, col(AuthorisationRow.id) == col(CampaignRow.authorisation))
            .where(col(UnitRow.id).in_([row.unit for row in rows]))
        )
    }
    return tuple(_shift(row, *work[row.unit]) for row in rows)


def _shift(row: AttemptRow, unit: UnitRow, title: str) -> Shift:
    return Shift(
        unit=unit.id,
        campaign=unit.campaign,
        title=title,
        round=unit.round,
        kind=unit.kind,
        state=row.state,
        reason=row.reason,
        why=in_tens(row.why),
        leased_at=row.leased_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
        done=round_down(unit.done),
        capsules=round_down(unit.capsules),
    )


def _place(tx: Transaction, digest: str | None) -> int | None:
    if digest is None:
        return None
    return tx.session.exec(
        select(LogRow.position).where(LogRow.digest == digest, LogRow.kind == Kind.ENROLMENT.value)
    ).first()


def _worker_by(tx: Transaction, text: str) -> WorkerRow:
    tail = text.removeprefix("wrk_")
    plain = tail.isascii() and tail.isalnum() and len(tail) <= 64
    query = select(WorkerRow).where(
        col(WorkerRow.name) >= f"wrk_{tail}", col(WorkerRow.name) < f"wrk_{tail}\x7f"
    )
    found = list(tx.session.exec(query.limit(2))) if plain else []
    if not found or len(tail) < LEAST_PREFIX:
        raise Unknown(
            f"no worker {text[:80]!r} is known here",
            remedy=f"the workers' page lists them; a prefix has {LEAST_PREFIX} or more letters",
        )
    if len(found) > 1:
        raise Ambiguous(f"{text[:80]!r} fits several: type more of it")
    return found[0]
