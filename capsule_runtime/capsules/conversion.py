"""From a source cell to the number that a capsule holds.

A refusal says what was expected and what kind of thing was found, never the cell itself: the
message may be pasted into a ticket.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction

from capsule_runtime.capsules.errors import SourceRefused
from capsule_runtime.capsules.mapping import Bins, ColumnMapping, SourceFormat

Cell = str | int | float | Decimal | None
Number = int | float

INT64_MAXIMUM = 2**63 - 1
# No float64 needs more letters; Python refuses to read whole numbers of over 4,300 digits.
MAXIMUM_NUMBER_LETTERS = 400
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
# More codes than this are counted in the message, not listed.
_LISTED_CODES = 12


class RowDropped(Exception):
    """The mapping says to leave out rows in which this cell is missing."""


class CellRefused(Exception):
    """What was expected and what was found; the reader of the file adds where."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected = expected
        self.found = found

    def at(self, place: str, column: str) -> SourceRefused:
        """The refusal with its place in the source."""
        return SourceRefused(
            f"{place}, column {column!r}: expected {self.expected}, found {self.found}",
            remedy="correct the cell, or the column's entry in the mapping; nothing was written",
        )


Converter = Callable[[Cell], Number]


def converter(column: ColumnMapping, source: SourceFormat) -> Converter:
    """A function from a cell of `column.source` to its number.

    It raises CellRefused, or RowDropped where the mapping drops rows with missing cells.
    """
    if column.constant is not None:
        fixed = _typed(column.constant, column)
        return lambda _cell: fixed
    replacement = None if column.missing_value is None else _typed(column.missing_value, column)

    def convert(cell: Cell) -> Number:
        if is_missing(cell, source):
            if column.missing == "drop":
                raise RowDropped
            if replacement is None:
                raise CellRefused(_expected(column), "an empty cell")
            return replacement
        if column.codes is not None:
            return _code(text_of(cell), column.codes)
        exact = _parse(cell, source, column) * column.factor
        if column.bins is not None:
            return _band(exact, column.bins)
        _check_range(exact, column)
        return _typed(exact, column)

    return convert


def is_missing(cell: Cell, source: SourceFormat) -> bool:
    """Whether the source leaves this cell open."""
    if isinstance(cell, str):
        return cell.strip() in source.missing_values
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def text_of(cell: Cell) -> str:
    """A cell as text, alike whatever the kind of source: 1, 1.0 and "1" are one owner."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _parse(cell: Cell, source: SourceFormat, column: ColumnMapping) -> Fraction:
    if isinstance(cell, str):
        text = cell.strip()
        if source.decimal != ".":
            text = text.replace(".", "!").replace(source.decimal, ".")
        if len(text) > MAXIMUM_NUMBER_LETTERS or not _DECIMAL.fullmatch(text):
            raise CellRefused(_expected(column), "a text")
        return Fraction(text)
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal):
        raise CellRefused(_expected(column), f"a {type(cell).__name__}")
    if not math.isfinite(cell):
        raise CellRefused(_expected(column), "an infinite number")
    return Fraction(cell)


def _typed(exact: Fraction, column: ColumnMapping) -> Number:
    if not column.whole:
        try:
            return float(exact)
        except OverflowError as error:
            raise CellRefused(_expected(column), "a number too large for float64") from error
    if exact.denominator != 1:
        raise CellRefused(_expected(column), "a number that is not whole")
    if not -INT64_MAXIMUM - 1 <= exact.numerator <= INT64_MAXIMUM:
        raise CellRefused(_expected(column), "a number too large for int64")
    return exact.numerator


def _check_range(exact: Fraction, column: ColumnMapping) -> None:
    below = column.minimum is not None and exact < column.minimum
    above = column.maximum is not None and exact > column.maximum
    if below or above:
        raise CellRefused(_expected(column), f"a number {'below' if below else 'above'} that")


def _code(text: str, codes: Mapping[str, int]) -> int:
    if text not in codes:
        listed = ", ".join(sorted(codes)[:_LISTED_CODES])
        more = "" if len(codes) <= _LISTED_CODES else f" … ({len(codes)} in all)"
        raise CellRefused(f"one of the nomenclature's texts {listed}{more}", "another text")
    return codes[text]


def _band(exact: Fraction, bins: Bins) -> int:
    if exact.denominator != 1 or not bins.minimum <= exact <= bins.maximum:
        raise CellRefused(
            f"a whole number from {bins.minimum} to {bins.maximum}", "a number outside of it"
        )
    width = bins.maximum - bins.minimum + 1
    return 1 + (exact.numerator - bins.minimum) * bins.equal_bands // width


def _expected(column: ColumnMapping) -> str:
    if column.bins is not None:
        return f"a whole number from {column.bins.minimum} to {column.bins.maximum}"
    kind = "a whole number" if column.whole else "a decimal number"
    if column.minimum is not None and column.maximum is not None:
        return f"{kind} from {column.minimum} to {column.maximum}"
    if column.minimum is not None:
        return f"{kind} of at least {column.minimum}"
    if column.maximum is not None:
        return f"{kind} of at most {column.maximum}"
    return kind
