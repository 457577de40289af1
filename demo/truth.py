"""Released values against the plain truth of the same people; only the demo can do this.

A value fails only outside a simultaneous band: one that all cells together leave by chance
with a probability of one in a million.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo.comparison import Row
from protection import accounting
from protection.accounting import Noise
from trust.documents.rules import ReleaseRules

ROUNDING = 1e-9
# How often the full noise is in a sum: the leader's and the helper's, or the keyholder's alone.
DRAWS = {"shared": 2, "encrypted": 1}
SIMULTANEOUS = 3.2  # a 95 % band (1.96 sigma) stretched to 1 - 1e-6 over 100 values (6.2 sigma)


@dataclass(frozen=True)
class Comparison:
    """How a release compares with the truth."""

    held: bool
    seen: str


def compare_flows(
    report: dict[str, Any], truth: NDArray[np.int64], noise: Noise, workers: int, threshold: int
) -> Comparison:
    """Every cell within the simultaneous band; withheld cells print as text."""
    array = report["arrays"]["flows"]
    cells = np.array(array["cells"], dtype=object).reshape(-1)
    flat = truth.reshape(-1)
    band = float(accounting.simultaneous_band(noise, workers, flat.size))
    shown = np.array([not isinstance(cell, str) for cell in cells])
    errors = np.abs(cells[shown].astype(float) - flat[shown])
    # A withheld cell says that the noised count was under the threshold.
    withheld_too_large = int((flat[~shown] - threshold > band).sum())
    worst = float(errors.max()) if errors.size else 0.0
    return Comparison(
        held=worst <= band and withheld_too_large == 0,
        seen=(
            f'{int(shown.sum())} cells shown, {int((~shown).sum())} as "<{threshold}", '
            f"largest error {worst:.0f} persons (band ±{band:.0f})"
        ),
    )


def compare_count(report: dict[str, Any], truth: int, rule: ReleaseRules) -> Comparison:
    """`persons` against the noise that a sum under `rule`'s protection has, and its band with it.

    It is one cell of `rule`'s output, released as it is.
    """
    noise, step = accounting.noise_of(rule), float(accounting.step_of(rule))
    draws, cells = DRAWS[rule.protection.value], int(np.prod(rule.shape))
    allowed = accounting.simultaneous_band(noise, draws, cells) * step
    stated = accounting.band_95(draws * float(noise.variance)) * step
    arrays = report["arrays"]
    value, lower, upper = (
        float(arrays[f"persons{end}"]["cells"][0]) for end in ("", "_lower", "_upper")
    )
    error = abs(value - truth)
    return Comparison(
        held=error <= allowed and abs((upper - lower) / 2 - stated) <= 1e-6 * stated,
        seen=f"{value:,.0f} persons, truth {truth:,} (±{allowed:.0f})",
    )


def compare_rows(rows: Sequence[Row], protection: str, names: Sequence[str]) -> Comparison:
    """The truths of the statistics `names` within their 95 % bands stretched by SIMULTANEOUS."""
    near = beyond = total = 0
    for row in rows:
        told = row.told.get(protection)
        if row.statistic not in names or told is None or told.lower is None or told.upper is None:
            continue
        if told.released is None or isinstance(told.released, str):
            continue
        slack = ROUNDING * max(1.0, abs(row.exact))
        below = told.released - told.lower + slack
        above = told.upper - told.released + slack
        error, total = row.exact - told.released, total + 1
        near += -below <= error <= above
        beyond += not -SIMULTANEOUS * below <= error <= SIMULTANEOUS * above
    return Comparison(
        held=total > 0 and beyond == 0,
        seen=f"{near} of {total} within their 95 % bands, {beyond} beyond the simultaneous one",
    )


def halves(evidence: Path, partials: Sequence[dict[str, Any]]) -> set[str]:
    """The names of single workers' shares that are in `evidence`: there must be none."""
    named = {
        partial[half].rpartition(":")[2] for partial in partials for half in ("values", "sealed")
    }
    return {path.name for path in evidence.rglob("*") if path.is_file()} & named


def compare_totals(
    report: dict[str, Any], truth: NDArray[np.int64], noise: Noise, workers: int
) -> Comparison:
    """Sums by second axis over the cells that were shown, against the same cells' truth."""
    cells = np.array(report["arrays"]["flows"]["cells"], dtype=object).reshape(truth.shape)
    shown = np.vectorize(lambda cell: not isinstance(cell, str))(cells)
    released = np.where(shown, cells, 0).astype(float).sum(axis=(0, 2))
    exact = np.where(shown, truth, 0).sum(axis=(0, 2))
    counts = shown.sum(axis=(0, 2))
    bands = np.array(
        [
            float(accounting.simultaneous_band(noise, workers * max(int(n), 1), len(counts)))
            for n in counts
        ]
    )
    errors = np.abs(released - exact)
    worst = int(np.argmax(errors / bands))
    return Comparison(
        held=bool((errors <= bands).all()),
        seen=(
            f"{len(counts)} places, {exact.sum():,} persons in shown cells, largest error "
            f"{errors[worst]:.0f} (band ±{bands[worst]:.0f})"
        ),
    )
