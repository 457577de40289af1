"""What a list's address asks for, checked against the list's definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from web import formats, languages, themes
from web.errors import BadParameter
from web.formats import Format
from web.listing import cursor as cursors
from web.listing.cursor import Cursor
from web.listing.table import Table
from web.sentences import say

SORT, DIRECTION, CURSOR, SIZE = "sort", "dir", "cursor", "size"
_DIRECTIONS = {"asc": False, "desc": True}
_NOT_OURS = frozenset({languages.PARAMETER, themes.PARAMETER, formats.PARAMETER})


@dataclass(frozen=True)
class ListState:
    """Filters, order and place. Everything of it is in the address, and nothing else is.

    A store reads `limit` rows (one more than a page shows, which tells whether more follow) in
    the order of `sort` that `reverse` says, behind `cursor.key` when there is a cursor.
    """

    sort: str
    descending: bool
    size: int
    cursor: Cursor | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)  # as Filter.read gave them
    asked: Mapping[str, str] = field(default_factory=dict)  # the same as they were written

    @property
    def limit(self) -> int:
        """How many rows to read."""
        return self.size + 1

    @property
    def reverse(self) -> bool:
        """Whether rows are read from the largest key down; going back turns the order round."""
        return self.descending is not (self.cursor is not None and self.cursor.back)

    def query(self, **changes: str | None) -> str:
        """This state's query string with other parameters; None leaves one out.

        A changed filter or order begins at the first page: the cursor goes with them.
        """
        own: dict[str, str | None] = {
            **self.asked,
            SORT: self.sort,
            DIRECTION: "desc" if self.descending else "asc",
            SIZE: str(self.size),
            **changes,
        }
        return "?" + urlencode({name: value for name, value in own.items() if value is not None})

    def sorted_by(self, table: Table[Any], name: str) -> str:
        """The query string in the order `name`: its own way round first, then the other."""
        sort = table.sort(name)
        begins = sort is not None and sort.descending
        down = not self.descending if name == self.sort else begins
        return self.query(**{SORT: name, DIRECTION: "desc" if down else "asc"})

    def cleared(self) -> str:
        """The query string without any filter."""
        return self.query(**dict.fromkeys(self.asked))

    def exported(self, form: str) -> str:
        """The query string of the same list in another form, from its first page."""
        size = None if form == Format.CSV else str(self.size)
        return self.query(**{formats.PARAMETER: form, SIZE: size})

    def place(self, cursor: Cursor) -> str:
        """The query string of the page at `cursor`."""
        return self.query(cursor=cursors.write(cursor, self.sort, descending=self.descending))


def read(
    table: Table[Any],
    parameters: Sequence[tuple[str, str]],
    now: datetime,
    asked_for: Format = Format.HTML,
) -> ListState:
    """The state that an address asks for; what goes into a spreadsheet may be far longer.

    Raises BadParameter for a parameter that is unknown, repeated or out of its bounds; an empty
    one counts as left out, since forms send those.
    """
    given = _once(table, parameters)
    sort = table.sort(given.pop(SORT, table.sorts[0].name))
    if sort is None:
        raise BadParameter(
            SORT,
            say(
                "this list can be sorted by {names} alone",
                names=", ".join(one.name for one in table.sorts),
            ),
        )
    direction = given.pop(DIRECTION, "desc" if sort.descending else "asc")
    if direction not in _DIRECTIONS:
        raise BadParameter(DIRECTION, say("the direction is asc or desc"))
    descending = _DIRECTIONS[direction]
    export = asked_for is Format.CSV
    most = table.exported if export else max(table.sizes)
    size = given.pop(SIZE, str(most if export else table.sizes[0]))
    if not (size.isascii() and size.isdecimal() and 1 <= int(size[:6]) <= most):
        raise BadParameter(SIZE, say("a page has between 1 and {most} rows", most=most))
    cursor = given.pop(CURSOR, "")
    return ListState(
        sort=sort.name,
        descending=descending,
        size=int(size),
        cursor=(
            cursors.read(cursor, sort.name, sort.types, descending=descending) if cursor else None
        ),
        filters={
            one.name: one.read(given[one.name], now) for one in table.filters if one.name in given
        },
        asked=given,
    )


def _once(table: Table[Any], parameters: Sequence[tuple[str, str]]) -> dict[str, str]:
    known = {SORT, DIRECTION, CURSOR, SIZE, *(one.name for one in table.filters)}
    given: dict[str, str] = {}
    seen: set[str] = set()
    for name, value in parameters:
        if name in _NOT_OURS:
            continue
        if name not in known:
            raise BadParameter(
                name[:40],
                say(
                    "this list has no parameter “{name}”; it has {names}",
                    name=name[:40],
                    names=", ".join(sorted(known)),
                ),
            )
        if name in seen:
            raise BadParameter(name, say("“{name}” is given twice", name=name))
        seen.add(name)
        if value.strip():
            given[name] = value.strip()
    return given
