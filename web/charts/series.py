"""Values over time: a sparkline, lines or steps with bands, a training curve over rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from graph.pictures import svg
from web.cells import Cell
from web.charts import scales
from web.charts.chart import WIDTH, Chart, Words, line, picture
from web.charts.scales import Scale
from web.sentences import say
from web.speech import Speech

_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 260.0, 56.0, 96.0, 14.0, 30.0
_SPARK = (160.0, 40.0)
MOST_LINES = 4  # more cannot be told apart


@dataclass(frozen=True)
class Point:
    """A value at a moment or round; `low` and `high` are the ends of its band."""

    at: datetime | int
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def place(self) -> float:
        """Where it lies along the axis."""
        return self.at.timestamp() if isinstance(self.at, datetime) else float(self.at)


@dataclass(frozen=True)
class Line:
    """A named row of points, in the order of time."""

    name: Words
    points: Sequence[Point]


def sparkline(values: Sequence[float], about: str) -> Markup:
    """A line without axes beside a figure; `about` says what it shows."""
    width, height = _SPARK
    low, high = scales.rounded(values)
    across, up = Scale(0, max(len(values) - 1, 1), 2, width - 4), Scale(low, high, height - 3, 3)
    spots = [(across(number), up(value)) for number, value in enumerate(values)]
    drawn = []
    if spots:
        path = _path(spots)
        base = svg.number(up(max(low, 0.0)))
        area = f"{path} V{base} H{svg.number(spots[0][0])} Z"
        drawn = [
            svg.element("path", d=area, class_="area f1"),
            svg.element("path", d=path, class_="line s1"),
            svg.element("path", d=_path(spots[-1:]) + " h0", class_="tip s1"),
        ]
    body = svg.element(
        "svg",
        drawn,
        viewBox=f"0 0 {svg.number(width)} {svg.number(height)}",
        preserveAspectRatio="none",
        class_="chart spark",
        role="img",
        aria_label=about,
    )
    return Markup(body)  # noqa: S704 - escaped by svg.element


def series(
    name: str,
    caption: Words,
    lines: Sequence[Line],
    speech: Speech,
    *,
    unit: Words = "",
    steps: bool = False,
    zero: bool = True,
) -> Chart:
    """Up to four lines over the same moments; `steps` for counts that hold until they change."""
    return _drawn(name, caption, lines, speech, _Manner(unit, say("moment"), steps, zero))


def training(
    name: str, caption: Words, lines: Sequence[Line], speech: Speech, *, unit: Words = ""
) -> Chart:
    """What a model reached in each round; a point's `at` is the round's number."""
    return _drawn(
        name, caption, lines, speech, _Manner(unit, say("round"), steps=False, zero=False)
    )


@dataclass(frozen=True)
class _Manner:
    unit: Words
    along: Words
    steps: bool
    zero: bool


def _drawn(
    name: str, caption: Words, lines: Sequence[Line], speech: Speech, manner: _Manner
) -> Chart:
    if len(lines) > MOST_LINES:
        raise ValueError(f"a chart has at most {MOST_LINES} lines, not {len(lines)}")
    points = [point for one in lines for point in one.points]
    extremes = [
        value
        for point in points
        for value in (point.value, point.low, point.high)
        if value is not None
    ]
    low, high = scales.rounded(extremes, zero=manner.zero)
    places = [point.place for point in points] or [0.0, 1.0]
    across = Scale(min(places), max(places), _LEFT, WIDTH - _RIGHT)
    up = Scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    content = [
        *_levels(low, high, up, speech),
        *_along(points, across, speech),
        *(_band(one, number, across, up) for number, one in enumerate(lines, 1)),
        *(
            _line(one, number, across, up, steps=manner.steps)
            for number, one in enumerate(lines, 1)
        ),
        *_names(lines, up, speech),
    ]
    if points and not isinstance(points[0].at, datetime):
        content.append(svg.text(speech.text(manner.along), x=WIDTH - _RIGHT + 10, y=_HEIGHT - 10))
    if manner.unit:
        content.append(svg.text(speech.text(manner.unit), x=_LEFT, y=10, class_="unit"))
    return Chart(
        caption=caption,
        svg=picture(
            name,
            title=speech.text(caption),
            about=_about(lines, speech),
            height=_HEIGHT,
            content=content,
        ),
        headings=[manner.along, *(one.name for one in lines), *_band_headings(lines)],
        rows=_rows(lines),
    )


def _levels(low: float, high: float, up: Scale, speech: Speech) -> list[str]:
    found = []
    for tick in scales.ticks(low, high):
        y = up(tick)
        found.append(line(_LEFT, y, WIDTH - _RIGHT, y, "zero" if tick == 0 else "grid"))
        found.append(svg.text(speech.number(tick), x=_LEFT - 8, y=y + 4, text_anchor="end"))
    return found


def _along(points: Sequence[Point], across: Scale, speech: Speech) -> list[str]:
    moments = [point.at for point in points if isinstance(point.at, datetime)]
    y = _HEIGHT - 10
    if moments:
        first, last = min(moments), max(moments)
        return [
            svg.text(
                scales.label(tick, speech, last - first),
                x=across(tick.timestamp()),
                y=y,
                text_anchor="middle",
            )
            for tick in scales.moments(first, last, speech)
        ]
    rounds = sorted({int(point.place) for point in points})
    if not rounds:
        return []
    shown = [tick for tick in scales.ticks(rounds[0], rounds[-1] or 1, 8) if tick == int(tick)]
    return [
        svg.text(speech.number(int(tick)), x=across(tick), y=y, text_anchor="middle")
        for tick in shown
    ]


def _line(one: Line, number: int, across: Scale, up: Scale, *, steps: bool) -> str:
    spots = [
        (across(point.place), up(point.value)) for point in one.points if math.isfinite(point.value)
    ]
    if not spots:
        return ""
    path = svg.element("path", d=_path(spots, steps=steps), class_=f"line s{number}")
    x, y = spots[-1]
    return path + svg.element("circle", cx=x, cy=y, r=3.5, class_=f"dot f{number}")


def _band(one: Line, number: int, across: Scale, up: Scale) -> str:
    banded = [point for point in one.points if point.low is not None and point.high is not None]
    if len(banded) < 2:
        return ""
    upper = [(across(point.place), up(point.high or 0.0)) for point in banded]
    lower = [(across(point.place), up(point.low or 0.0)) for point in reversed(banded)]
    return svg.element("path", d=_path([*upper, *lower]) + " Z", class_=f"band f{number}")


def _names(lines: Sequence[Line], up: Scale, speech: Speech) -> list[str]:
    """Names at the ends of their lines, moved apart where they would lie on each other."""
    ends = sorted(
        (up(one.points[-1].value), number, one)
        for number, one in enumerate(lines, 1)
        if one.points and math.isfinite(one.points[-1].value)
    )
    found, lowest = [], 0.0
    for y, number, one in ends:
        lowest = max(y + 4, lowest + 15)
        x = WIDTH - _RIGHT + 10
        found.append(line(x, lowest - 4, x + 14, lowest - 4, f"line s{number}"))
        found.append(svg.text(speech.text(one.name), x=x + 18, y=lowest, class_="name"))
    return found


def _path(spots: Sequence[tuple[float, float]], *, steps: bool = False) -> str:
    parts = [f"M{svg.number(spots[0][0])} {svg.number(spots[0][1])}"]
    for x, y in spots[1:]:
        parts.append(
            f"H{svg.number(x)} V{svg.number(y)}" if steps else f"L{svg.number(x)} {svg.number(y)}"
        )
    return " ".join(parts)


def _about(lines: Sequence[Line], speech: Speech) -> str:
    """First, last, least and most of each line, in words."""
    told = []
    for one in lines:
        values = [point.value for point in one.points if math.isfinite(point.value)]
        if values:
            told.append(
                speech.text(
                    say(
                        "{name}: from {first} to {last}, between {least} and {most}.",
                        name=one.name,
                        first=values[0],
                        last=values[-1],
                        least=min(values),
                        most=max(values),
                    )
                )
            )
    return " ".join(told) or speech.text(say("No values yet."))


def _rows(lines: Sequence[Line]) -> list[list[Cell]]:
    by_place: dict[float, list[Cell]] = {}
    for number, one in enumerate(lines):
        for point in one.points:
            row = by_place.setdefault(
                point.place, [point.at, *([None] * (len(lines) + 2 * _banded(lines)))]
            )
            row[1 + number] = point.value
            if _banded(lines):
                row[-2:] = [point.low, point.high]
    return [by_place[place] for place in sorted(by_place)]


def _banded(lines: Sequence[Line]) -> bool:
    """Whether the one line has bands: of several, the picture alone shows them."""
    return len(lines) == 1 and any(point.low is not None for point in lines[0].points)


def _band_headings(lines: Sequence[Line]) -> list[Words]:
    return [say("low"), say("high")] if _banded(lines) else []
