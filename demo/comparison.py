"""One table for people: per statistic exact, released, band and epsilon, under each protection.

Pure: reports (as `campaign report` prints them) and the plain truth go in, rows come out.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Cell = float | str | None  # a number, "<20" where it was suppressed, None for no value
_MISSING = "-"


@dataclass(frozen=True)
class Told:
    """What one report says about one cell."""

    released: Cell
    lower: float | None
    upper: float | None

    @property
    def width(self) -> float | None:
        """The band's whole width; None without one."""
        return None if self.lower is None or self.upper is None else self.upper - self.lower


@dataclass(frozen=True)
class Row:
    """One cell of one statistic: the truth, and what each protection's report told of it."""

    statistic: str
    label: str
    unit: str
    exact: float
    told: Mapping[str, Told]  # by protection; without an entry where a report lacks the statistic


def rows_of(
    reports: Mapping[str, Mapping[str, Any]], truth: Mapping[str, NDArray[np.float64]]
) -> list[Row]:
    """The rows of every statistic in `truth` that some report has, in the truth's order.

    `reports` is by protection; `truth` by the report array's name, in its shape. Cells whose
    truth is NaN (a quantity that is not in the regression) have no row. A square statistic with
    the same labels on both axes is symmetric: its upper triangle alone, without the diagonal.
    Raises ValueError where a truth has another shape than the report.
    """
    rows: list[Row] = []
    for name, exact in truth.items():
        arrays = {word: report["arrays"] for word, report in reports.items()}
        having = {word: found for word, found in arrays.items() if name in found}
        if not having:
            continue
        value = next(iter(having.values()))[name]
        told = {word: _told(found, name, exact.shape) for word, found in having.items()}
        axes = value["labels"]
        symmetric = len(axes) == 2 and axes[0] == axes[1]
        for flat, place in enumerate(itertools.product(*(range(len(axis)) for axis in axes))):
            plain = float(exact[place])
            if math.isnan(plain) or (symmetric and place[0] >= place[1]):
                continue
            label = " / ".join(axis[k] for axis, k in zip(axes, place, strict=True))
            cells = {word: cells[flat] for word, cells in told.items()}
            rows.append(Row(name, label, value["unit"], plain, cells))
    return rows


def markdown(rows: Sequence[Row], reports: Mapping[str, Mapping[str, Any]]) -> str:
    """The rows as a Markdown table, epsilon in the heading: one release pays for all its rows."""
    headings = [
        f"{word}, ε = {report['privacy']['epsilon']:.2f}" for word, report in reports.items()
    ]
    lines = [
        _line(["statistic", "of", "exact", *headings]),
        _line(["---", "---", *["---:"] * (1 + len(headings))]),
    ]
    for row in rows:
        cells = [banded(row.told.get(word)) for word in reports]
        lines.append(_line([row.statistic, row.label, number(row.exact), *cells]))
    return "\n".join(lines) + "\n"


def narrowing(rows: Sequence[Row], wide: str, narrow: str) -> dict[str, float]:
    """By statistic, the median ratio of `narrow`'s band widths to `wide`'s.

    Only cells count that both tell with a band of some width; a statistic without any is left out.
    """
    ratios: dict[str, list[float]] = {}
    for row in rows:
        before, after = (
            row.told[word].width if word in row.told else None for word in (wide, narrow)
        )
        if before and after:
            ratios.setdefault(row.statistic, []).append(after / before)
    return {name: statistics.median(found) for name, found in ratios.items()}


def covered(rows: Sequence[Row], protection: str) -> tuple[int, int]:
    """How many bands under `protection` hold the truth, and how many there are."""
    held = total = 0
    for row in rows:
        told = row.told.get(protection)
        if told is None or told.lower is None or told.upper is None:
            continue
        slack = 1e-9 * max(1.0, abs(row.exact))
        total += 1
        held += told.lower - slack <= row.exact <= told.upper + slack
    return held, total


def _told(arrays: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> list[Told]:
    if tuple(arrays[name]["shape"]) != shape:
        raise ValueError(f"{name}: the truth has the shape {shape}, not {arrays[name]['shape']}")
    released = arrays[name]["cells"]
    blank = [None] * len(released)
    ends = {a["kind"]: a["cells"] for a in arrays.values() if a["of"] == name}
    cells = zip(released, ends.get("lower", blank), ends.get("upper", blank), strict=True)
    return [Told(*cell) for cell in cells]


def banded(told: Told | None) -> str:
    """What a report tells of a cell: released [lower, upper]."""
    if told is None:
        return _MISSING
    if told.released is None:
        return "no value"
    text = told.released if isinstance(told.released, str) else number(told.released)
    if told.lower is None or told.upper is None:
        return text
    return f"{text} [{number(told.lower)}, {number(told.upper)}]"


def number(value: float) -> str:
    """Four digits, or the whole number where it has more."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
