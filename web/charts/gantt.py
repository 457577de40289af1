"""Who worked when: one lane per unit or worker, one bar per attempt, retries beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from graph.pictures import svg
from web.cells import Cell, Status
from web.charts import marks, scales
from web.charts.chart import WIDTH, Chart, Words, line, picture
from web.charts.scales import Scale
from web.sentences import say
from web.speech import Speech

_ROW, _BAR, _HEAD, _FOOT, _RIGHT = 28.0, 18.0, 6.0, 28.0, 22.0
_LETTER, _WIDEST = 7.4, 160.0  # units a letter of a lane's name, and all of it
_NARROWEST = 3.0
_ROOM_FOR_MARK = 16.0
_LETTERS = 20
_KEY, _KEY_SIDE, _KEY_GAP = 26.0, 14.0, 26.0  # a line of the key, where it begins, between two


@dataclass(frozen=True)
class Span:
    """An attempt; `end` is None while it lasts."""

    start: datetime
    end: datetime | None
    status: Status
    label: str = ""
    href: str = ""


@dataclass(frozen=True)
class Lane:
    """A line of the chart."""

    name: str
    spans: Sequence[Span]
    href: str = ""


def gantt(name: str, caption: Words, lanes: Sequence[Lane], speech: Speech) -> Chart:
    """Bars from their start to their end, or to now. A lane's name and a bar may be links."""
    spans = [span for lane in lanes for span in lane.spans]
    first = min((span.start for span in spans), default=speech.now - timedelta(hours=1))
    last = max((span.end or speech.now for span in spans), default=speech.now)
    last = max(last, first + timedelta(minutes=1))
    longest = max((len(lane.name) for lane in lanes), default=0)
    left = min(24 + _LETTER * longest, _WIDEST)
    across = Scale(first.timestamp(), last.timestamp(), left, WIDTH - _RIGHT)
    foot = _HEAD + _ROW * len(lanes) + _FOOT
    key, height = _key(spans, foot, speech)
    content = []
    for tick in scales.moments(first, last, speech):
        x = across(tick.timestamp())
        content.append(line(x, 0, x, foot - _FOOT, "grid"))
        words = scales.label(tick, speech, last - first)
        content.append(svg.text(words, x=x, y=foot - 9, text_anchor="middle"))
    for number, lane in enumerate(lanes):
        y = _HEAD + _ROW * number
        named = svg.text(_short(lane.name), x=left - 10, y=y + 14, text_anchor="end", class_="name")
        content.append(_linked(named, lane.href))
        content += [_bar(lane, span, y, across, speech) for span in lane.spans]
    if any(span.end is None for span in spans):
        x = across(speech.now.timestamp())
        content.append(line(x, 0, x, foot - _FOOT, "now"))
    content += key
    return Chart(
        caption=caption,
        svg=picture(
            name,
            title=speech.text(caption),
            about=speech.text(
                say(
                    "{lanes} lines with {spans} attempts between {first} and {last}.",
                    lanes=len(lanes),
                    spans=len(spans),
                    first=first,
                    last=last,
                )
            ),
            height=height,
            content=content,
            interactive=True,
        ),
        headings=[
            say("line"),
            say("attempt"),
            say("state"),
            say("begun"),
            say("ended"),
            say("took"),
        ],
        rows=[_row(lane, span, speech) for lane in lanes for span in lane.spans],
    )


def _key(spans: Sequence[Span], top: float, speech: Speech) -> tuple[list[str], float]:
    """What the colours and marks stand for, below `top`, and where the picture ends then."""
    drawn: list[str] = []
    x, y = _KEY_SIDE, top + _KEY
    states = {span.status.code: span.status for span in spans}
    for word, status in [
        *((speech.text(one.word), one) for one in states.values()),
        *([(speech.text(say("now")), None)] if any(span.end is None for span in spans) else []),
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


def _bar(lane: Lane, span: Span, y: float, across: Scale, speech: Speech) -> str:
    end = span.end or speech.now
    x = across(span.start.timestamp())
    width = max(across(end.timestamp()) - x, _NARROWEST)
    told = ", ".join(
        part
        for part in (
            lane.name,
            span.label,
            speech.text(span.status.word),
            f"{speech.moment(span.start)} \u2013 {speech.moment(span.end) if span.end else '…'}",
            speech.duration(end - span.start),
        )
        if part
    )
    drawn = svg.titled(
        "rect", told, x=x, y=y, width=width, height=_BAR, rx=3, class_=f"fill-{span.status.tone}"
    )
    if width >= _ROOM_FOR_MARK:
        drawn += marks.drawn(x + 9, y + _BAR / 2, span.status.tone)
    return _linked(drawn, span.href, told)


def _linked(drawn: str, href: str, told: str = "") -> str:
    if not href:
        return drawn
    if told:
        return svg.element("a", [drawn], href=href, aria_label=told)
    return svg.element("a", [drawn], href=href)


def _row(lane: Lane, span: Span, speech: Speech) -> list[Cell]:
    return [
        lane.name,
        span.label or None,
        span.status,
        span.start,
        span.end,
        (span.end or speech.now) - span.start,
    ]


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"
