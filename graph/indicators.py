"""Systemic indicators of a graph, each with the sources that it rests on.

A function of the graph alone: factors and limits stand in it, so that whoever verifies the
graph computes the same numbers. What cannot be told is None, never a guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from graph import factors, totals
from graph.commuting import Commutes, Estimate, Trip, commutes, quotient, share, total
from graph.indicator import Indicator, told
from graph.model import Factor, TerritoryGraph

# There and back, once per person and working day; telework and detours are not known.
WAYS = 2
CARS = frozenset({"resource:mode.car", "resource:mode.carpool"})


def indicators(graph: TerritoryGraph) -> list[Indicator]:
    """Every indicator: ways to work, then what else flows; contributed data first in both."""
    found: list[Indicator] = []
    for one in commutes(graph):
        found += _of_commutes(one, factors.of_ways(graph))
    found += totals.indicators(graph)
    return found


def headline(graph: TerritoryGraph) -> dict[str, Indicator]:
    """What the first source tells of the territory as a whole, by indicator name."""
    found = commutes(graph)
    if not found:
        return {}
    every = _of_commutes(found[0], factors.of_ways(graph))
    return {item.name: item for item in every if item.about == "territory"}


def _of_commutes(one: Commutes, ways: dict[str, Factor]) -> Iterator[Indicator]:
    yield from _flows(one)
    yield from _distances(one)
    yield from _emissions(one, ways)
    yield from _containment(one)


def _flows(one: Commutes) -> Iterator[Indicator]:
    source, missing = (one.source.id,), one.source.withheld
    note = f"{missing} edges withheld under {one.source.minimum} persons" if missing else ""
    yield told("commuters", "territory", total(one.trips), "persons", source, note=note)
    for mode in _modes(one):
        among = [trip for trip in one.trips if trip.mode == mode]
        yield told("commuters", mode, total(among), "persons", source)
        part = share(one.trips, _goes_by(mode))
        yield told("share", mode, part, "share", source)
    others = share(one.trips, lambda trip: trip.mode not in CARS)
    yield told("ways-without-car", "territory", others, "share", source)


def _distances(one: Commutes) -> Iterator[Indicator]:
    source = (one.source.id,)
    note = "persons whose trip has a distance: between two located places"
    covered = share(one.trips, lambda trip: trip.km is not None)
    yield told("measured", "territory", covered, "share", source, note=note)
    measured = [trip for trip in one.trips if trip.km is not None]
    for about in ("territory", *_modes(one)):
        chosen = [trip for trip in measured if about in {"territory", trip.mode}]
        mean = quotient(chosen, _kilometres, _each)
        yield told("distance", about, mean, "km", source, note="one way, great circle")
    driven = quotient(measured, lambda trip: WAYS * _kilometres(trip) * (trip.mode in CARS), _each)
    yield told("car-km-per-commuter", "territory", driven, "km/(commuter.day)", source)


def _emissions(one: Commutes, ways: dict[str, Factor]) -> Iterator[Indicator]:
    measured = [trip for trip in one.trips if trip.km is not None]
    sources = (one.source.id, *sorted({factor.source for factor in ways.values()}))
    covered = share(one.trips, lambda trip: trip.km is not None)
    note = (
        "a working day there and back, great circle, "
        f"{covered.value if covered else 0:.0%} of the persons: a lower bound"
    )
    for mode in _modes(one):
        trips = [trip for trip in measured if trip.mode == mode]
        factor = ways.get(mode)
        if factor is None or not trips:
            why = "no factor for this way" if factor is None else "no trip with a distance"
            yield told("emissions", mode, None, "kgCO2e/day", sources, note=why)
            continue
        named = (one.source.id, factor.source)
        yield told("emissions", mode, _emitted(trips, ways), "kgCO2e/day", named, note=note)
    known = [trip for trip in measured if trip.mode in ways]
    whole = _emitted(known, ways) if known else None
    yield told("emissions", "territory", whole, "kgCO2e/day", sources, note=note)
    unit = "kgCO2e/(commuter.day)"
    each = _emitted_each(known, ways)
    yield told("emissions-per-commuter", "territory", each, unit, sources, note=note)


def _emitted(trips: list[Trip], ways: dict[str, Factor]) -> Estimate:
    """kgCO2e per working day; the range holds the factors' ranges and the counts' noise."""

    def ends(pick: Callable[[Factor], str]) -> tuple[float, float]:
        each = [(trip, WAYS * _kilometres(trip) * float(pick(ways[trip.mode]))) for trip in trips]
        noise = math.sqrt(math.fsum((trip.half * weight) ** 2 for trip, weight in each))
        return math.fsum(trip.persons * weight for trip, weight in each), noise

    value, _ = ends(lambda factor: factor.value)
    low, less = ends(lambda factor: factor.low)
    high, more = ends(lambda factor: factor.high)
    return Estimate(value, max(0.0, low - less), high + more)


def _emitted_each(trips: list[Trip], ways: dict[str, Factor]) -> Estimate | None:
    def per_person(pick: Callable[[Factor], str]) -> Estimate | None:
        return quotient(
            trips,
            lambda trip: WAYS * _kilometres(trip) * float(pick(ways[trip.mode])),
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
    yield told("self-containment", "territory", staying, "share", source)
    for place in sorted(one.own):
        living = [trip for trip in residents if trip.origin == place]
        working = share(living, _works_in(place))
        yield told("self-containment", place, working, "share", source)
    jobs = quotient(
        one.trips, lambda trip: float(trip.target in one.own), lambda t: float(t.origin in one.own)
    )
    yield told("jobs-per-worker", "territory", jobs, "jobs/worker", source)


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
