"""A release as a file: CSV, JSON and Parquet, each with where it comes from inside it.

All three hold the same cells; `withheld` has the mark of a cell that is not told ("<20"). The
report as it was signed for is a download of its own: it alone has the digest that a release names.
"""

from __future__ import annotations

import csv
import importlib
import io
import itertools
import json
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from scheduler.errors import ExtraMissing
from scheduler.views.releases import Array, Provenance, Released, Told
from scheduler.web import plainly
from web.listing.forms import guarded

FORMAT = "cadastre-release-download-v1"
_COLUMNS = ("array", "unit")
_VALUES = ("value", "low", "high", "withheld")


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


def description() -> dict[str, Any]:
    """For a route's `openapi_extra`: what `as_json` makes."""
    stamped = plainly.schema(Provenance)
    stamp = stamped["properties"].pop("stamp")
    properties = {"format": {"type": "string", "const": FORMAT}, **stamped["properties"]}
    parts = {
        "provenance": {
            "type": "object",
            "required": [*properties, "log"],
            "properties": {**properties, "log": stamp},
        },
        "titles": plainly.schema(Mapping[str, str]),
        "arrays": {"type": "array", "items": plainly.schema(Array)},
        "rounds": {"type": "array", "items": plainly.schema(Told)},
        "carries_model": {"type": "boolean"},
    }
    shape = {"type": "object", "required": list(parts), "properties": parts}
    return plainly.answered("application/json", "A campaign's release.", shape)


def as_csv(released: Released) -> bytes:
    """RFC 4180 after lines of `# key: JSON`, which `pandas.read_csv(…, comment="#")` skips."""
    out = io.StringIO()
    for name, value in provenance(released.provenance).items():
        # ASCII and on one line: whatever a title holds, it stays behind its #.
        out.write(f"# {name}: {json.dumps(value)}\r\n")
    writer = csv.writer(out)
    count = axes(released)
    writer.writerow([*_COLUMNS, *(f"label_{at}" for at in range(1, count + 1)), *_VALUES])
    for array in released.arrays:
        writer.writerows(_rows(array, count))
    return out.getvalue().encode()


def writes_parquet() -> bool:
    """Whether this scheduler has the library; the pages offer no file that would be refused."""
    return find_spec("pyarrow") is not None


def as_parquet(released: Released) -> bytes:
    """One row per cell; the provenance is the file's key-value metadata `cadastre`.

    Raises ExtraMissing.
    """
    if not writes_parquet():
        raise ExtraMissing(
            "this scheduler has no library that writes Parquet",
            remedy="take CSV or JSON, or whoever runs it adds pip install 'cadastre[graph]'",
        )
    made: bytes = importlib.import_module("scheduler.web.authors.parquet").written(released)
    return made


def _rows(array: Array, count: int) -> Iterator[tuple[str | float | None, ...]]:
    """A value's lines, each word guarded once: a report has up to a million cells."""
    name, unit = _word(array.name), _word(array.unit)
    rest = ("",) * (count - len(array.shape))
    nothing = itertools.repeat(None)
    for words, cell, low, high in zip(
        itertools.product(*([_word(label) for label in axis] for axis in array.labels)),
        array.cells,
        array.low or nothing,
        array.high or nothing,
        strict=False,  # of which two may never end
    ):
        value, withheld = (None, cell) if isinstance(cell, str) else (cell, "")
        yield (name, unit, *words, *rest, value, low, high, withheld)


def _word(text: str) -> str:
    """Text that no spreadsheet runs, and that no reader of comments takes for one."""
    return str(guarded(text.replace("#", "\uff03")))


def _spelled(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
