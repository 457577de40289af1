"""One page of a list, from the rows that a store read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic

from web.listing.cursor import Cursor
from web.listing.state import ListState
from web.listing.table import Row, Table
from web.sentences import Sentence


@dataclass(frozen=True)
class Listing(Generic[Row]):
    """What is shown; `why_empty` is a sentence for when there are no rows.

    `total` is a count, or what is said in its place ("over 10,000"); None where nobody counted.
    """

    table: Table[Row]
    state: ListState
    rows: Sequence[Row]
    next: Cursor | None
    previous: Cursor | None
    why_empty: Sentence
    total: int | Sentence | None = None

    @property
    def narrowed(self) -> bool:
        """Whether filters hide some of it."""
        return bool(self.state.filters)


def of(
    table: Table[Row],
    state: ListState,
    read: Sequence[Row],
    why_empty: Sentence,
    total: int | Sentence | None = None,
) -> Listing[Row]:
    """The page of the rows that a store read for `state`, up to `state.limit` in its order."""
    sort = table.sort(state.sort)
    if sort is None:
        raise ValueError(f"{state.sort} is no sort of this table: the state is another's")
    back = state.cursor is not None and state.cursor.back
    more = len(read) > state.size
    rows = list(read[: state.size])
    if back:
        rows.reverse()
    before = more if back else state.cursor is not None
    after = True if back else more
    return Listing(
        table=table,
        state=state,
        rows=rows,
        next=Cursor(sort.key(rows[-1])) if rows and after else None,
        previous=Cursor(sort.key(rows[0]), back=True) if rows and before else None,
        why_empty=why_empty,
        total=total,
    )


def in_memory(
    table: Table[Row], state: ListState, rows: Iterable[Row], why_empty: Sentence
) -> Listing[Row]:
    """The page of a list that is small enough to be at hand whole, already filtered."""
    sort = table.sort(state.sort)
    if sort is None:
        raise ValueError(f"{state.sort} is no sort of this table: the state is another's")
    ordered = sorted(rows, key=sort.key, reverse=state.reverse)
    total = len(ordered)
    if state.cursor is not None:
        edge = state.cursor.key
        ordered = [
            row
            for row in ordered
            if (sort.key(row) < edge if state.reverse else sort.key(row) > edge)
        ]
    return of(table, state, ordered[: state.limit], why_empty, total)
