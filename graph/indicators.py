"""Systemic indicators of a graph, each with the sources that it rests on.

A function of the graph alone: factors and limits stand in it, so that whoever verifies the
graph computes the same numbers. What cannot be told is None, never a guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from graph.commuting import Commutes, Estimate, Trip, commutes, quotient, share, total
from graph.model import Factor, TerritoryGraph

# There and back, once per person and working day; telework and detours are not known.
WAYS = 2
CARS = frozenset({"resource:mode.car", "resource:mode.carpool"})


@dataclass(frozen=True)
class Indicator:
    """One number about the territory, a mode or a place."""

    name: str  # stable, as in commuters, share, distance, emissions, self-containment
    about: str  # a node's id, or "territory"
    value: float | None
    low: float | None
    high: float | None
    unit: str
    sources: tuple[str, ...]
    note: str = ""


def indicators(graph: TerritoryGraph) -> list[Indicator]:
    """Every indicator, source after source (contributed data first)."""
    found: list[Indicator] = []
    for one in commutes(graph):
        factors = {factor.resource: factor for factor in graph.factors}
        found += _flows(one)
        found += _distances(one)
        found += _emissions(one, factors)
        found += _containment(one)
    return found


def headline(graph: TerritoryGraph) -> dict[str, Indicator]:
    """What the first source tells of the territory as a whole, by indicator name."""
    found = commutes(graph)
    if not found:
        return {}
    one = found[0]
    factors = {factor.resource: factor for factor in graph.factors}
    every = [*_flows(one), *_distances(one), *_emissions(one, factors), *_containment(one)]
    return {item.name: item for item in every if item.about == "territory"}


def _flows(one: Commutes) -> Iterator[Indicator]:
    source, missing = (one.source.id,), one.source.withheld
    note = f"{missing} edges withheld under {one.source.minimum} persons" if missing else ""
    yield _told("commuters", "territory", total(one.trips), "persons", source, note=note)
    for mode in _modes(one):
        among = [trip for trip in one.trips if trip.mode == mode]
        yield _told("commuters", mode, total(among), "persons", source)
        part = share(one.trips, _goes_by(mode))
        yield _told("share", mode, part, "share", source)
    others = share(one.trips, lambda trip: trip.mode not in CARS)
    yield _told("ways-without-car", "territory", others, "share", source)


def _distances(one: Commutes) -> Iterator[Indicator]:
    source = (one.source.id,)
    note = "persons whose trip has a distance: between two located places"
    covered = share(one.trips, lambda trip: trip.km is not None)
    yield _told("measured", "territory", covered, "share", source, note=note)
    measured = [trip for trip in one.trips if trip.km is not None]
    for about in ("territory", *_modes(one)):
        chosen = [trip for trip in measured if about in {"territory", trip.mode}]
        mean = quotient(chosen, _kilometres, _each)
        yield _told("distance", about, mean, "km", source, note="one way, great circle")
    driven = quotient(measured, lambda trip: WAYS * _kilometres(trip) * (trip.mode in CARS), _each)
    yield _told("car-km-per-commuter", "territory", driven, "km/(commuter.day)", source)


def _emissions(one: Commutes, factors: dict[str, Factor]) -> Iterator[Indicator]:
    measured = [trip for trip in one.trips if trip.km is not None]
    sources = (one.source.id, *sorted({factor.source for factor in factors.values()}))
    covered = share(one.trips, lambda trip: trip.km is not None)
    note = (
        "a working day there and back, great circle, "
        f"{covered.value if covered else 0:.0%} of the persons: a lower bound"
    )
    for mode in _modes(one):
        trips = [trip for trip in measured if trip.mode == mode]
        factor = factors.get(mode)
        if factor is None or not trips:
            why = "no factor for this way" if factor is None else "no trip with a distance"
            yield _told("emissions", mode, None, "kgCO2e/day", sources, note=why)
            continue
        named = (one.source.id, factor.source)
        yield _told("emissions", mode, _emitted(trips, factors), "kgCO2e/day", named, note=note)
    known = [trip for trip in measured if trip.mode in factors]
    whole = _emitted(known, factors) if known else None
    yield _told("emissions", "territory", whole, "kgCO2e/day", sources, note=note)
    unit = "kgCO2e/(commuter.day)"
    each = _emitted_each(known, factors)
    yield _told("emissions-per-commuter", "territory", each, unit, sources, note=note)


def _emitted(trips: list[Trip], factors: dict[str, Factor]) -> Estimate:
    """kgCO2e per working day; the range holds the factors' ranges and the counts' noise."""

    def ends(pick: Callable[[Factor], str]) -> tuple[float, float]:
        each = [
            (trip, WAYS * _kilometres(trip) * float(pick(factors[trip.mode]))) for trip in trips
        ]
        noise = math.sqrt(math.fsum((trip.half * weight) ** 2 for trip, weight in each))
        return math.fsum(trip.persons * weight for trip, weight in each), noise

    value, _ = ends(lambda factor: factor.value)
    low, less = ends(lambda factor: factor.low)
    high, more = ends(lambda factor: factor.high)
    return Estimate(value, max(0.0, low - less), high + more)


def _emitted_each(trips: list[Trip], factors: dict[str, Factor]) -> Estimate | None:
    def per_person(pick: Callable[[Factor], str]) -> Estimate | None:
        return quotient(
            trips,
            lambda trip: WAYS * _kilometres(trip) * float(pick(factors[trip.mode])),
            _each,
        )

    value = per_person(lambda factor: factor.value)
    low = per_person(lambda factor: factor.low)
    high = per_person(lambda factor: factor.high)
    return value and low and high and Estimate(value.value, low.low, high.high)


def _containment(one: Commutes) -> Iterator[Indicator]:
    """Residents who work where they live, per place and for the territory as a whole."""
    source = (one.source.id,)
    residents = [trip for trip in one.trips if trip.origin in one.own]
    staying = share(residents, lambda trip: trip.target in one.own)
    yield _told("self-containment", "territory", staying, "share", source)
    for place in sorted(one.own):
        living = [trip for trip in residents if trip.origin == place]
        working = share(living, _works_in(place))
        yield _told("self-containment", place, working, "share", source)
    jobs = quotient(
        one.trips, lambda trip: float(trip.target in one.own), lambda t: float(t.origin in one.own)
    )
    yield _told("jobs-per-worker", "territory", jobs, "jobs/worker", source)


def _goes_by(mode: str) -> Callable[[Trip], bool]:
    return lambda trip: trip.mode == mode


def _works_in(place: str) -> Callable[[Trip], bool]:
    return lambda trip: trip.target == place


def _each(_: Trip) -> float:
    return 1.0


def _kilometres(trip: Trip) -> float:
    return 0.0 if trip.km is None else trip.km


def _modes(one: Commutes) -> list[str]:
    return sorted({trip.mode for trip in one.trips})


def _told(
    name: str,
    about: str,
    estimate: Estimate | None,
    unit: str,
    sources: tuple[str, ...],
    *,
    note: str = "",
) -> Indicator:
    if estimate is None:
        return Indicator(name, about, None, None, None, unit, sources, note or "nobody to count")
    value, low, high = map(_rounded, (estimate.value, estimate.low, estimate.high))
    return Indicator(name, about, value, low, high, unit, sources, note)


def _rounded(number: float) -> float:
    # Six digits: the same on every processor, and more than any of these numbers deserves.
    return float(f"{number:.6g}")
