"""What charts over hours and days share: ticks, bars from a moment to another, their key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from graph.pictures import svg
from web.cells import Status, Tone
from web.charts import marks, scales
from web.charts.chart import WIDTH, line
from web.charts.scales import Scale
from web.sentences import say
from web.speech import Speech

FOOT = 28.0  # room for the ticks' words
_NARROWEST = 3.0
_ROOM_FOR_MARK = 16.0
_BAR, _RIGHT = 18.0, 22.0
_LETTER = 7.4
_KEY, _KEY_SIDE, _KEY_GAP = 26.0, 14.0, 26.0  # a line of the key, where it begins, between two


def ticks(
    first: datetime, last: datetime, across: Scale, ground: float, speech: Speech
) -> list[str]:
    """Lines down to `ground` at round moments, their words below."""
    drawn = []
    for tick in scales.moments(first, last, speech):
        x = across(tick.timestamp())
        drawn.append(line(x, 0, x, ground, "grid"))
        words = scales.label(tick, speech, last - first)
        drawn.append(svg.text(words, x=x, y=ground + FOOT - 9, text_anchor="middle"))
    return drawn


def bar(
    told: str,
    when: tuple[datetime, datetime],
    across: Scale,
    *,
    y: float,
    height: float,
    tone: Tone,
    href: str = "",
) -> str:
    """A bar with `told` as its title, its state's mark where there is room, and where it leads."""
    x = across(when[0].timestamp())
    width = max(across(when[1].timestamp()) - x, _NARROWEST)
    drawn = svg.titled(
        "rect", told, x=x, y=y, width=width, height=height, rx=3, class_=f"fill-{tone}"
    )
    if width >= _ROOM_FOR_MARK:
        drawn += marks.drawn(x + 9, y + height / 2, tone)
    return linked(drawn, href, told)


def linked(drawn: str, href: str, told: str = "") -> str:
    """`drawn` as a link, or as it is where it leads nowhere."""
    if not href:
        return drawn
    if told:
        return svg.element("a", [drawn], href=href, aria_label=told)
    return svg.element("a", [drawn], href=href)


def key(
    states: Sequence[Status], top: float, speech: Speech, *, now: bool
) -> tuple[list[str], float]:
    """What the colours and marks stand for, below `top`, and where the picture ends then."""
    drawn: list[str] = []
    x, y = _KEY_SIDE, top + _KEY
    for word, status in [
        *((speech.text(one.word), one) for one in states),
        *([(speech.text(say("now")), None)] if now else []),
    ]:
        wide = _BAR + _KEY_GAP + _LETTER * len(word)
        if x > _KEY_SIDE and x + wide > WIDTH - _RIGHT:
            x, y = _KEY_SIDE, y + _KEY
        if status is None:
            drawn.append(line(x + _BAR / 2, y - 14, x + _BAR / 2, y + 4, "now"))
        else:
            drawn.append(
                svg.element("rect", x=x, y=y - 14, width=_BAR, height=_BAR, rx=3,
                            class_=f"fill-{status.tone}")
            )  # fmt: skip
            drawn.append(marks.drawn(x + 9, y - 14 + _BAR / 2, status.tone))
        drawn.append(svg.text(word, x=x + _BAR + 6, y=y, class_="name"))
        x += wide
    return drawn, y + 10 if drawn else top
