"""Who worked when in one round of a campaign, the newest or any older one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import col, select

from scheduler.errors import Unknown
from scheduler.service.desk import Desk
from scheduler.service.finding import campaign_by
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, RoundRow, UnitRow
from scheduler.views.runs import Run, lanes_of, lines_of
from scheduler.views.slices import Slice
from scheduler.views.units import Try, Work, try_of, works_of


@dataclass(frozen=True)
class Effort:
    """An attempt with the unit that it was about."""

    work: Work
    attempt: Try


@dataclass(frozen=True)
class Timeline:
    """One round. `lanes` are the units whose attempts are drawn, those that failed first."""

    run: Run
    number: int  # 0: the campaign has no round yet
    lanes: Sequence[tuple[Work, tuple[Try, ...]]]
    hidden: int  # units that the picture leaves out
    rows: Sequence[Effort]  # a page of all attempts, by unit and number


def timeline(desk: Desk, text: str, cut: Slice, *, number: int = 0) -> Timeline:
    """Round `number` of the campaign `text`, 0 for the newest. Raises Unknown, Ambiguous."""

    def gather(tx: Transaction) -> Timeline:
        row = campaign_by(tx, text)
        run = lines_of(tx, [row])[0]
        chosen = number or run.round
        if chosen and tx.session.get(RoundRow, (row.id, chosen)) is None:
            raise Unknown(
                f"{row.id} has no round {chosen}",
                remedy=f"it has rounds up to {run.round}"
                if run.round
                else "its first round is not planned yet",
            )
        lanes, hidden = lanes_of(tx, row.id, chosen) if chosen else ([], 0)
        return Timeline(run, chosen, lanes, hidden, _rows(tx, row.id, chosen, cut))

    return desk.store.read("view-timeline", gather)


def _rows(tx: Transaction, campaign: str, number: int, cut: Slice) -> list[Effort]:
    query = (
        select(AttemptRow, UnitRow)
        .join(UnitRow, col(UnitRow.id) == col(AttemptRow.unit))
        .where(UnitRow.campaign == campaign, UnitRow.round == number)
    )
    columns = [AttemptRow.__table__.c[name] for name in ("unit", "number")]  # type: ignore[attr-defined]
    rows = tx.session.exec(cut.cut(query, columns)).all()
    works = works_of(tx, [unit for _, unit in rows])
    return [Effort(work, try_of(attempt)) for work, (attempt, _) in zip(works, rows, strict=True)]
