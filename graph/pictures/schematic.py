"""The schematic map: places at their central points, an arrow per pair, wider for more."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from graph.commuting import Commutes, commutes
from graph.errors import PictureRefused
from graph.model import Place, TerritoryGraph
from graph.pictures import labels, plane, svg
from graph.pictures.words import WORDINGS, Wording

WIDTH, HEIGHT = 900.0, 640.0
_MARGIN, _HEAD, _FOOT = 90.0, 70.0, 44.0
_WIDEST = 16.0
# Below this a map is a skein: the thinnest arrows are left to the tables.
MOST_ARROWS = 60
MOST_PLACES = 24  # with more, names lie upon names
RADIUS = 7.0


@dataclass(frozen=True)
class Spot:
    """A place on the paper."""

    place: Place
    x: float
    y: float


def draw(graph: TerritoryGraph, language: str) -> bytes:
    """The map as SVG. Raises PictureRefused when nothing is located."""
    words = WORDINGS[language]
    found = commutes(graph)
    located = _largest(graph, found[0]) if found else []
    if not located:
        raise PictureRefused("the graph has no commuting flows of located places")
    one = found[0]
    spots = positions(located)
    between, within, outside = _pairs(one, spots)
    # Each kind against its own largest: most people work where they live or far away.
    widest, fullest = max([*between.values(), 1.0]), max([*within.values(), 1.0])
    shown = sorted(between, key=lambda pair: (-between[pair], pair))[:MOST_ARROWS]
    rings = {
        place: RADIUS + max(1.5, _WIDEST * within.get(place, 0.0) / fullest) for place in spots
    }
    # The widest first, so that thin arrows lie on top.
    content = [
        arrow(
            (spots[home], spots[work]),
            f"{spots[home].place.name} {words.to} {spots[work].place.name} : "
            f"{words.number(between[home, work])} {words.persons}",
            width=_WIDEST * between[home, work] / widest,
            radius=rings[work],
        )
        for home, work in shown
    ]
    content += marks(
        spots,
        rings,
        {
            place: f"{spot.place.name}, {words.within} : "
            f"{words.number(within.get(place, 0.0))} {words.persons}"
            for place, spot in spots.items()
        },
    )
    name = graph.name_fr if language == "fr" else graph.name_en
    content += [
        svg.text(f"{words.map_title} - {name}", x=24, y=30, font_size=18, font_weight="bold"),
        svg.text(_caption(graph, one, outside, words), x=24, y=52),
        svg.text(f"{words.source} : {one.source.attribution}", x=24, y=HEIGHT - 16, font_size=11),
    ]
    return svg.picture(
        width=WIDTH,
        height=HEIGHT,
        language=language,
        title=f"{words.map_title} - {name}",
        about=f"{words.map_about} {_caption(graph, one, outside, words)}",
        content=content,
    )


def _pairs(
    one: Commutes, spots: dict[str, Spot]
) -> tuple[dict[tuple[str, str], float], dict[str, float], float]:
    between: dict[tuple[str, str], float] = defaultdict(float)
    within: dict[str, float] = defaultdict(float)
    outside = 0.0
    for trip in one.trips:
        if trip.origin not in spots or trip.target not in spots:
            outside += trip.persons
        elif trip.origin == trip.target:
            within[trip.origin] += trip.persons
        else:
            between[trip.origin, trip.target] += trip.persons
    return dict(between), dict(within), outside


def _largest(graph: TerritoryGraph, one: Commutes) -> list[Place]:
    """The located places where most people live or work, in the graph's order."""
    sizes: dict[str, float] = defaultdict(float)
    for trip in one.trips:
        sizes[trip.origin] += trip.persons
        sizes[trip.target] += trip.persons
    located = [place for place in graph.places if place.longitude is not None]
    known = [place.id for place in located if sizes[place.id] > 0]
    chosen = set(sorted(known, key=lambda place: (-sizes[place], place))[:MOST_PLACES])
    return [place for place in located if place.id in chosen]


def positions(places: list[Place]) -> dict[str, Spot]:
    """Every place on paper."""
    known = {place.id: place for place in places}
    flat = plane.flattened(
        {place.id: (float(place.longitude or 0), float(place.latitude or 0)) for place in places},
        room=(WIDTH - 2 * _MARGIN, HEIGHT - _HEAD - _FOOT - _MARGIN),
        centre=(WIDTH / 2, _HEAD + (HEIGHT - _HEAD - _FOOT) / 2),
    )
    return {name: Spot(known[name], x, y) for name, (x, y) in flat.items()}


def arrow(
    ends: tuple[Spot, Spot],
    said: str,
    *,
    width: float,
    radius: float,
    shade: str = svg.SHADES[0],
    bend: float = plane.BEND,
) -> str:
    """An arrow from place to place; `said` is its title, `radius` that of where it arrives."""
    start, end = ends
    drawn = plane.arrow((start.x, start.y), (end.x, end.y), width=width, radius=radius, bend=bend)
    curve = svg.element("path", d=drawn.curve, fill="none", stroke_width=drawn.width)
    point = svg.element("path", d=drawn.head)
    # One group, so that curve and head fade together and are told once.
    return svg.titled("g", said, [curve, point], fill=shade, stroke=shade, opacity=0.6)


def marks(
    spots: Mapping[str, Spot], radii: Mapping[str, float], said: Mapping[str, str]
) -> list[str]:
    """White places with rings up to their radius, then the names, which lie upon none of them.

    `said` are their titles.
    """
    places = [
        svg.titled(
            "circle",
            said[key],
            cx=spot.x,
            cy=spot.y,
            r=(RADIUS + radii[key]) / 2,
            fill=svg.PAPER,
            stroke=svg.INK,
            stroke_width=radii[key] - RADIUS,
        )
        for key, spot in spots.items()
    ]
    named = labels.place(
        {key: (spot.x, spot.y, radii[key], spot.place.name) for key, spot in spots.items()}
    )
    names = [
        svg.text(
            spots[key].place.name,
            x=label.x,
            y=label.y,
            text_anchor=label.anchor,
            font_weight="bold",
            stroke=svg.PAPER,
            stroke_width=3,
            paint_order="stroke",
        )
        for key, label in named.items()
    ]
    return [*places, *names]


def _caption(graph: TerritoryGraph, one: Commutes, outside: float, words: Wording) -> str:
    persons = math.fsum(trip.persons for trip in one.trips)
    day = graph.dated.date().isoformat()
    text = f"{words.dated} {day} - {words.number(persons)} {words.persons}"
    if outside:
        text += f", {words.number(outside)} {words.off_map}"
    return text
