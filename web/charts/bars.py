"""Bars: named quantities, and a histogram whose bars carry the band of their noise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from graph.pictures import svg
from web.cells import Cell
from web.charts import scales
from web.charts.chart import WIDTH, Chart, Words, line, picture
from web.charts.scales import Scale
from web.sentences import say
from web.speech import Speech

_ROW, _BAR, _VALUE, _FOOT = 30.0, 18.0, 70.0, 26.0
_LETTER, _WIDEST = 7.4, 200.0  # units a letter of a name, and all of it
_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 280.0, 60.0, 12.0, 16.0, 42.0
_MOST_LABELS = 12  # under a histogram; more would lie on each other
_LETTERS = 26  # of a bar's name
_BELOW = re.compile(r"<(\d{1,9})")


@dataclass(frozen=True)
class Bar:
    """A quantity with its name, and the band that it lies in with the stated confidence.

    `withheld` stands in place of a number that nobody may know, as in "<20"; its `value` is nought.
    """

    name: Words
    value: float
    low: float | None = None
    high: float | None = None
    withheld: str = ""

    @property
    def most(self) -> float:
        """What a withheld number is smaller than; nought where that is not said."""
        found = _BELOW.fullmatch(self.withheld)
        return float(found[1]) if found else 0.0


def bars(
    name: str, caption: Words, items: Sequence[Bar], speech: Speech, *, unit: Words = ""
) -> Chart:
    """Lying bars, a row each, in the order given."""
    low, high = scales.rounded(_ends(items))
    longest = max((len(speech.text(item.name)) for item in items), default=0)
    left = min(24 + _LETTER * longest, _WIDEST)
    across = Scale(low, high, left, WIDTH - _VALUE)
    height = _ROW * len(items) + _FOOT + 8
    content = [
        part
        for tick in scales.ticks(low, high)
        for part in (
            line(across(tick), 4, across(tick), height - _FOOT, "zero" if tick == 0 else "grid"),
            svg.text(speech.number(tick), x=across(tick), y=height - 8, text_anchor="middle"),
        )
    ]
    for number, item in enumerate(items):
        y = 8 + _ROW * number
        told = f"{speech.text(item.name)}: {_told(item, speech)} {speech.text(unit)}".strip()
        start, end = sorted((across(0), across(item.value)))
        inside = [
            svg.titled("rect", told, x=start, y=y, width=max(end - start, 1), height=_BAR, rx=3,
                       class_="f1"),
            svg.text(_short(speech.text(item.name)), x=left - 10, y=y + 14, text_anchor="end",
                     class_="name"),
            svg.text(speech.number(item.value), x=max(end, across(item.high or 0)) + 8, y=y + 14,
                     class_="strong halo"),
        ]  # fmt: skip
        if item.low is not None and item.high is not None:
            inside.append(_whisker(across(item.low), across(item.high), y + _BAR / 2, lying=True))
        content.append(svg.element("g", inside))
    return _chart(name, caption, items, speech, (height, content), unit=unit)


def histogram(
    name: str,
    caption: Words,
    items: Sequence[Bar],
    speech: Speech,
    *,
    unit: Words = "",
    confidence: float = 0.95,
) -> Chart:
    """Standing bars side by side, each with the band of its noise.

    What is withheld keeps its place, as an outline up to what it is smaller than: left out, its
    neighbours would stand beside each other.
    """
    low, high = scales.rounded(_ends(items))
    up = Scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    wide = (WIDTH - _LEFT - _RIGHT) / max(len(items), 1)
    every = -(-len(items) // _MOST_LABELS)
    content = [
        part
        for tick in scales.ticks(low, high)
        for part in (
            line(_LEFT, up(tick), WIDTH - _RIGHT, up(tick), "zero" if tick == 0 else "grid"),
            svg.text(speech.number(tick), x=_LEFT - 8, y=up(tick) + 4, text_anchor="end"),
        )
    ]
    for number, item in enumerate(items):
        x = _LEFT + wide * number
        top, base = sorted((up(item.most or item.value), up(0)))
        told = f"{speech.text(item.name)}: {_told(item, speech)} {speech.text(unit)}".strip()
        gap = min(wide * 0.12, 6)
        content.append(
            svg.titled("rect", told, x=x + gap, y=top, width=wide - 2 * gap,
                       height=max(base - top, 1), rx=2,
                       class_="withheld" if item.withheld else "f1")
        )  # fmt: skip
        if item.low is not None and item.high is not None:
            content.append(_whisker(up(item.low), up(item.high), x + wide / 2, lying=False))
        if number % every == 0:
            content.append(
                svg.text(_short(speech.text(item.name), 14), x=x + wide / 2, y=_HEIGHT - 24,
                         text_anchor="middle")
            )  # fmt: skip
    if any(item.low is not None for item in items):
        words = say(
            "lines: bands that hold with {share} confidence", share=speech.percent(confidence)
        )
        content.append(svg.text(speech.text(words), x=_LEFT, y=_HEIGHT - 4))
    if any(item.withheld for item in items):
        words = say("outlines: withheld because small")
        content.append(
            svg.text(speech.text(words), x=WIDTH - _RIGHT, y=_HEIGHT - 4, text_anchor="end")
        )
    return _chart(name, caption, items, speech, (_HEIGHT, content), unit=unit)


def _chart(
    name: str,
    caption: Words,
    items: Sequence[Bar],
    speech: Speech,
    drawing: tuple[float, Sequence[str]],
    *,
    unit: Words,
) -> Chart:
    height, content = drawing
    banded = any(item.low is not None for item in items)
    rows: list[list[Cell]] = [
        [item.name, item.withheld or item.value, *([item.low, item.high] if banded else [])]
        for item in items
    ]
    told = [item for item in items if not item.withheld]
    largest = max(told, key=lambda item: item.value, default=None)
    about = (
        speech.text(say("No values yet."))
        if largest is None
        else speech.text(
            say(
                "{count} values; the largest is {name} with {value} {unit}.",
                count=len(items),
                name=largest.name,
                value=largest.value,
                unit=unit,
            )
        )
    )
    return Chart(
        caption=caption,
        svg=picture(name, title=speech.text(caption), about=about, height=height, content=content),
        headings=[
            say("name"),
            unit or say("value"),
            *([say("low"), say("high")] if banded else []),
        ],
        rows=rows,
        unit=unit,
    )


def _whisker(start: float, end: float, across: float, *, lying: bool) -> str:
    half = 4.0
    ends = [(start, across, end, across)]
    ends += [(at, across - half, at, across + half) for at in (start, end)]
    return "".join(
        line(*(one if lying else (one[1], one[0], one[3], one[2])), "whisker") for one in ends
    )


def _ends(items: Sequence[Bar]) -> list[float]:
    return [
        value
        for item in items
        for value in (item.most or item.value, item.low, item.high)
        if value is not None
    ]


def _told(item: Bar, speech: Speech) -> str:
    text = item.withheld or speech.number(item.value)
    if item.low is None or item.high is None:
        return text
    return f"{text} [{speech.number(item.low)} \u2013 {speech.number(item.high)}]"


def _short(text: str, letters: int = _LETTERS) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"
