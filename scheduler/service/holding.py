"""Why units wait or ended, as people are told: of ready ones, what keeps their worker now.

A unit's own reason says how far the unit is. What its worker is about changes beside it, by
silence too, and is looked up where the reason is told; the decision is `domain.unleased`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam
from sqlmodel import col, select

from scheduler.domain.reasons import Reason
from scheduler.domain.states import UnitState
from scheduler.domain.unleased import Asker, unleased
from scheduler.service.units import quota_of
from scheduler.store.store import Transaction
from scheduler.store.tables import MemberRow, UnitRow, WorkerRow

Told = tuple[str, str]  # a reason's code and its sentence
_THOSE = (
    select(WorkerRow, MemberRow.banned_at)
    .join(MemberRow)
    .where(col(WorkerRow.name).in_(bindparam("names", expanding=True)))
)


def told_of(tx: Transaction, rows: Sequence[UnitRow]) -> dict[str, Told]:
    """By unit: the code and the sentence why it waits or ended, as people are told."""
    known = _askers(tx, {row.worker for row in rows if row.worker is not None and _is_ready(row)})
    return {row.id: _told(tx, row, known) for row in rows}


def _is_ready(row: UnitRow) -> bool:
    return row.state == UnitState.READY.value


def _askers(tx: Transaction, names: set[str]) -> dict[str, Asker]:
    """The workers of these names; no query where nothing is ready."""
    if not names:
        return {}
    return {
        row.name: Asker(
            last_seen=row.last_seen,
            slots=row.slots,
            quota=quota_of(row, tx.now),
            contributes=row.contributes,
            draining=row.draining,
            drained=row.drained_at is not None,
            banned=banned_at is not None,
        )
        for row, banned_at in tx.session.exec(_THOSE, params={"names": sorted(names)})
    }


def _told(tx: Transaction, row: UnitRow, known: dict[str, Asker]) -> Told:
    """What is stored, but for a ready unit.

    Of that it is only told that what its order rests on needs repair, where nothing else is in
    the way: that too is noticed by its worker's next exchange alone.
    """
    if not _is_ready(row):
        return row.reason, row.why
    reason, why = unleased(None if row.worker is None else known[row.worker], tx.now)
    nothing_else = reason in {Reason.WAITING_FOR_REQUEST, Reason.WAITING_FOR_CONCLUDER}
    if nothing_else and row.reason == Reason.WAITING_FOR_REPAIR.value:
        return row.reason, row.why
    return reason.value, why
