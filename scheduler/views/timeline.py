"""Who worked when in a campaign: all of it where that is few attempts, its rounds, or one round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlmodel import col, select

from scheduler.errors import Unknown
from scheduler.service.desk import Desk
from scheduler.service.finding import campaign_by
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, RoundRow, UnitRow
from scheduler.views import stretches
from scheduler.views.runs import Run, lanes_of, lines_of
from scheduler.views.slices import Key, Slice
from scheduler.views.stretches import Stretch
from scheduler.views.units import Try, Work, try_of, works_of

# Attempts of a picture of a whole campaign: of more it would be higher than four screens, and
# bars of days beside each other would be too narrow to be told apart.
MOST_BARS = 120
ONLY = 1  # rounds of a campaign whose picture is its round's


@dataclass(frozen=True)
class Effort:
    """An attempt with the unit that it was about."""

    work: Work
    attempt: Try


@dataclass(frozen=True)
class Timeline:
    """A campaign, or its round `number`. What is drawn are `lanes`, or else the `rounds`.

    Lanes are units with their attempts: of one round those that failed first, of several rounds
    all of them, by round.
    """

    run: Run
    number: int  # 0: all rounds, if there is any
    lanes: Sequence[tuple[Work, tuple[Try, ...]]]
    hidden: int  # units, or rounds, that the picture leaves out
    rounds: Sequence[Stretch]
    rows: Sequence[Effort]  # a page of all attempts, by round, unit and number


def timeline(desk: Desk, text: str, cut: Slice, *, number: int = 0) -> Timeline:
    """The campaign `text`, or its round `number`: a single one is it anyway.

    Raises Unknown, Ambiguous.
    """

    def gather(tx: Transaction) -> Timeline:
        row = campaign_by(tx, text)
        run = lines_of(tx, [row])[0]
        chosen = number or (run.round if run.round == ONLY else 0)
        if chosen and tx.session.get(RoundRow, (row.id, chosen)) is None:
            raise Unknown(
                f"{row.id} has no round {chosen}",
                remedy=f"it has rounds up to {run.round}"
                if run.round
                else "its first round is not planned yet",
            )
        rows = _rows(tx, row.id, chosen, cut)
        if chosen:
            lanes, hidden = lanes_of(tx, row.id, chosen)
            return Timeline(run, chosen, lanes, hidden, (), rows)
        every = _rows(tx, row.id, 0, Slice(MOST_BARS + 1))
        if len(every) <= MOST_BARS:
            return Timeline(run, 0, _lanes(every), 0, (), rows)
        shown = stretches.newest(tx, row.id)
        return Timeline(run, 0, (), run.round - len(shown), shown, rows)

    return desk.store.read("view-timeline", gather)


def _lanes(every: Sequence[Effort]) -> list[tuple[Work, tuple[Try, ...]]]:
    """By round, and within each by the first lease: the picture falls from left to right."""
    lanes = []
    for _, efforts in groupby(every, lambda one: one.work.unit):
        mine = list(efforts)
        lanes.append((mine[0].work, tuple(one.attempt for one in mine)))
    return sorted(lanes, key=lambda lane: (lane[0].round, lane[1][0].leased_at, lane[0].unit))


def _rows(tx: Transaction, campaign: str, number: int, cut: Slice) -> list[Effort]:
    query = (
        select(AttemptRow, UnitRow)
        .join(UnitRow, col(UnitRow.id) == col(AttemptRow.unit))
        .where(UnitRow.campaign == campaign)
    )
    attempts, units = AttemptRow.__table__.c, UnitRow.__table__.c  # type: ignore[attr-defined]
    columns = [units["round"], units["id"], attempts["number"]]
    if number:
        # Within one round the unit is the order: with the round in it, all behind would be read.
        query, columns = query.where(UnitRow.round == number), columns[1:]
        cut = Slice(cut.limit, _within(cut, number), cut.reverse)
    rows = tx.session.exec(cut.cut(query, columns)).all()
    works = works_of(tx, [unit for _, unit in rows])
    return [Effort(work, try_of(attempt)) for work, (attempt, _) in zip(works, rows, strict=True)]


def _within(cut: Slice, number: int) -> tuple[Key, ...] | None:
    """The place of a cursor over (round, unit, number) in the round `number` alone, or an edge."""
    if cut.after is None:
        return None
    place, *rest = cut.after
    if place == number:
        return tuple(rest)
    ahead = int(place) > number  # type: ignore[arg-type]
    # Behind everything there is nothing: no id sorts before "" or after the letters' end.
    if cut.reverse:
        return None if ahead else ("", 0)
    return ("unit_\x7f", 0) if ahead else None
