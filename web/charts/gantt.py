"""Who worked when: one lane per unit or worker, one bar per attempt, retries beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from graph.pictures import svg
from web.cells import Cell, Status
from web.charts import hours
from web.charts.chart import WIDTH, Chart, Words, line, picture
from web.charts.scales import Scale
from web.sentences import say
from web.speech import Speech

_ROW, _BAR, _HEAD, _RIGHT = 28.0, 18.0, 6.0, 22.0
_GROUP = 30.0  # a group's line with its name
_LETTER, _WIDEST = 7.4, 160.0  # units a letter of a lane's name, and all of it
_LETTERS = 20
_SIDE = 14.0  # where a group's name begins


@dataclass(frozen=True)
class Span:
    """An attempt; `end` is None while it lasts."""

    start: datetime
    end: datetime | None
    status: Status
    label: str = ""
    href: str = ""


@dataclass(frozen=True)
class Group:
    """What some lanes beside each other have in common: a round, a day."""

    name: str
    href: str = ""


@dataclass(frozen=True)
class Lane:
    """A line of the chart."""

    name: str
    spans: Sequence[Span]
    href: str = ""
    group: Group | None = None


def gantt(
    name: str, caption: Words, lanes: Sequence[Lane], speech: Speech, *, grouped: Words = ""
) -> Chart:
    """Bars from their start to their end, or to now. A lane's name and a bar may be links.

    `grouped` says what groups are, for the table; where one begins, a line with its name stands.
    """
    spans = [span for lane in lanes for span in lane.spans]
    first = min((span.start for span in spans), default=speech.now - timedelta(hours=1))
    last = max((span.end or speech.now for span in spans), default=speech.now)
    last = max(last, first + timedelta(minutes=1))
    longest = max((len(lane.name) for lane in lanes), default=0)
    left = min(24 + _LETTER * longest, _WIDEST)
    across = Scale(first.timestamp(), last.timestamp(), left, WIDTH - _RIGHT)
    places, ground = _places(lanes)
    lasting = any(span.end is None for span in spans)
    states = {span.status.code: span.status for span in spans}
    key, height = hours.key(list(states.values()), ground + hours.FOOT, speech, now=lasting)
    content = hours.ticks(first, last, across, ground, speech)
    for lane, y, begins in places:
        if begins and lane.group is not None:
            content.append(line(_SIDE, y - _GROUP + 4, WIDTH - _RIGHT, y - _GROUP + 4, "axis"))
            title = svg.text(_short(lane.group.name), x=_SIDE, y=y - 8, class_="strong halo")
            content.append(hours.linked(title, lane.group.href))
        named = svg.text(_short(lane.name), x=left - 10, y=y + 14, text_anchor="end", class_="name")
        content.append(hours.linked(named, lane.href))
        content += [_bar(lane, span, y, across, speech) for span in lane.spans]
    if lasting:
        x = across(speech.now.timestamp())
        content.append(line(x, 0, x, ground, "now"))
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
            *([grouped] if grouped else []),
            say("attempt"),
            say("state"),
            say("begun"),
            say("ended"),
            say("took"),
        ],
        rows=[
            _row(lane, span, speech, grouped=bool(grouped)) for lane in lanes for span in lane.spans
        ],
    )


def _places(lanes: Sequence[Lane]) -> tuple[list[tuple[Lane, float, bool]], float]:
    """Where each lane's bars stand and whether its group begins there, and where all end."""
    found, y, before = [], _HEAD, None
    for lane in lanes:
        begins = lane.group is not None and lane.group != before
        y += _GROUP * begins
        found.append((lane, y, begins))
        y, before = y + _ROW, lane.group
    return found, y


def _bar(lane: Lane, span: Span, y: float, across: Scale, speech: Speech) -> str:
    end = span.end or speech.now
    told = ", ".join(
        part
        for part in (
            lane.group.name if lane.group else "",
            lane.name,
            span.label,
            speech.text(span.status.word),
            f"{speech.moment(span.start)} \u2013 {speech.moment(span.end) if span.end else '…'}",
            speech.duration(end - span.start),
        )
        if part
    )
    return hours.bar(told, (span.start, end), across, y=y, height=_BAR,
                     tone=span.status.tone, href=span.href)  # fmt: skip


def _row(lane: Lane, span: Span, speech: Speech, *, grouped: bool) -> list[Cell]:
    group = lane.group.name if lane.group else None
    return [
        lane.name,
        *([group] if grouped else []),
        span.label or None,
        span.status,
        span.start,
        span.end,
        (span.end or speech.now) - span.start,
    ]


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"
