"""The flow diagram: homes at the left, ways of travel in the middle, work at the right.

Each band's height is its persons'. Ways differ by shade and by hatching, so that the picture
says the same in black and white.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from graph.commuting import Trip, commutes
from graph.errors import PictureRefused
from graph.model import TerritoryGraph
from graph.pictures import stages, svg
from graph.pictures.stages import Stage, Streams
from graph.pictures.words import WORDINGS, Wording

WIDTH, HEIGHT = 980.0, 640.0
_HEAD, _FOOT = 84.0, 60.0
_BAR, _GAP = 16.0, 8.0
_SIDE = 210.0
_LINE = 15.0  # between two labels
# The largest places have a line of their own; the others share one.
MOST_PLACES = 12
_OTHERS = "others"


@dataclass(frozen=True)
class _Paper:
    """What every part of the drawing asks for."""

    words: Wording
    names: Mapping[str, str]
    scale: float  # units of height per person
    patterns: Mapping[str, int]  # of each way


def draw(graph: TerritoryGraph, language: str) -> bytes:
    """The diagram as SVG. Raises PictureRefused when there is nothing to draw."""
    words = WORDINGS[language]
    found = commutes(graph)
    streams = _streams(found[0].trips) if found else {}
    persons = math.fsum(streams.values())
    if persons <= 0:
        raise PictureRefused("the graph has no commuting flows")
    sums = [stages.sums(streams, part) for part in range(3)]
    scale = (HEIGHT - _HEAD - _FOOT - _GAP * (max(map(len, sums)) - 1)) / persons
    names = _names(graph, words)
    paper = _Paper(words, names, scale, {way: i for i, way in enumerate(sorted(sums[1]))})
    homes, ways, works = (
        stages.stage(x, heading, anchor, one, scale=scale, top=_HEAD, gap=_GAP)
        for x, heading, anchor, one in zip(
            (_SIDE, (WIDTH - _BAR) / 2, WIDTH - _SIDE - _BAR),
            (words.homes, words.ways, words.works),
            ("end", "middle", "start"),
            sums,
            strict=True,
        )
    )
    name = graph.name_fr if language == "fr" else graph.name_en
    title = f"{words.streams_title} - {name}"
    shares = ", ".join(f"{names[way]} {words.number(ways.sums[way])}" for way in ways.sums)
    day = graph.dated.date().isoformat()
    return svg.picture(
        width=WIDTH,
        height=HEIGHT,
        language=language,
        title=title,
        about=f"{words.streams_about} {words.dated} {day} : {shares}.",
        content=[
            _patterns(len(paper.patterns)),
            *_ribbons(homes, ways, stages.between(streams, 0, 1), paper),
            *_ribbons(ways, works, stages.between(streams, 1, 2), paper),
            *_bars(homes, paper),
            *_bars(ways, paper),
            *_bars(works, paper),
            svg.text(title, x=24, y=30, font_size=18, font_weight="bold"),
            svg.text(f"{words.dated} {day} - {words.number(persons)} {words.persons}", x=24, y=52),
            svg.text(
                f"{words.source} : {found[0].source.attribution}",
                x=24,
                y=HEIGHT - 12,
                font_size=11,
            ),
        ],
    )


def _streams(trips: Iterable[Trip]) -> Streams:
    """Persons by home, way and work; places beyond the largest are taken together."""
    listed = list(trips)
    sizes: dict[str, float] = defaultdict(float)
    for trip in listed:
        sizes[trip.origin] += trip.persons
        sizes[trip.target] += trip.persons
    largest = set(sorted(sizes, key=lambda place: (-sizes[place], place))[:MOST_PLACES])
    found: dict[tuple[str, ...], float] = defaultdict(float)
    for trip in listed:
        home, work = (
            place if place in largest else _OTHERS for place in (trip.origin, trip.target)
        )
        found[home, trip.mode, work] += trip.persons
    return dict(found)


def _ribbons(
    left: Stage, right: Stage, among: Mapping[tuple[str, str], float], paper: _Paper
) -> Iterator[str]:
    """One band per pair, hatched as its way."""
    for one in stages.ribbons(left, right, among, scale=paper.scale, bar=_BAR):
        way = one.first if one.first in paper.patterns else one.second
        said = (
            f"{paper.names[one.first]} {paper.words.to} {paper.names[one.second]} : "
            f"{paper.words.number(one.amount)} {paper.words.persons}"
        )
        fill = f"url(#way{paper.patterns[way]})"
        yield svg.titled("path", said, d=one.path, fill=fill, fill_opacity=0.75)


def _bars(stage: Stage, paper: _Paper) -> Iterator[str]:
    where = {"end": stage.x - 8, "middle": stage.x + _BAR / 2, "start": stage.x + _BAR + 8}
    x = where[stage.anchor]
    yield svg.text(stage.heading, x=x, y=_HEAD - 12, text_anchor=stage.anchor, font_weight="bold")
    lowest = 0.0
    for name, persons in stage.sums.items():
        height = persons * paper.scale
        # Thin bars stand closer than letters are high: their labels move down together.
        lowest = max(stage.tops[name] + height / 2 + 4, lowest + _LINE)
        label = f"{paper.names[name]} {paper.words.number(persons)}"
        yield svg.titled(
            "rect",
            f"{label} {paper.words.persons}",
            x=stage.x,
            y=stage.tops[name],
            width=_BAR,
            height=max(height, 0.5),
            fill=svg.INK,
        )
        yield svg.text(
            label,
            x=x,
            y=lowest,
            text_anchor=stage.anchor,
            stroke=svg.PAPER,
            stroke_width=3,
            paint_order="stroke",
        )


def _patterns(count: int) -> str:
    """A shade and a hatching per way: angle and spacing tell them apart without colour."""
    found = []
    for index in range(count):
        shade = svg.SHADES[index % len(svg.SHADES)]
        spacing = 5 + 3 * (index % 3)
        found.append(
            svg.element(
                "pattern",
                [
                    svg.element("rect", width=spacing, height=spacing, fill=shade),
                    svg.element(
                        "rect", width=1.2, height=spacing, fill=svg.PAPER, fill_opacity=0.7
                    ),
                ],
                id=f"way{index}",
                width=spacing,
                height=spacing,
                patternUnits="userSpaceOnUse",
                patternTransform=f"rotate({35 * index})",
            )
        )
    return svg.element("defs", found)


def _names(graph: TerritoryGraph, words: Wording) -> dict[str, str]:
    names = {place.id: place.name for place in graph.places}
    for resource in graph.resources:
        names[resource.id] = resource.name_fr if words.language == "fr" else resource.name_en
    names[_OTHERS] = words.others
    return names
