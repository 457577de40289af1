"""The operator's view of the workers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, func, select

from scheduler.domain.planning import LOST_AFTER, round_down
from scheduler.domain.states import LIVE_ATTEMPT
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, ConsentRow, MemberRow, WorkerRow
from trust.documents.consent import Decision

FRESH = timedelta(seconds=60)


@dataclass(frozen=True)
class WorkerView:
    """One worker; `capsules` with any live grant, rounded down to tens."""

    row: WorkerRow
    member: MemberRow
    freshness: str  # "fresh" | "late" | "lost"
    capsules: int
    leases: int


async def list_workers(desk: Desk) -> list[WorkerView]:
    """Every worker, by operator."""

    def gather(tx: Transaction) -> list[WorkerView]:
        leases = dict(
            tx.session.exec(
                select(AttemptRow.worker, func.count())
                .where(col(AttemptRow.state).in_([state.value for state in LIVE_ATTEMPT]))
                .group_by(AttemptRow.worker)
            ).all()
        )
        capsules = dict(
            tx.session.exec(
                select(ConsentRow.worker, func.count(func.distinct(ConsentRow.capsule)))
                .where(
                    ConsentRow.decision == Decision.GRANT.value,
                    ConsentRow.expires_at > tx.now,
                )
                .group_by(ConsentRow.worker)
            ).all()
        )
        rows = tx.session.exec(
            select(WorkerRow, MemberRow).join(MemberRow).order_by(MemberRow.operator)
        ).all()
        return [
            WorkerView(
                row,
                member,
                freshness(row.last_seen, tx.now),
                round_down(capsules.get(row.name, 0)),
                leases.get(row.name, 0),
            )
            for row, member in rows
        ]

    return await desk.look("list-workers", gather)


def freshness(last_seen: datetime | None, now: datetime) -> str:
    """How long a worker has been silent, in one word."""
    if last_seen is None or now - last_seen > LOST_AFTER:
        return "lost"
    return "fresh" if now - last_seen <= FRESH else "late"
