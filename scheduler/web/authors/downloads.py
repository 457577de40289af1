"""A release as a file: CSV, JSON and Parquet, each with where it comes from inside it.

All three hold the same cells; `withheld` has the mark of a cell that is not told ("<20"). The
report as it was signed for is a download of its own: it alone has the digest that a release names.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from scheduler.errors import ExtraMissing
from scheduler.views.releases import Array, Provenance, Released
from scheduler.web import plainly
from scheduler.web.authors.plots import labels
from web.listing.forms import guarded

FORMAT = "cadastre-release-download-v1"
_COLUMNS = ("array", "unit")
_VALUES = ("value", "low", "high", "withheld")


@dataclass(frozen=True)
class CellRow:
    """One cell; `labels` has one label per axis of its array."""

    array: str
    unit: str
    labels: tuple[str, ...]
    value: float | None
    low: float | None
    high: float | None
    withheld: str


def cells(released: Released) -> Iterator[CellRow]:
    """Every cell of every value, in the report's order."""
    for array in released.arrays:
        yield from _cells_of(array)


def axes(released: Released) -> int:
    """How many columns of labels the file has."""
    return max((len(array.shape) for array in released.arrays), default=0)


def provenance(source: Provenance) -> dict[str, Any]:
    """What every file says about itself; the log's index, size and root under `log`."""
    plain: dict[str, Any] = plainly.plain(source)
    stamp = plain.pop("stamp")
    return {"format": FORMAT, **plain, "log": stamp}


def as_json(released: Released) -> bytes:
    """One object: `provenance`, `titles`, `arrays` (cells in C order), `rounds`."""
    return _spelled(
        {
            "provenance": provenance(released.provenance),
            "titles": dict(released.titles),
            "arrays": [plainly.plain(array) for array in released.arrays],
            "rounds": [plainly.plain(one) for one in released.told],
            "carries_model": released.carries_model,
        }
    )


def as_csv(released: Released) -> bytes:
    """RFC 4180 after lines of `# key: JSON`, which `pandas.read_csv(…, comment="#")` skips."""
    out = io.StringIO()
    for name, value in provenance(released.provenance).items():
        # ASCII and on one line: whatever a title holds, it stays behind its #.
        out.write(f"# {name}: {json.dumps(value)}\r\n")
    writer = csv.writer(out)
    count = axes(released)
    writer.writerow([*_COLUMNS, *(f"label_{at}" for at in range(1, count + 1)), *_VALUES])
    for one in cells(released):
        named = [*one.labels, *[""] * (count - len(one.labels))]
        # A label's own # would end its line for readers that skip comments: it is quoted by none.
        words = [guarded(word.replace("#", "\uff03")) for word in (one.array, one.unit, *named)]
        numbers = [guarded(number) for number in (one.value, one.low, one.high)]
        writer.writerow([*words, *numbers, one.withheld])
    return out.getvalue().encode()


def as_parquet(released: Released) -> bytes:
    """One row per cell; the provenance is the file's key-value metadata `cadastre`.

    Raises ExtraMissing.
    """
    if find_spec("pyarrow") is None:
        raise ExtraMissing(
            "this scheduler has no library that writes Parquet",
            remedy="take CSV or JSON, or whoever runs it adds pip install 'cadastre[graph]'",
        )
    made: bytes = importlib.import_module("scheduler.web.authors.parquet").written(released)
    return made


def _cells_of(array: Array) -> Iterator[CellRow]:
    for at, (words, cell) in enumerate(zip(labels(array), array.cells, strict=True)):
        yield CellRow(
            array=array.name,
            unit=array.unit,
            labels=words,
            value=float(cell) if isinstance(cell, int | float) else None,
            low=array.low[at] if array.low else None,
            high=array.high[at] if array.high else None,
            withheld=cell if isinstance(cell, str) else "",
        )


def _spelled(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
