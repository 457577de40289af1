"""The trips of one source, with distances and the noise of their sums.

Distances are great-circle ones between central points: roads are longer, and a trip within one
place has none. Bands of sums assume independent noise per cell, as the release adds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from graph.geography import haversine_km
from graph.model import Flow, Place, Relation, Source, SourceKind, TerritoryGraph


@dataclass(frozen=True)
class Trip:
    """Persons who live in one place and work in another, one way of travel."""

    origin: str
    target: str
    mode: str  # the resource
    persons: float
    half: float  # half the width of the 95 % band; 0 where the source states none
    km: float | None  # one way; None within a place, or without coordinates


@dataclass(frozen=True)
class Estimate:
    """A number with its range; equal ends where nothing is known about the error."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Commutes:
    """The trips that one source states, and the places that are the territory's own."""

    source: Source
    trips: tuple[Trip, ...]
    own: frozenset[str]


def commutes(graph: TerritoryGraph) -> list[Commutes]:
    """One per source of commuting flows, contributed data first: sources are never added up."""
    places = {place.id: place for place in graph.places}
    belonging = {
        link.origin for link in graph.links if link.relation is Relation.BELONGING
    } & places.keys()
    own = frozenset(belonging) or frozenset(places)
    found = []
    for source in graph.sources:
        trips = tuple(
            _trip(flow, places)
            for flow in graph.flows
            if flow.relation is Relation.COMMUTING and flow.source == source.id
        )
        if trips:
            found.append(Commutes(source, trips, own))
    return sorted(found, key=lambda item: (item.source.kind is not SourceKind.RELEASE,))


def total(trips: Iterable[Trip]) -> Estimate:
    """Persons in all."""
    chosen = list(trips)
    value = math.fsum(trip.persons for trip in chosen)
    half = math.sqrt(math.fsum(trip.half**2 for trip in chosen))
    return Estimate(value, max(0.0, value - half), value + half)


def quotient(
    trips: Iterable[Trip], over: Callable[[Trip], float], under: Callable[[Trip], float]
) -> Estimate | None:
    """Persons weighed by `over`, per person weighed by `under`; None when there are none.

    The band follows from independent noise per trip, to first order.
    """
    chosen = list(trips)
    count = math.fsum(under(trip) * trip.persons for trip in chosen)
    if count <= 0:
        return None
    value = math.fsum(over(trip) * trip.persons for trip in chosen) / count
    spread = math.fsum((trip.half * (over(trip) - value * under(trip))) ** 2 for trip in chosen)
    half = math.sqrt(spread) / count
    return Estimate(value, max(0.0, value - half), value + half)


def share(trips: Iterable[Trip], part: Callable[[Trip], bool]) -> Estimate | None:
    """The share of persons whose trip is a `part`; None of nobody."""
    found = quotient(trips, lambda trip: float(part(trip)), lambda _: 1.0)
    return found and Estimate(found.value, found.low, min(1.0, found.high))


def _trip(flow: Flow, places: dict[str, Place]) -> Trip:
    half = 0.0 if flow.upper is None else float(flow.upper) - float(flow.quantity)
    return Trip(
        origin=flow.origin,
        target=flow.target,
        mode=flow.resource,
        persons=float(flow.quantity),
        half=half,
        km=_distance(places[flow.origin], places[flow.target]),
    )


def _distance(origin: Place, target: Place) -> float | None:
    ends = (origin.longitude, origin.latitude, target.longitude, target.latitude)
    east, north, other_east, other_north = (None if end is None else float(end) for end in ends)
    if origin.id == target.id or east is None or north is None:
        return None
    if other_east is None or other_north is None:
        return None
    return haversine_km(east, north, other_east, other_north)
