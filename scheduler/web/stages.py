"""The rounds of a campaign as rows: the same columns on its page, in its list, CSV and JSON.

Operators and a bundle's author read the same figures; of a round that still collects, an author is
told neither how many machines have answered nor which units are under way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from scheduler.views.own_runs import OwnStage
from scheduler.views.stages import Stage
from scheduler.views.units import PlanProof
from scheduler.web import words
from scheduler.web.reasons import told
from web.cells import Cell, Link, Share, Size
from web.listing import Column, Sort, Table
from web.sentences import Sentence, say

DIGITS = 2  # of an epsilon; more would pretend


class Shown(Protocol):
    """What every reader of a round is shown. Fields as in scheduler.views.stages.Stage."""

    @property
    def number(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def issued_at(self) -> datetime: ...
    @property
    def deadline(self) -> datetime: ...
    @property
    def part(self) -> float: ...
    @property
    def participants(self) -> int | None: ...
    @property
    def bytes(self) -> int | None: ...
    @property
    def epsilon(self) -> float | None: ...
    @property
    def told(self) -> Mapping[str, float]: ...
    @property
    def plan(self) -> PlanProof: ...


S = TypeVar("S", bound=Shown)


def _table(name: str, units: Sequence[Column[S]]) -> Table[S]:
    return Table(
        name=name,
        caption=say("Rounds"),
        columns=[
            Column("round", say("Round"), lambda row: row.number, "round", number=True,
                   schema="integer"),
            Column("state", say("State"), lambda row: words.ROUNDS.get(row.state)),
            Column("part", say("Progress"), lambda row: Share(row.part), schema="number"),
            *units,
            Column("participants", say("Participants"), lambda row: row.participants,
                   number=True, schema="integer"),
            Column("bytes", say("Sent"), _sent, number=True, schema="integer"),
            Column("epsilon", say("Epsilon so far"), _epsilon, number=True, schema="number"),
            Column("reason", say("Why"), lambda row: told(row.why, row.reason)),
            Column("deadline", say("Deadline"), lambda row: row.deadline),
            Column("plan", say("Plan in the log"), lambda row: plan_link(row.plan)),
        ],
        sorts=[Sort("round", lambda row: (row.number,), (int,), descending=True)],
        exported=1000,
    )  # fmt: skip


def with_told(table: Table[S], rows: Sequence[S]) -> Table[S]:
    """The list with a column for each number that these rounds told, behind what they cost."""
    place = 1 + [column.name for column in table.columns].index("epsilon")
    return Table(
        name=table.name,
        caption=table.caption,
        columns=[
            *table.columns[:place],
            *(_told(name) for name in names_told(rows)),
            *table.columns[place:],
        ],
        sorts=table.sorts,
        exported=table.exported,
    )


def _told(name: str) -> Column[S]:
    return Column(
        f"told_{name}",
        say("{text}", text=name),
        lambda row: row.told.get(name),
        number=True,
        schema="number",
    )


def names_told(rows: Sequence[Shown]) -> list[str]:
    """What the rounds told, by name."""
    return sorted({name for row in rows for name in row.told})


def headings(table: Table[S]) -> list[Sentence]:
    """What stands above `cells`."""
    return [column.heading for column in table.columns]


def cells(table: Table[S], row: S, first: Cell) -> list[Cell]:
    """A row of a campaign's page; `first` names it there."""
    return [first, *(column.value(row) for column in table.columns[1:])]


def plan_link(plan: PlanProof) -> Cell:
    """The way to a plan's entry in the log."""
    if plan.index is None:
        return say("not in the log yet")
    return Link(f"/log/{plan.index}", say("entry {index}", index=plan.index))


def _sent(row: Shown) -> Cell:
    return None if row.bytes is None else Size(row.bytes)


def _epsilon(row: Shown) -> Cell:
    return None if row.epsilon is None else round(row.epsilon, DIGITS)


def _units(one: Stage) -> Sentence:
    done = one.units.get("satisfied", 0)
    failed = one.units.get("failed", 0)
    total = sum(one.units.values())
    if failed:
        return say("{done} of {total}, {failed} failed", done=done, total=total, failed=failed)
    return say("{done} of {total}", done=done, total=total)


ROUNDS: Table[Stage] = _table("rounds", [Column("units", say("Work units"), _units)])
OWN_ROUNDS: Table[OwnStage] = _table("rounds", [])
