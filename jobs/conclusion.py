"""What `conclude` leaves: the report's arrays and, between rounds, the state for the next one.

A result blob is in the column format: the table `report`, and for a bundle with `[state]` also
the table `state` (what the next round's parameters carry) and the table `rounds` with one number,
`stop`. All three are functions of noised aggregates and public parameters, hence public.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jobs import state as states
from jobs.errors import ReportRefused
from jobs.schema import Manifest
from protection import columns
from protection.columns import Column, Tables
from protection.errors import ColumnsMalformed

REPORT, STATE, ROUNDS = "report", "state", "rounds"
STOP = "stop"  # 1: no further round is needed; 0: go on while there are any


@dataclass(frozen=True)
class Concluded:
    """A result, read: report arrays in the manifest's order; the state is None without `[state]`.

    `stop` is True where no round follows, be it that the bundle says so or that it has but one.
    """

    report: dict[str, Column]
    state: dict[str, Column] | None
    stop: bool


def fields(manifest: Manifest) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    """(name, dtype, shape) of every array of `conclude`'s frame, in its order."""
    told: list[tuple[str, str, tuple[int, ...]]] = [
        (name, array.dtype, array.shape) for name, array in manifest.report.items()
    ]
    if manifest.state:
        told += [(name, states.DTYPE, array.shape) for name, array in manifest.state.items()]
        told.append((STOP, "int64", (1,)))
    return tuple(told)


def from_frame(manifest: Manifest, frame: bytes) -> bytes:
    """The result blob of the frame that `conclude` left. Raises ReportRefused.

    In the report whatever is not finite becomes one NaN, which prints as "no value"; in the
    state it is refused, because every later round would inherit it.
    """
    expected = sum(8 * math.prod(shape) for _, _, shape in fields(manifest))
    if len(frame) != expected:
        raise ReportRefused(
            f"conclude returned {len(frame)} bytes, its arrays take {expected}",
            remedy="return exactly the arrays that [report] and [state] declare",
        )
    found: dict[str, Column] = {}
    offset = 0
    for name, dtype, shape in fields(manifest):
        cells = math.prod(shape)
        flavour = "<i8" if dtype == "int64" else "<f8"
        found[name] = np.frombuffer(frame, flavour, cells, offset).reshape(shape)
        offset += 8 * cells
    tables: dict[str, dict[str, Column]] = {REPORT: {}}
    for name, array in manifest.report.items():
        values = found[name]
        tables[REPORT][name] = (
            values if array.dtype == "int64" else np.where(np.isfinite(values), values, np.nan)
        )
    if manifest.state:
        tables[STATE] = {name: found[name] for name in manifest.state}
        tables[ROUNDS] = {STOP: found[STOP]}
    blob = columns.encode(tables)
    read(manifest, blob)
    return blob


def singles(manifest: Manifest, found: Concluded) -> dict[str, float]:
    """The report's values of one cell, which a line per round can tell (loss, accuracy, ...).

    Of a count that people are hidden in (`suppress_below`) no line tells anything.
    """
    told = {}
    for name, array in manifest.report.items():
        hidden = array.release is not None and manifest.release[array.release].suppress_below
        if array.kind == "value" and math.prod(array.shape) == 1 and not hidden:
            value = float(found.report[name].ravel()[0])
            if math.isfinite(value):
                told[name] = value
    return told


def read(manifest: Manifest, blob: bytes) -> Concluded:
    """The arrays in a result blob. Raises ReportRefused."""
    tables = _tables(blob)
    expected = {REPORT, STATE, ROUNDS} if manifest.state else {REPORT}
    report = tables.get(REPORT, {})
    if set(tables) != expected or set(report) != set(manifest.report):
        raise ReportRefused("the result does not hold exactly the declared arrays")
    for name, array in manifest.report.items():
        if report[name].dtype.name != array.dtype or report[name].shape != array.shape:
            raise ReportRefused(f"{name} is not {array.dtype} of shape {list(array.shape)}")
    ordered = {name: report[name] for name in manifest.report}
    if not manifest.state:
        return Concluded(ordered, None, stop=True)
    stop = tables[ROUNDS].get(STOP)
    if set(tables[ROUNDS]) != {STOP} or stop is None or stop.shape != (1,):
        raise ReportRefused(f"the result says nothing about {STOP}")
    if stop.dtype != np.int64 or int(stop[0]) not in {0, 1}:
        raise ReportRefused(f"{STOP} is neither 0 nor 1", remedy="return stop = [0] or stop = [1]")
    state = states.checked(manifest, tables[STATE])
    return Concluded(ordered, state, stop=bool(stop[0]))


def _tables(blob: bytes) -> Tables:
    try:
        return columns.decode(blob)
    except ColumnsMalformed as error:
        raise ReportRefused(error.sentence, remedy=error.remedy) from error
