"""A flow diagram's geometry: columns of bars, and ribbons between them, as high as their sums.

It knows no territory and no colours: `graph.pictures.streams` and the web's charts draw with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graph.pictures import svg

Streams = Mapping[tuple[str, ...], float]  # what flows through one name of every column


@dataclass(frozen=True)
class Stage:
    """One column of bars: where each begins and how much it stands for."""

    x: float
    heading: str
    anchor: str
    sums: Mapping[str, float]
    tops: Mapping[str, float]


@dataclass(frozen=True)
class Ribbon:
    """What flows from a name of one column to a name of the next, as a closed path."""

    first: str
    second: str
    amount: float
    path: str


def sums(streams: Streams, part: int) -> dict[str, float]:
    """How much flows through each name of one column, most first."""
    found: dict[str, float] = defaultdict(float)
    for names, amount in streams.items():
        found[names[part]] += amount
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def between(streams: Streams, first: int, second: int) -> dict[tuple[str, str], float]:
    """How much flows from each name of one column to each name of another."""
    found: dict[tuple[str, str], float] = defaultdict(float)
    for names, amount in streams.items():
        found[names[first], names[second]] += amount
    return found


def stage(
    x: float,
    heading: str,
    anchor: str,
    amounts: Mapping[str, float],
    *,
    scale: float,
    top: float,
    gap: float,
) -> Stage:
    """The bars of one column one below the other, `scale` units high per unit of flow."""
    tops, y = {}, top
    for name, amount in amounts.items():
        tops[name] = y
        y += amount * scale + gap
    return Stage(x, heading, anchor, amounts, tops)


def ribbons(
    left: Stage,
    right: Stage,
    amounts: Mapping[tuple[str, str], float],
    *,
    scale: float,
    bar: float,
) -> Iterator[Ribbon]:
    """One band per pair; at each bar they are stacked in the order of the bars opposite."""
    leaving, arriving = dict(left.tops), dict(right.tops)
    start, end = left.x + bar, right.x
    for first in left.sums:
        for second in right.sums:
            amount = amounts.get((first, second), 0.0)
            if amount <= 0:
                continue
            height = amount * scale
            top, other = leaving[first], arriving[second]
            leaving[first] += height
            arriving[second] += height
            yield Ribbon(first, second, amount, _ribbon((start, top), (end, other), height))


def _ribbon(start: tuple[float, float], end: tuple[float, float], height: float) -> str:
    """A path whose upper and lower edges are the same curve, `height` apart."""
    x0, x1, xm = map(svg.number, (start[0], end[0], (start[0] + end[0]) / 2))
    y0, y1 = svg.number(start[1]), svg.number(end[1])
    y2, y3 = svg.number(end[1] + height), svg.number(start[1] + height)
    upper = f"M{x0} {y0} C{xm} {y0} {xm} {y1} {x1} {y1}"
    return f"{upper} V{y2} C{xm} {y2} {xm} {y3} {x0} {y3} Z"
