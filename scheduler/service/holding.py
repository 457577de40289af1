"""Why a unit that is ready is not taken: its worker takes nothing new.

A unit's own reason says how far the unit is. Whether its worker is drained changes beside it, by
an operator's deed or with the worker's next exchange, and is looked up where the reason is told.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlmodel import col, or_, select

from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.states import UnitState
from scheduler.store.store import Transaction
from scheduler.store.tables import UnitRow, WorkerRow

Told = tuple[str, str]  # a reason's code and its sentence


def told_of(tx: Transaction, rows: Iterable[UnitRow]) -> dict[str, Told]:
    """By unit: the code and the sentence why it waits or ended, as people are told."""
    known = list(rows)
    held = _held(tx, {row.worker for row in known if row.worker is not None and _is_ready(row)})
    return {
        row.id: held[row.worker] if row.worker in held and _is_ready(row) else (row.reason, row.why)
        for row in known
    }


def _is_ready(row: UnitRow) -> bool:
    return row.state == UnitState.READY.value


def _held(tx: Transaction, workers: set[str]) -> dict[str | None, Told]:
    """Of `workers`, those that take nothing new, and by whose will."""
    if not workers:
        return {}
    query = select(WorkerRow.name, WorkerRow.draining).where(
        col(WorkerRow.name).in_(workers),
        or_(col(WorkerRow.draining), col(WorkerRow.drained_at).is_not(None)),
    )
    found: dict[str | None, Told] = {}
    for name, by_keeper in tx.session.exec(query):
        reason = Reason.WORKER_DRAINING if by_keeper else Reason.WORKER_DRAINED
        found[name] = (reason.value, sentence(reason))
    return found
