"""Work units of all campaigns, by deadline: what failed, what is late, what one worker has.

Each way of filtering enters an index of its own, so that a page costs the same however many units
there were before it. The indexes `unit_listed…` hold `round > 0`, as every row has it, and are
used where it is spelled: by these lists and by nothing that leases.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, literal_column
from sqlmodel import col, select

from scheduler.domain.states import UnitState
from scheduler.service.desk import Desk
from scheduler.service.finding import worker_by
from scheduler.store.store import Transaction
from scheduler.store.tables import UnitRow, WorkerRow
from scheduler.views.lateness import is_late
from scheduler.views.slices import Slice
from scheduler.views.units import Work, works_of

_LISTED: ColumnElement[bool] = literal_column("unit.round > 0")
_UNDONE: ColumnElement[bool] = literal_column("unit.state <> 'satisfied'")
_COLUMNS = ("deadline", "id")


def every_unit(
    desk: Desk,
    cut: Slice,
    *,
    state: str = "",
    worker: str = "",
    prefix: str = "",
    late: bool = False,
) -> list[Work]:
    """Units by deadline and id. Raises Unknown, Ambiguous for a worker that is not there.

    `worker` is a name or the beginning of one, `prefix` the beginning of a unit's id. `late`:
    those alone that move and should be further.
    """

    def gather(tx: Transaction) -> list[Work]:
        query = select(UnitRow)
        if worker:
            query = query.where(UnitRow.worker == worker_by(tx, worker).name)
        if state:
            query = query.where(UnitRow.state == state)
        if prefix:
            head = "unit_" + prefix.removeprefix("unit_")
            query = query.where(col(UnitRow.id) >= head, col(UnitRow.id) < head + "\x7f")
        if late:
            query = query.join(
                WorkerRow, col(WorkerRow.name) == col(UnitRow.worker), isouter=True
            ).where(*is_late(tx.now))
        # What begins alike and what moves is a handful, found by an index and then sorted.
        few = bool(prefix) or late
        if not few:
            query = query.where(_LISTED)
        if not few and not worker and state not in {"", UnitState.SATISFIED.value}:
            # Follows from the state; said as the index has it, so that it is used. Those that are
            # done are nearly all there are: they are met in the order itself.
            query = query.where(_UNDONE)
        columns = [UnitRow.__table__.c[name] for name in _COLUMNS]  # type: ignore[attr-defined]
        return works_of(tx, tx.session.exec(cut.cut(query, columns, few=few)).all())

    return desk.store.read("view-every-unit", gather)
