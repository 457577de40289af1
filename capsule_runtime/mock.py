"""Capsules for trying a bundle: invented from the manifest, or read from an author's CSV files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from capsule_runtime.portions import TablesRefused
from jobs.schema import PERSONS, Manifest, MockColumn, MockTable
from protection.columns import Column, Tables

CAPSULE = "capsule"  # the CSV column that groups rows into capsules
MAXIMUM_ROWS = 1_000_000
_CODES = MockColumn(minimum="1", maximum="6")
_ONE = MockColumn(minimum="1", maximum="1")


def invented(manifest: Manifest, capsules: int, seed: int) -> list[Tables]:
    """`capsules` mock capsules with uniform values between the bounds of [mock].

    A column without an entry there holds codes from 1 to 6 (`persons`: 1). Equal arguments give
    equal capsules.
    """
    generator = np.random.default_rng(seed)
    return [
        {
            table: drawn_table(generator, manifest.mock.get(table, MockTable()), names)
            for table, names in manifest.needs.tables.items()
        }
        for _ in range(capsules)
    ]


def drawn_table(
    generator: np.random.Generator, table: MockTable, names: Sequence[str]
) -> dict[str, Column]:
    """Columns of one mock table, drawn in the order of `names`."""
    return {name: _drawn(generator, table, name) for name in names}


def _drawn(generator: np.random.Generator, table: MockTable, name: str) -> Column:
    column = table.columns.get(name, _ONE if name == PERSONS else _CODES)
    low, high = float(column.minimum), float(column.maximum)
    if column.whole:
        return generator.integers(int(low), int(high) + 1, table.rows, dtype=np.int64)
    return generator.uniform(low, high, table.rows)


def from_csv(folder: Path, manifest: Manifest) -> list[Tables]:
    """Capsules out of one `TABLE.csv` for each needed table, with a heading line.

    Rows with the same text in the column `capsule` belong to one capsule; without that column
    every row is a capsule of its own. Raises TablesRefused with file, row and column.
    """
    grouped: dict[str, dict[str, list[int]]] = {}
    read: Tables = {}
    for table, names in manifest.needs.tables.items():
        rows = _rows(folder / f"{table}.csv", names)
        read[table] = {name: _column(table, name, [row[name] for row in rows]) for name in names}
        for number, row in enumerate(rows):
            owner = row.get(CAPSULE) or str(number)
            grouped.setdefault(owner, {}).setdefault(table, []).append(number)
    return [_capsule(owner, rows_of, read) for owner, rows_of in grouped.items()]


def _rows(path: Path, names: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TablesRefused(
            f"could not read {path}: {error}", remedy=f"write {path.name} in UTF-8"
        ) from error
    missing = [name for name in names if not rows or name not in rows[0]]
    if missing or len(rows) > MAXIMUM_ROWS:
        raise TablesRefused(
            f"{path} has {len(rows)} rows and lacks the columns {', '.join(missing) or 'none'}",
            remedy=f"write the heading {','.join(names)} and 1 to {MAXIMUM_ROWS} rows",
        )
    return rows


def _capsule(owner: str, rows_of: dict[str, list[int]], read: Tables) -> Tables:
    absent = [table for table in read if table not in rows_of]
    if absent:
        raise TablesRefused(
            f"capsule {owner[:40]!r} has no row in {', '.join(absent)}.csv",
            remedy=f"give every table a column `{CAPSULE}` with the same names",
        )
    return {
        table: {name: values[rows_of[table]] for name, values in columns.items()}
        for table, columns in read.items()
    }


def _column(table: str, name: str, texts: Sequence[str]) -> Column:
    try:
        return np.array([int(text) for text in texts], np.int64)
    except (TypeError, ValueError, OverflowError):
        return np.array(
            [_real(table, name, number, text) for number, text in enumerate(texts, start=2)],
            np.float64,
        )


def _real(table: str, name: str, number: int, text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError as error:
        raise TablesRefused(
            f"{table}.csv, row {number}, column {name}: {text!r} is no number",
            remedy="texts are codes of a nomenclature: write the code",
        ) from error
