"""Work that should be further: past its deadline, its worker silent, or an attempt in vain."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, literal_column
from sqlmodel import col, exists, func, or_, select

from scheduler.domain.states import FINAL_UNIT, UnitState
from scheduler.service.roster import FRESH
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, RoundRow, UnitRow, WorkerRow
from scheduler.views.machines import LIVE
from scheduler.views.slices import among
from scheduler.views.units import PlanProof, Work, plan_proof, works_of

SHOWN = 10  # lines of a page; further ones are in their lists
_MOVING = [state.value for state in UnitState if state not in FINAL_UNIT]


class Cause(enum.StrEnum):
    """Why a unit counts as late."""

    DEADLINE = "past-deadline"
    SILENT = "worker-silent"
    RETRIED = "attempt-ended"


@dataclass(frozen=True)
class LateUnit:
    """A unit that should be further: its cause, and since when."""

    work: Work
    cause: Cause
    since: datetime | None
    ended: int  # attempts that ended without an accepted report
    plan: PlanProof  # of its round: what it was ordered by


def count_late(tx: Transaction) -> int:
    """How many units should be further."""
    return tx.session.exec(
        select(func.count())
        .select_from(UnitRow)
        .join(WorkerRow, col(WorkerRow.name) == col(UnitRow.worker), isouter=True)
        .where(*is_late(tx.now))
    ).one()


def is_late(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Of a unit beside its worker's row, where it has one: whether it moves, and should be further.

    What moves is entered by an index over it alone: it is little, however much has ended.
    """
    ended = exists().where(
        col(AttemptRow.unit) == col(UnitRow.id), col(AttemptRow.state).not_in(LIVE)
    )
    silent = or_(col(WorkerRow.last_seen).is_(None), col(WorkerRow.last_seen) < now - FRESH)
    return (
        among(col(UnitRow.state), _MOVING),
        or_(col(UnitRow.deadline) <= now, col(UnitRow.worker).is_not(None) & silent, ended),
    )


def late(tx: Transaction, campaign: str = "") -> list[LateUnit]:
    """Units that move and should be further, those with the nearest deadline first.

    At most one more than SHOWN; of one campaign where its whole id is given.
    """
    now = tx.now
    query = (
        select(UnitRow, WorkerRow)
        .join(WorkerRow, col(WorkerRow.name) == col(UnitRow.worker), isouter=True)
        .where(*is_late(now))
        .order_by(col(UnitRow.deadline), col(UnitRow.id))
        .limit(SHOWN + 1)
    )
    if campaign:
        # As an expression: by an index over the campaign all of its units would be read, also those
        # that ended; what moves is little.
        query = query.where(col(UnitRow.campaign).concat(literal_column("''")) == campaign)
    rows = tx.session.exec(query).all()
    counts: dict[str, int] = dict(
        tx.session.exec(
            select(AttemptRow.unit, func.count())
            .where(
                col(AttemptRow.unit).in_([row.id for row, _ in rows]),
                col(AttemptRow.state).not_in(LIVE),
            )
            .group_by(AttemptRow.unit)
        ).all()
    )
    plans = {key: _plan(tx, *key) for key in {(row.campaign, row.round) for row, _ in rows}}
    works = works_of(tx, [row for row, _ in rows])
    return [
        LateUnit(
            work, *_cause(row, worker, now), counts.get(row.id, 0),
            plans[row.campaign, row.round],
        )
        for work, (row, worker) in zip(works, rows, strict=True)
    ]  # fmt: skip


def _plan(tx: Transaction, campaign: str, number: int) -> PlanProof:
    stage = tx.session.get(RoundRow, (campaign, number))
    assert stage is not None
    return plan_proof(tx, stage.plan)


def _cause(row: UnitRow, worker: WorkerRow | None, now: datetime) -> tuple[Cause, datetime | None]:
    """Why, and since when."""
    if row.deadline <= now:
        return Cause.DEADLINE, row.deadline
    seen = None if worker is None else worker.last_seen
    if worker is not None and (seen is None or seen < now - FRESH):
        return Cause.SILENT, seen
    return Cause.RETRIED, row.updated_at
