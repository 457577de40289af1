"""Released values against the plain truth of the same people; only the demo can do this.

A value fails only outside a simultaneous band: one that all cells together leave by chance
with a probability of one in a million.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protection import accounting
from protection.accounting import Noise

ROUNDING = 1e-9


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


def compare_bands(
    report: dict[str, Any], name: str, truth: NDArray[np.float64], widen: float
) -> Comparison:
    """Every value's truth within its published 95 % band stretched by `widen`."""
    arrays = report["arrays"]
    value, lower, upper = (
        np.array(arrays[key]["cells"], dtype=float).reshape(-1)
        for key in (name, f"{name}_lower", f"{name}_upper")
    )
    flat = truth.reshape(-1)
    low, high = value - widen * (value - lower), value + widen * (upper - value)
    # A correlation of a thing with itself has a band of no width; arithmetic has rounding.
    low, high = np.minimum(low, lower) - ROUNDING, np.maximum(high, upper) + ROUNDING
    outside = (flat < low) | (flat > high)
    near = int(((flat >= lower - ROUNDING) & (flat <= upper + ROUNDING)).sum())
    return Comparison(
        held=not outside.any(),
        seen=(
            f"{near} of {flat.size} within their 95 % bands, "
            f"{int(outside.sum())} beyond the simultaneous one"
        ),
    )


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
