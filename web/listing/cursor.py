"""Where a page of a list begins: after (or before) a row's key, never after so many rows.

To the reader a cursor is opaque. It is not secret and needs no signature: it only says where in
an order to go on, every part is checked against the sort's types, and becomes a bound parameter.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from web.errors import BadParameter
from web.listing.table import Key
from web.sentences import say

_LONGEST = 400  # letters
_LARGEST = 2**63  # SQLite's and PostgreSQL's integers end here


@dataclass(frozen=True)
class Cursor:
    """The key of a row at a page's edge; `back` asks for the rows before it."""

    key: tuple[Key, ...]
    back: bool = False


def write(cursor: Cursor, sort: str, *, descending: bool) -> str:
    """The cursor as a parameter; it is good for this order alone."""
    parts = [_moment(part) if isinstance(part, datetime) else part for part in cursor.key]
    text = json.dumps([sort, descending, cursor.back, *parts], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(text: str, sort: str, types: Sequence[type[Key]], *, descending: bool) -> Cursor:
    """Raises BadParameter for what was not written here, or for another order."""
    try:
        name, down, back, *parts = _parts(text)
        key = tuple(_part(part, kind) for part, kind in zip(parts, types, strict=True))
    except (ValueError, TypeError, RecursionError):
        name = None
    if name is None or (name, down) != (sort, descending) or not isinstance(back, bool):
        raise BadParameter(
            "cursor",
            say("the cursor does not belong to this list in this order"),
            helps=say("start again from the list's first page"),
        )
    return Cursor(key, back)


def _moment(moment: datetime) -> str:
    """To the microsecond: rows of one second would be lost or repeated otherwise."""
    return moment.astimezone(UTC).isoformat()


def _parts(text: str) -> list[Any]:
    if len(text) > _LONGEST or not text.isascii():
        raise ValueError
    raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    parts = json.loads(raw, parse_constant=_no_constant)
    if not isinstance(parts, list):
        raise TypeError
    return parts


def _part(part: object, kind: type[Key]) -> Key:
    if kind is datetime and isinstance(part, str):
        moment = datetime.fromisoformat(part)
        if moment.tzinfo is not UTC:
            raise ValueError
        return moment
    if kind is float and type(part) is int:
        return float(part)
    if isinstance(part, str):
        part.encode()  # half of a surrogate pair, which no database takes, is a ValueError
    if type(part) is kind and not (isinstance(part, int) and abs(part) >= _LARGEST):
        return part
    raise ValueError


def _no_constant(name: str) -> float:
    raise ValueError(name)
