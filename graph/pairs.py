"""Pairs of a home and a work place as arrays: what link scorers learn from and are judged on.

A pair is looked at when both places are located and differ, and when one end is the territory's
own: a source says nothing of trips that neither begin nor end there. A way of travel without an
edge on a pair is no zero: fewer persons than the source's minimum may stand there, withheld.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graph.commuting import Commutes
from graph.errors import PotentialRefused
from graph.geography import haversine_km
from graph.model import Place, TerritoryGraph

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]
# 500 places among themselves: a minute of training, and far under a gigabyte.
MAXIMUM_PAIRS = 250_000
# Two places with one central point (a street and its station) are still no single place.
_NEAREST_KM = 0.1


@dataclass(frozen=True)
class Pairs:
    """P pairs of Z places, M ways of travel; pairs and places are sorted by id."""

    source: str
    minimum: int  # persons on an edge, at least
    places: tuple[str, ...]
    modes: tuple[str, ...]
    own: Flags  # (Z,)
    position: Reals  # (Z, 2): kilometres east and north of the middle
    home: Whole  # (P,): index of the place
    work: Whole  # (P,)
    km: Reals  # (P,): one way
    persons: Reals  # (P, M): 0 without an edge
    half: Reals  # (P, M): half the 95 % band; 0 where the source states none
    released: Flags  # (P, M): whether the signed graph has this edge

    def __len__(self) -> int:
        return len(self.home)


def pairs(graph: TerritoryGraph, one: Commutes) -> Pairs:
    """The pairs that `one` speaks about. Raises PotentialRefused when there are too few."""
    located = {
        place.id: place
        for place in graph.places
        if place.longitude is not None and place.latitude is not None
    }
    trips = [
        trip
        for trip in one.trips
        if trip.origin in located
        and trip.target in located
        and trip.origin != trip.target
        and (trip.origin in one.own or trip.target in one.own)
    ]
    homes = sorted({trip.origin for trip in trips})
    works = sorted({trip.target for trip in trips})
    names = tuple(sorted({*homes, *works}))
    ours = [work for work in works if work in one.own]
    number = sum(len(works if home in one.own else ours) for home in homes)
    if number > MAXIMUM_PAIRS:
        raise PotentialRefused(
            f"{number} pairs of a home and a work place are over {MAXIMUM_PAIRS}",
            remedy="build the graph of one territory, with `within` or links that say what belongs",
        )
    modes = tuple(sorted({trip.mode for trip in trips}))
    index = {name: number for number, name in enumerate(names)}
    keys = [
        (home, work)
        for home in homes
        for work in (works if home in one.own else ours)
        if home != work
    ]
    if len(keys) < 2 or len(modes) < 2:
        raise PotentialRefused("the graph has no two ways of travel between located places")
    row = {key: number for number, key in enumerate(keys)}
    column = {mode: number for number, mode in enumerate(modes)}
    persons, half = np.zeros((len(keys), len(modes))), np.zeros((len(keys), len(modes)))
    released = np.zeros((len(keys), len(modes)), np.bool_)
    for trip in trips:
        cell = row[trip.origin, trip.target], column[trip.mode]
        persons[cell], half[cell], released[cell] = trip.persons, trip.half, True
    return Pairs(
        source=one.source.id,
        minimum=one.source.minimum,
        places=names,
        modes=modes,
        own=np.array([name in one.own for name in names], np.bool_),
        position=_positions([located[name] for name in names]),
        home=np.array([index[home] for home, _ in keys], np.int64),
        work=np.array([index[work] for _, work in keys], np.int64),
        km=np.array([_km(located[home], located[work]) for home, work in keys]),
        persons=persons,
        half=half,
        released=released,
    )


def _positions(places: list[Place]) -> Reals:
    degrees = np.array([_degrees(place) for place in places])
    east, north = (float(part) for part in degrees.mean(axis=0))
    return np.array(
        [
            [
                math.copysign(haversine_km(east, north, x, north), x - east),
                math.copysign(haversine_km(east, north, east, y), y - north),
            ]
            for x, y in degrees.tolist()
        ]
    )


def _km(home: Place, work: Place) -> float:
    return max(_NEAREST_KM, haversine_km(*_degrees(home), *_degrees(work)))


def _degrees(place: Place) -> tuple[float, float]:
    return float(place.longitude or 0), float(place.latitude or 0)
