"""The operator's view of the workers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import literal_column
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
        capsules = live_capsules(tx)
        rows = tx.session.exec(
            select(WorkerRow, MemberRow).join(MemberRow).order_by(MemberRow.operator)
        ).all()
        return [
            WorkerView(
                row,
                member,
                freshness(row.last_seen, tx.now),
                round_down(capsules[row.name]),
                leases.get(row.name, 0),
            )
            for row, member in rows
        ]

    return await desk.look("list-workers", gather)


def live_capsules(tx: Transaction, name: str = "") -> dict[str, int]:
    """How many capsules of each worker have any live grant, exactly: round before showing.

    Of the one called `name`, or of all. Asked worker by worker, each answered from the index
    `consent_live` alone: the table itself, which grows with every owner, is not read.
    """
    granted = (
        select(func.count(func.distinct(ConsentRow.capsule)))
        .where(
            ConsentRow.worker == WorkerRow.name,
            # Spelled as the index has it: a bound parameter would not be seen to fit.
            col(ConsentRow.decision) == literal_column(f"'{Decision.GRANT.value}'"),
            ConsentRow.expires_at > tx.now,
        )
        .correlate(WorkerRow)
        .scalar_subquery()
    )
    query = select(WorkerRow.name, granted)
    return dict(tx.session.exec(query.where(WorkerRow.name == name) if name else query).all())


def freshness(last_seen: datetime | None, now: datetime) -> str:
    """How long a worker has been silent, in one word."""
    if last_seen is None or now - last_seen > LOST_AFTER:
        return "lost"
    return "fresh" if now - last_seen <= FRESH else "late"
