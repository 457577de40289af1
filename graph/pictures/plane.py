"""Places of the earth on flat paper, and curved arrows between them.

It knows no territory and no colours: `graph.pictures.schematic` and the web's charts draw with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from graph.pictures import svg

BEND = 0.16  # of an arrow's length
Point = tuple[float, float]


@dataclass(frozen=True)
class Arrow:
    """A curve and its head, each as a path; the curve is `width` wide."""

    curve: str
    head: str
    width: float


def flattened(earth: Mapping[str, Point], *, room: Point, centre: Point) -> dict[str, Point]:
    """Longitudes and latitudes, in degrees, on paper: `room` wide and high around `centre`.

    An equirectangular view, true at the middle latitude; north is up.
    """
    middle = math.radians(math.fsum(north for _, north in earth.values()) / len(earth))
    flat = {name: (east * math.cos(middle), north) for name, (east, north) in earth.items()}
    left, right = min(x for x, _ in flat.values()), max(x for x, _ in flat.values())
    low, high = min(y for _, y in flat.values()), max(y for _, y in flat.values())
    scale = min(
        room[0] / (right - left) if right > left else math.inf,
        room[1] / (high - low) if high > low else math.inf,
    )
    scale = 1.0 if math.isinf(scale) else scale
    return {
        name: (
            centre[0] + (x - (left + right) / 2) * scale,
            centre[1] - (y - (low + high) / 2) * scale,
        )
        for name, (x, y) in flat.items()
    }


def arrow(start: Point, end: Point, *, width: float, radius: float, bend: float = BEND) -> Arrow:
    """A curve to the right of the straight line, so that there and back lie apart.

    `radius` is of the place where it arrives: the head stops at its edge.
    """
    dx, dy = end[0] - start[0], end[1] - start[1]
    aside = (-dy * bend, dx * bend)
    middle = ((start[0] + end[0]) / 2 + aside[0], (start[1] + end[1]) / 2 + aside[1])
    toward = math.hypot(end[0] - middle[0], end[1] - middle[1]) or 1.0
    ux, uy = (end[0] - middle[0]) / toward, (end[1] - middle[1]) / toward
    width = max(0.8, width)
    head = max(7.0, 1.2 * width)
    tip = (end[0] - ux * (radius + 1), end[1] - uy * (radius + 1))
    neck = (tip[0] - ux * head, tip[1] - uy * head)
    wings = [(neck[0] + side * uy * head / 2, neck[1] - side * ux * head / 2) for side in (-1, 1)]
    return Arrow(
        curve=f"M{_at(start)} Q{_at(middle)} {_at(neck)}",
        head=f"M{_at(tip)} L{_at(wings[0])} L{_at(wings[1])} Z",
        width=width,
    )


def _at(point: Point) -> str:
    return f"{svg.number(point[0])} {svg.number(point[1])}"
