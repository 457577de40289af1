"""Flower's secure aggregation beside ours: what a worker does to hide one vector.

Flower is an extra; where it is not installed there is nothing to compare with. Its functions are
called as its own client does (private mask, then one mask per neighbour, then the modulus); what
its protocol sends, shares and recovers besides is not counted. Its masks come from a 32-bit seed
and hide nothing from who tries them all; ours do not depend on how many workers there are.
"""

from __future__ import annotations

import importlib
import importlib.util
import time

import numpy as np

from benchmarks import figures
from benchmarks.figures import Figure
from protection.layout import Layout, Slot
from protection.ring import Ring
from protection.seeds import Seed
from protection.shares import split
from trust.entropy import SYSTEM

CELLS = 1_000_000
WORKERS = 100
RANGE = 1 << 32
_PACKAGE = "flwr.common.secure_aggregation"
_OUTPUT = "model"


def measure(*, quick: bool) -> list[Figure]:
    """The same whole numbers masked by both, in turns; nothing where flwr is not installed."""
    if importlib.util.find_spec("flwr") is None:
        return []
    cells, workers, rounds = (10_000, 10, 2) if quick else (CELLS, WORKERS, 3)
    layout = Layout((Slot(_OUTPUT, (cells,), Ring.NARROW, 0),))
    values = np.arange(cells, dtype=np.int64)
    theirs, ours = [], []
    size = 0
    for _ in range(rounds):
        started = time.perf_counter()
        size = _masked(values, workers)
        theirs.append(1e3 * (time.perf_counter() - started))
        started = time.perf_counter()
        split({_OUTPUT: values}, layout, Seed.draw(SYSTEM))
        ours.append(1e3 * (time.perf_counter() - started))
    what = f"{cells:,} 32-bit numbers of one worker of {workers}"
    return [
        figures.median("flower.secaggplus_ms", theirs, f"{what} masked by Flower's secaggplus"),
        figures.median("flower.shared_ms", ours, f"{what} split as `shared` does, same run"),
        Figure("flower.secaggplus_bytes", size, 1, f"{what}: what Flower's client sends"),
        Figure("flower.shared_bytes", layout.size, 1, f"{what}: what the share holds"),
    ]


def _masked(values: np.ndarray[tuple[int], np.dtype[np.int64]], workers: int) -> int:
    """The bytes of Flower's masked vector."""
    generator = importlib.import_module(f"{_PACKAGE}.secaggplus_utils").pseudo_rand_gen
    arithmetic = importlib.import_module(f"{_PACKAGE}.ndarrays_arithmetic")
    masked, shapes = [values], [values.shape]
    masked = arithmetic.parameters_addition(masked, generator(SYSTEM(32), RANGE, shapes))
    for neighbour in range(workers - 1):
        mask = generator(SYSTEM(32), RANGE, shapes)
        change = (
            arithmetic.parameters_addition if neighbour % 2 else arithmetic.parameters_subtraction
        )
        masked = change(masked, mask)
    masked = arithmetic.parameters_mod(masked, RANGE)
    return sum(int(array.nbytes) for array in masked)
