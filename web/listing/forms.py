"""A page of a list as JSON and as CSV, from the same columns as the table that people see."""

from __future__ import annotations

import csv
import io
import math
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from trust.clock import to_text
from web import cells
from web.cells import Cell, Plain
from web.listing import cursor as cursors
from web.listing.page import Listing
from web.sentences import Sentence
from web.speech import Speech

# A spreadsheet takes a cell that begins so for a formula; an apostrophe makes it text again.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_PASSED = ' \u00a0"'  # by what a spreadsheet, or one that counts quotes otherwise, passes over
# A French one separates by semicolons: what follows one, or a line's end, begins a cell of its own
# there, whatever quotes stand around all of it.
_INNER = re.compile('([;\t\r\n][;\t\r\n \u00a0"]*+)([=+\\-@\uff1d\uff0b\uff0d\uff20]?)')


def as_json(listing: Listing[Any], speech: Speech) -> dict[str, Any]:
    """`items` of plain values by column name, and where the next and previous pages begin."""
    state = listing.state
    return {
        "items": [
            {column.name: plain(column.value(row), speech) for column in listing.table.columns}
            for row in listing.rows
        ],
        "next": _written(listing, back=False),
        "previous": _written(listing, back=True),
        "sort": state.sort,
        "direction": "desc" if state.descending else "asc",
        "size": state.size,
        "total": listing.total if isinstance(listing.total, int) else None,
    }


def as_csv(listing: Listing[Any], speech: Speech) -> str:
    """RFC 4180, the columns' names first; text that a spreadsheet would run is made text."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([column.name for column in listing.table.columns])
    for row in listing.rows:
        writer.writerow(
            [guarded(plain(column.value(row), speech)) for column in listing.table.columns]
        )
    return out.getvalue()


def guarded(value: Plain) -> str | int | float:
    """A value for CSV. Numbers are numbers; text never begins like a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return value
    inside = _INNER.sub(lambda found: found[1] + ("'" + found[2] if found[2] else ""), value)
    return "'" + inside if value.lstrip(_PASSED).startswith(_FORMULA) else inside


def plain(value: Cell, speech: Speech) -> Plain:
    """A cell's value for machines: codes, whole ids, RFC 3339, seconds, bytes, shares of one."""
    if isinstance(value, cells.Shown):
        return plain(value.plain, speech)
    match value:
        case Sentence():
            return speech.text(value)
        case datetime():
            return to_text(value)
        case date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case float() | Decimal():
            number = float(value)
            return number if math.isfinite(number) else None  # JSON has no word for the others
    return value


def _written(listing: Listing[Any], *, back: bool) -> str | None:
    found = listing.previous if back else listing.next
    if found is None:
        return None
    return cursors.write(found, listing.state.sort, descending=listing.state.descending)
