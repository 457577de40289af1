"""What a list can show, sort by and be filtered by: defined once, for a page, JSON and CSV."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Generic, TypeVar

from trust.clock import from_text
from web.cells import Cell
from web.errors import BadParameter
from web.sentences import Sentence, say

Row = TypeVar("Row")
Key = str | int | float | datetime
_SPAN = re.compile(r"([1-9][0-9]{0,4})(min|h|d)")
_SPANS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
SIZES = (25, 50, 100, 200)  # rows a page
EXPORTED = 10_000  # rows of one answer for a spreadsheet; more follow behind its cursor


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column. `name` is its key in JSON and CSV, and never changes."""

    name: str
    heading: Sentence
    value: Callable[[Row], Cell]
    sort: str = ""  # the name of the sort that its heading links to
    number: bool = False  # aligned at the right
    schema: str = "string"  # of its JSON value, which may always be null as well
    page: bool = True  # whether people see it; CSV and JSON have every column


@dataclass(frozen=True)
class Sort(Generic[Row]):
    """An order. `key` ends with something unique, or rows of equal keys would be lost.

    `types` are those of the key's parts, in order; a store compares rows with the cursor's key.
    """

    name: str
    key: Callable[[Row], tuple[Key, ...]]
    types: tuple[type[Key], ...]
    descending: bool = False  # which way round it begins


@dataclass(frozen=True)
class Filter:
    """A parameter that narrows the list; `read` refuses what is out of its bounds."""

    name: str
    label: Sentence
    kind: ClassVar[str] = "text"  # which field its form has

    def read(self, text: str, now: datetime) -> object:
        """The value that the parameter stands for. Raises BadParameter."""
        raise NotImplementedError


@dataclass(frozen=True)
class Text(Filter):
    """Words or the beginning of an id."""

    most: int = 80
    pattern: str = ""
    hint: Sentence | None = None

    def read(self, text: str, now: datetime) -> str:
        del now
        if len(text) > self.most or (self.pattern and not re.fullmatch(self.pattern, text)):
            raise BadParameter(
                self.name,
                say("“{value}” is nothing that {name} can be", value=text[:40], name=self.label),
            )
        return text


@dataclass(frozen=True)
class Choice(Filter):
    """One of a few values."""

    kind = "choice"

    options: Sequence[tuple[str, Sentence]] = ()

    def read(self, text: str, now: datetime) -> str:
        del now
        if text not in {value for value, _ in self.options}:
            raise BadParameter(
                self.name,
                say(
                    "“{value}” is none of the values of {name}: {values}",
                    value=text[:40],
                    name=self.label,
                    values=", ".join(value for value, _ in self.options),
                ),
            )
        return text


@dataclass(frozen=True)
class Since(Filter):
    """A moment: written out in UTC, or so long ago (90min, 24h, 7d)."""

    kind = "since"

    spans: Sequence[tuple[str, Sentence]] = (
        ("1h", say("Last hour")),
        ("24h", say("Last 24 hours")),
        ("7d", say("Last 7 days")),
        ("30d", say("Last 30 days")),
    )

    def read(self, text: str, now: datetime) -> datetime:
        if span := _SPAN.fullmatch(text):
            return now - int(span[1]) * _SPANS[span[2]]
        try:
            return from_text(text).astimezone(UTC)
        except ValueError:
            raise BadParameter(
                self.name,
                say(
                    "“{value}” is no moment; write 24h, 7d or {example}",
                    value=text[:40],
                    example="2026-11-22T12:00:00Z",
                ),
            ) from None


@dataclass(frozen=True)
class Table(Generic[Row]):
    """A list's definition. The first sort is the one that holds when none is asked for.

    The first column names its row. `name` is the file that CSV is saved as.
    """

    name: str
    caption: Sentence
    columns: Sequence[Column[Row]]
    sorts: Sequence[Sort[Row]]
    filters: Sequence[Filter] = field(default_factory=tuple)
    sizes: Sequence[int] = SIZES
    exported: int = EXPORTED

    @property
    def seen(self) -> Sequence[Column[Row]]:
        """The columns of the page: the others are in CSV and JSON alone."""
        return [column for column in self.columns if column.page]

    def sort(self, name: str) -> Sort[Row] | None:
        """The sort of that name."""
        return next((one for one in self.sorts if one.name == name), None)
