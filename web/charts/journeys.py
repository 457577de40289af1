"""Flows between places where they lie: an arrow per pair, wider for more, a ring for what stays.

The geometry is `graph.pictures.plane`'s and `graph.pictures.labels`'.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

from graph.pictures import labels, plane, svg
from web.cells import Cell
from web.charts import scales
from web.charts.chart import WIDTH, Chart, Words, picture
from web.sentences import say
from web.speech import Speech

_HEIGHT, _MARGIN = 560.0, 80.0
_WIDEST, _RADIUS = 12.0, 7.0
MOST_ARROWS = 60  # with more a map is a skein; the table has them all
MOST_SPOTS = 2 * MOST_ARROWS  # each has a name that must lie upon none of the others
Flows = Mapping[tuple[str, str], float]


def journeys(
    name: str,
    caption: Words,
    places: Mapping[str, plane.Point],
    flows: Flows,
    speech: Speech,
    *,
    unit: Words = "",
) -> Chart:
    """`flows` from place to place; `places` are longitudes and latitudes, one for each end."""
    rows: list[list[Cell]] = [
        [*pair, amount]
        for pair, amount in sorted(flows.items(), key=lambda item: (-item[1], item[0]))
    ]
    flows = {pair: min(amount, scales.LARGEST) for pair, amount in flows.items()}
    among = _fullest(flows)
    spots = _spots({place: at for place, at in places.items() if place in among})
    apart = {
        pair: amount
        for pair, amount in flows.items()
        if pair[0] != pair[1] and amount > 0 and among >= set(pair)
    }
    within = {pair[0]: amount for pair, amount in flows.items() if pair[0] == pair[1]}
    # Each kind against its own largest: most people work where they live or far away.
    widest, fullest = max([*apart.values(), 1.0]), max([*within.values(), 1.0])
    rings = {
        place: _RADIUS + max(1.5, _WIDEST * within.get(place, 0.0) / fullest) for place in spots
    }
    content = []
    # The widest first, so that thin arrows lie on top.
    for pair in sorted(apart, key=lambda pair: (-apart[pair], pair))[:MOST_ARROWS]:
        drawn = plane.arrow(
            spots[pair[0]],
            spots[pair[1]],
            width=_WIDEST * apart[pair] / widest,
            radius=rings[pair[1]],
        )
        parts = [
            svg.element("path", d=drawn.curve, stroke_width=drawn.width, class_="journey"),
            svg.element("path", d=drawn.head, class_="journey-head"),
        ]
        content.append(svg.titled("g", _told(pair, apart[pair], speech, unit), parts))
    content += _marks(spots, rings, within, speech, unit)
    total = math.fsum(flows.values())
    key = say("An arrow is wider for more, and a ring thicker for more that stay.")
    content.append(svg.text(speech.text(key), x=14, y=_HEIGHT - 12))
    about = say(
        "Schematic map: {total} {unit} in all between {count} places. {key}",
        total=total,
        unit=unit,
        count=len(spots),
        key=key,
    )
    return Chart(
        caption=caption,
        svg=picture(
            name,
            title=speech.text(caption),
            about=speech.text(about),
            height=_HEIGHT,
            content=content,
        ),
        headings=[say("from"), say("to"), unit or say("value")],
        rows=rows,
        unit=unit,
    )


def _fullest(flows: Flows) -> set[str]:
    """The places that most goes through, as many as a map may name."""
    through: dict[str, float] = defaultdict(float)
    for pair, amount in flows.items():
        for end in pair:
            through[end] += amount
    return set(sorted(through, key=lambda end: (-through[end], end))[:MOST_SPOTS])


def _spots(places: Mapping[str, plane.Point]) -> dict[str, plane.Point]:
    if not places:
        return {}
    room = (WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN)
    return plane.flattened(places, room=room, centre=(WIDTH / 2, _HEIGHT / 2))


def _marks(
    spots: Mapping[str, plane.Point],
    rings: Mapping[str, float],
    within: Mapping[str, float],
    speech: Speech,
    unit: Words,
) -> list[str]:
    """Places with their rings, then their names, which lie upon none of them."""
    drawn = [
        svg.titled(
            "circle",
            _told((place, place), within.get(place, 0.0), speech, unit),
            cx=x,
            cy=y,
            r=(_RADIUS + rings[place]) / 2,
            stroke_width=rings[place] - _RADIUS,
            class_="place",
        )
        for place, (x, y) in spots.items()
    ]
    named = labels.place({place: (x, y, rings[place], place) for place, (x, y) in spots.items()})
    drawn += [
        svg.text(place, x=at.x, y=at.y, text_anchor=at.anchor, class_="strong halo")
        for place, at in named.items()
    ]
    return drawn


def _told(pair: tuple[str, str], amount: float, speech: Speech, unit: Words) -> str:
    return f"{pair[0]} → {pair[1]}: {speech.number(amount)} {speech.text(unit)}".strip()
