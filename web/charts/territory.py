"""A territory without a map server: hexagons on a grid, or outlines, shaded by a quantity.

Every area prints its value and, where it leads somewhere, is a link: shade tells nothing alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from graph.pictures import svg
from web.cells import Cell, Status
from web.charts import marks, scales
from web.charts.chart import WIDTH, Chart, Words, picture
from web.sentences import say
from web.speech import Speech

_STEPS = 5
_RADIUS, _MARGIN, _LEGEND = 46.0, 14.0, 44.0
_HIGHEST = 520.0
_LETTERS = 13
_LETTER = 6.5  # units a letter of a badge
Corner = tuple[float, float]


@dataclass(frozen=True)
class Tile:
    """A place as a hexagon: `column` and `row` on a grid whose odd rows are half a step right."""

    name: str
    column: int
    row: int
    value: float | None
    note: str = ""
    href: str = ""
    badge: Status | None = None  # printed below the value, in its tone and with its mark


@dataclass(frozen=True)
class Area:
    """A place as its outline, in any flat units, north up."""

    name: str
    outline: Sequence[Corner]
    value: float | None
    note: str = ""
    href: str = ""


def territory(
    name: str,
    caption: Words,
    places: Sequence[Tile | Area],
    speech: Speech,
    *,
    unit: Words = "",
) -> Chart:
    """The places shaded in five steps of their values; None stands for "not known"."""
    grid = all(isinstance(place, Tile) for place in places)
    shapes = _fitted([_outline(place) for place in places], grid=grid)
    values = [place.value for place in places if place.value is not None]
    low, high = scales.counted(values, _STEPS)
    height = max((y for shape in shapes for _, y in shape), default=0.0) + _MARGIN + _LEGEND
    content = []
    for place, shape in zip(places, shapes, strict=True):
        step = _step(place.value, low, high)
        told = f"{place.name}: {_value(place.value, speech)} {speech.text(unit)}".strip()
        told = f"{told}. {place.note}" if place.note else told
        x, y = _middle(shape)
        ink = "on-deep" if step >= 4 else "on-pale"
        badge = place.badge if isinstance(place, Tile) else None
        lift = 10.0 if badge else 0.0
        drawn = svg.element(
            "g",
            [
                svg.titled("path", told, d=_path(shape), class_=f"tile-shape step-{step}"),
                svg.text(_short(place.name), x=x, y=y - 3 - lift, text_anchor="middle", class_=ink,
                         font_size=12),
                svg.text(_value(place.value, speech), x=x, y=y + 14 - lift, text_anchor="middle",
                         class_=ink, font_size=14, font_weight=600),
                *(_badge(badge, shape, speech) if badge else []),
            ],
        )  # fmt: skip
        if place.href:
            drawn = svg.element("a", [drawn], href=place.href)
        content.append(drawn)
    content += _legend(low, high, height, speech, speech.text(unit))
    rows: list[list[Cell]] = [[place.name, place.value, place.note or None] for place in places]
    return Chart(
        caption=caption,
        svg=picture(
            name,
            title=speech.text(caption),
            about=speech.text(
                say(
                    "Schematic map of {count} places, from {low} to {high} {unit}.",
                    count=len(places),
                    low=min(values, default=0),
                    high=max(values, default=0),
                    unit=unit,
                )
            ),
            height=height,
            content=content,
            interactive=True,
        ),
        headings=[say("place"), unit or say("value"), say("note")],
        rows=rows,
    )


def _badge(status: Status, shape: Sequence[Corner], speech: Speech) -> list[str]:
    """A state on a plate of its own, so that it reads on every shade; a mark where no word fits."""
    x, y = _middle(shape)
    word = speech.text(status.word)
    wide = _LETTER * len(word) + 22
    if wide > max(x for x, _ in shape) - min(x for x, _ in shape) - 8:
        word, wide = "", 17.0
    left = x - wide / 2
    return [
        svg.titled("rect", speech.text(status.word), x=left, y=y + 12, width=wide, height=17,
                   rx=8.5, class_=f"plate fill-{status.tone}"),
        marks.drawn(left + (10 if word else 8.5), y + 20.5, status.tone),
        *([svg.text(word, x=left + 18, y=y + 24.5, class_="plate-word", font_size=10.5,
                    font_weight=600)] if word else []),
    ]  # fmt: skip


def _outline(place: Tile | Area) -> list[Corner]:
    if isinstance(place, Area):
        return [(x, -y) for x, y in place.outline]  # north is up, and SVG counts downwards
    wide = math.sqrt(3) * _RADIUS
    x = wide * (place.column + 0.5 * (place.row % 2))
    y = 1.5 * _RADIUS * place.row
    return [
        (x + _RADIUS * math.sin(angle), y - _RADIUS * math.cos(angle))
        for angle in (math.pi / 3 * corner for corner in range(6))
    ]


def _fitted(shapes: Sequence[list[Corner]], *, grid: bool) -> list[list[Corner]]:
    """All of it on the paper, in its own proportions, and hexagons no larger than they were."""
    corners = [corner for shape in shapes for corner in shape]
    if not corners:
        return []
    left, right = min(x for x, _ in corners), max(x for x, _ in corners)
    top, bottom = min(y for _, y in corners), max(y for _, y in corners)
    scale = min(
        (WIDTH - 2 * _MARGIN) / ((right - left) or 1.0),
        (_HIGHEST - 2 * _MARGIN) / ((bottom - top) or 1.0),
    )
    if grid:  # outlines are in units of their own
        scale = min(scale, 1.3)
    shift = (WIDTH - (right - left) * scale) / 2
    return [
        [(shift + (x - left) * scale, _MARGIN + (y - top) * scale) for x, y in shape]
        for shape in shapes
    ]


def _legend(low: float, high: float, height: float, speech: Speech, unit: str) -> list[str]:
    wide, y = 72.0, height - 30
    found = [
        svg.element(
            "rect", x=_MARGIN + wide * step, y=y, width=wide, height=10, class_=f"step-{step + 1}"
        )
        for step in range(_STEPS)
    ]
    for edge in range(_STEPS + 1):
        value = low + (high - low) * edge / _STEPS
        anchor = "start" if edge == 0 else "middle"
        found.append(
            svg.text(
                speech.number(round(value, 6)),
                x=_MARGIN + wide * edge,
                y=y + 24,
                text_anchor=anchor,
            )
        )
    found.append(svg.text(unit, x=_MARGIN + wide * _STEPS + 24, y=y + 9))
    return found


def _step(value: float | None, low: float, high: float) -> int:
    """0 for not known, otherwise 1 to 5."""
    if value is None:
        return 0
    return min(int((value - low) / ((high - low) or 1.0) * _STEPS), _STEPS - 1) + 1


def _middle(shape: Sequence[Corner]) -> Corner:
    """The centroid of an outline; of one without an area, the mean of its corners."""
    area = x = y = 0.0
    for (x0, y0), (x1, y1) in zip(shape, [*shape[1:], shape[0]], strict=True):
        cross = x0 * y1 - x1 * y0
        area, x, y = area + cross, x + (x0 + x1) * cross, y + (y0 + y1) * cross
    if abs(area) < 1e-9:
        return math.fsum(x for x, _ in shape) / len(shape), math.fsum(y for _, y in shape) / len(
            shape
        )
    return x / (3 * area), y / (3 * area)


def _path(shape: Sequence[Corner]) -> str:
    return "M" + " L".join(f"{svg.number(x)} {svg.number(y)}" for x, y in shape) + " Z"


def _value(value: float | None, speech: Speech) -> str:
    return "\u2013" if value is None else speech.number(value)


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"
