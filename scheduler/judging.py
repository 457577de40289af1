"""By what a grid is judged: thresholds and energy factors, as one TOML file sets them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from scheduler.errors import PagesRefused
from scheduler.views.alerts import Thresholds
from scheduler.views.energy import Factors

LARGEST_FILE = 64 * 1024  # bytes
_LONGEST_MINUTES = 60 * 24 * 30
_LARGEST = 1_000_000  # of workers, attempts and seconds
_LONGEST = 300  # letters of the factor's source
MOST_SITES = 200
WIDEST = 12  # columns and rows of the map: more hexagons could not be read
MOST_PLACES = 1_000
Places = Mapping[str, tuple[float, float]]  # longitude and latitude of releases' labels, degrees
Sites = Mapping[str, tuple[int, int]]  # column and row of each place on the schematic map


@dataclass(frozen=True)
class Judging:
    """Everything that an operator may set; the defaults are for a city."""

    alerts: Thresholds = field(default_factory=Thresholds)
    energy: Factors = field(default_factory=Factors)
    sites: Sites = field(default_factory=dict)
    places: Places = field(default_factory=dict)


def load(path: Path) -> Judging:
    """What the TOML file at `path` sets. Raises PagesRefused."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(LARGEST_FILE + 1)
        plain = tomllib.loads(raw.decode()) if len(raw) <= LARGEST_FILE else None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise _refused(f"{path} cannot be read as TOML: {error}") from error
    if plain is None:
        raise _refused(f"{path} is larger than {LARGEST_FILE} bytes")
    return parse(plain)


def parse(plain: Mapping[str, Any]) -> Judging:
    """The same from what TOML says. Raises PagesRefused for unknown keys and impossible values."""
    _only(plain, Judging(), "")
    return Judging(
        alerts=_thresholds(_table(plain, "alerts")),
        energy=_energy(_table(plain, "energy")),
        sites=_sites(_table(plain, "sites")),
        places=_places(_table(plain, "places")),
    )


def _thresholds(plain: Mapping[str, Any]) -> Thresholds:
    _only(plain, Thresholds(), "alerts.")
    return Thresholds(
        **{name: number(value, f"alerts.{name}", _most(name)) for name, value in plain.items()}
    )


def _most(name: str) -> float:
    if name.endswith("_share"):
        return 1
    return _LONGEST_MINUTES if name.endswith("_minutes") else _LARGEST


def _energy(plain: Mapping[str, Any]) -> Factors:
    _only(plain, Factors(), "energy.")
    source = plain.get("source", "")
    if not isinstance(source, str) or len(source) > _LONGEST or not source.isprintable():
        raise _refused(f"energy.source is a text on one line, of {_LONGEST} letters at most")
    if plain and not source:
        raise _refused("energy.source is missing: say where these factors come from")
    built_in = Factors()
    return Factors(
        watts=number(plain.get("watts", built_in.watts), "energy.watts", 10_000),
        grams_per_kwh=number(
            plain.get("grams_per_kwh", built_in.grams_per_kwh), "energy.grams_per_kwh", 5_000
        ),
        source=source,
    )


def _sites(plain: Mapping[str, Any]) -> Sites:
    if len(plain) > MOST_SITES:
        raise _refused(f"sites names {MOST_SITES} places at most")
    found: dict[str, tuple[int, int]] = {}
    for name, place in plain.items():
        match place:
            case [int() as column, int() as row] if _on_map(column) and _on_map(row):
                if (column, row) in found.values():
                    raise _refused(f"sites has two places at [{column}, {row}]")
                found[name] = (column, row)
            case _:
                raise _refused(
                    f"sites.{name[:60]} is [column, row], each a whole number from 0 to "
                    f"{WIDEST - 1}"
                )
    return found


def _places(plain: Mapping[str, Any]) -> Places:
    if len(plain) > MOST_PLACES:
        raise _refused(f"places names {MOST_PLACES} labels at most")
    return {name: _located(name, place) for name, place in plain.items()}


def _located(name: str, place: Any) -> tuple[float, float]:
    match place:
        case [int() | float() as east, int() | float() as north]:
            told = isinstance(east, bool) or isinstance(north, bool)  # which Python counts with
            if not told and abs(east) <= 180 and abs(north) <= 85:  # beyond, no map of ours is true
                return float(east), float(north)
    raise _refused(f"places.{name[:60]} is [longitude, latitude] in degrees")


def _on_map(step: int) -> bool:
    return not isinstance(step, bool) and 0 <= step < WIDEST


def number(value: Any, name: str, most: float) -> float:
    """A number above 0 and up to `most`. Raises PagesRefused."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise _refused(f"{name} is a number above 0, {most:g} at most")
    return float(value)


def _table(plain: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = plain.get(name, {})
    if not isinstance(found, dict):
        raise _refused(f"{name} is a table: write [{name}]")
    return found


def _only(plain: Mapping[str, Any], known: Any, prefix: str) -> None:
    names = {one.name for one in fields(known)}
    if unknown := sorted(set(plain) - names):
        raise _refused(
            f"unknown settings: {', '.join(prefix + one[:60] for one in unknown[:8])}; "
            f"there are {', '.join(prefix + one for one in sorted(names))}"
        )


def _refused(sentence: str) -> PagesRefused:
    return PagesRefused(sentence, remedy="correct the file that --web-judging names, start again")
