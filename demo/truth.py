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

from demo import comparison
from demo.comparison import Row
from protection import accounting
from trust.documents.rules import Protection, ReleaseRules

ROUNDING = 1e-9
SIMULTANEOUS = 3.2  # a 95 % band (1.96 sigma) stretched to 1 - 1e-6 over 100 values (6.2 sigma)
# Close to linear in the sums, so that a band of the noise can be widened; the others' coverage
# is told.
SMOOTH = ("persons", "means", "variances", "covariances", "correlations", "coefficients")
# The least share of all bands that may hold the truth: one release's statistics miss together.
# Of 18,000 noised releases of the 900 households none had less than 0.75.
COVERED = 0.6


@dataclass(frozen=True)
class Comparison:
    """How a release compares with the truth."""

    held: bool
    seen: str


def draws_of(rule: ReleaseRules, workers: int) -> int:
    """How often the full noise is in a sum of `workers` partials under `rule`'s protection.

    Once per worker, or the leader's and the helper's, or the keyholder's alone.
    """
    return {Protection.SHARED: 2, Protection.ENCRYPTED: 1}.get(rule.protection, workers)


def compare_counts(
    report: dict[str, Any],
    name: str,
    truth: NDArray[np.int64],
    rule: ReleaseRules,
    workers: int,
) -> Comparison:
    """Every cell of the array `name` within the simultaneous band; withheld cells are text."""
    cells = np.array(report["arrays"][name]["cells"], dtype=object).reshape(-1)
    flat = truth.reshape(-1)
    noise, draws = accounting.noise_of(rule), draws_of(rule, workers)
    band = float(accounting.simultaneous_band(noise, draws, flat.size))
    shown = np.array([not isinstance(cell, str) for cell in cells])
    errors = np.abs(cells[shown].astype(float) - flat[shown])
    # A withheld cell says that the noised count was under the threshold.
    withheld_too_large = int((flat[~shown] - rule.suppress_below > band).sum())
    worst = float(errors.max()) if errors.size else 0.0
    return Comparison(
        held=worst <= band and withheld_too_large == 0,
        seen=(
            f'{int(shown.sum())} cells shown, {int((~shown).sum())} as "<{rule.suppress_below}", '
            f"largest error {worst:.0f} persons (band ±{band:.0f})"
        ),
    )


def compare_count(
    report: dict[str, Any], truth: int, rule: ReleaseRules, workers: int
) -> Comparison:
    """`persons` against the noise that a sum under `rule`'s protection has, and its band with it.

    It is one cell of `rule`'s output, released as it is.
    """
    noise, step = accounting.noise_of(rule), float(accounting.step_of(rule))
    draws, cells = draws_of(rule, workers), int(np.prod(rule.shape))
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
        # A correlation's band is cut at what it can be; what was cut cannot be stretched.
        cut = row.statistic == "correlations" and max(told.upper, -told.lower) >= 1
        beyond += not (cut or -SIMULTANEOUS * below <= error <= SIMULTANEOUS * above)
    return Comparison(
        held=total > 0 and beyond == 0,
        seen=f"{near} of {total} within their 95 % bands, {beyond} beyond the simultaneous one",
    )


def compare_statistics(rows: Sequence[Row], protection: str) -> Comparison:
    """The smooth statistics as `compare_rows` does, and how many bands of all hold the truth.

    What the bundle withheld, because its noise left nothing to say, is counted and told.
    """
    smooth = compare_rows(rows, protection, SMOOTH)
    held, total = comparison.covered(rows, protection)
    beyond = "none beyond the simultaneous one" if smooth.held else smooth.seen
    found = (row.told.get(protection) for row in rows)
    withheld = sum(told is not None and told.released is None for told in found)
    rest = f", {withheld} withheld" if withheld else ""
    return Comparison(
        held=smooth.held and held >= COVERED * total,
        seen=f"{held} of {total} within their 95 % bands, {beyond}{rest}",
    )


def compare_widths(rows: Sequence[Row], rule: ReleaseRules, workers: int) -> Comparison:
    """Bands under `rule`'s protection against `clear`'s, where the noise is once per worker."""
    narrower = comparison.narrowing(rows, "clear", rule.protection.value)
    expected = (draws_of(rule, workers) / workers) ** 0.5
    middle = float(np.median(list(narrower.values())))
    return Comparison(
        # `persons` is a sum as it was released, so that its band follows the noise alone.
        held=abs(narrower["persons"] / expected - 1) < 0.01 and middle < 1,
        seen=f"{middle:.2f} x clear's with {workers} workers (persons {narrower['persons']:.2f} x)",
    )


def halves(evidence: Path, partials: Sequence[dict[str, Any]]) -> set[str]:
    """The names of single workers' shares that are in `evidence`: there must be none."""
    named = {
        partial[half].rpartition(":")[2] for partial in partials for half in ("values", "sealed")
    }
    return {path.name for path in evidence.rglob("*") if path.is_file()} & named


def compare_totals(
    report: dict[str, Any], truth: NDArray[np.int64], rule: ReleaseRules, workers: int
) -> Comparison:
    """Sums by second axis over the cells that were shown, against the same cells' truth."""
    cells = np.array(report["arrays"]["flows"]["cells"], dtype=object).reshape(truth.shape)
    shown = np.vectorize(lambda cell: not isinstance(cell, str))(cells)
    released = np.where(shown, cells, 0).astype(float).sum(axis=(0, 2))
    exact = np.where(shown, truth, 0).sum(axis=(0, 2))
    counts = shown.sum(axis=(0, 2))
    noise = accounting.noise_of(rule)
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
