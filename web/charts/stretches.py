"""What follows each other over hours or days, a line with one bar each; lines may be many."""

from __future__ import annotations

import math
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

_HEAD, _RIGHT = 6.0, 22.0
_FEW = 40  # lines that have room; of more, each is as low as a mark
_ROW, _BAR = 28.0, 18.0
_LOW_ROW, _LOW_BAR = 10.0, 9.0
_TEXT = 20.0  # a name's height with the room around it
_LETTER, _WIDEST, _LETTERS = 7.4, 160.0, 20


@dataclass(frozen=True)
class Stretch:
    """One line; `end` is None while it lasts, `notes` are told behind its state and times."""

    name: str
    start: datetime
    end: datetime | None
    status: Status
    notes: Sequence[Words] = ()
    href: str = ""
    cells: Sequence[Cell] = ()  # further ones of its row


def stretches(
    name: str,
    caption: Words,
    lines: Sequence[Stretch],
    named: Words,
    speech: Speech,
    *,
    further: Sequence[Words] = (),
) -> Chart:
    """`lines` from above to below. `named` heads their names, `further` their further cells."""
    first = min((one.start for one in lines), default=speech.now - timedelta(hours=1))
    last = max((one.end or speech.now for one in lines), default=speech.now)
    last = max(last, first + timedelta(minutes=1))
    row, bar = (_ROW, _BAR) if len(lines) <= _FEW else (_LOW_ROW, _LOW_BAR)
    every = math.ceil(_TEXT / row)
    longest = max((len(one.name) for one in lines), default=0)
    left = min(24 + _LETTER * longest, _WIDEST)
    across = Scale(first.timestamp(), last.timestamp(), left, WIDTH - _RIGHT)
    ground = _HEAD + row * len(lines)
    lasting = any(one.end is None for one in lines)
    states = {one.status.code: one.status for one in lines}
    key, height = hours.key(list(states.values()), ground + hours.FOOT, speech, now=lasting)
    content = hours.ticks(first, last, across, ground, speech)
    for number, one in enumerate(lines):
        y = _HEAD + row * number
        if number % every == 0:
            words = svg.text(
                _short(one.name), x=left - 10, y=y + bar / 2 + 5, text_anchor="end", class_="name"
            )
            content.append(hours.linked(words, one.href))
        end = one.end or speech.now
        told = _told(one, speech)
        content.append(
            hours.bar(told, (one.start, end), across, y=y, height=bar, tone=one.status.tone,
                      href=one.href)
        )  # fmt: skip
    if lasting:
        x = across(speech.now.timestamp())
        content.append(line(x, 0, x, ground, "now"))
    about = say("{lines} lines between {first} and {last}.",
                lines=len(lines), first=first, last=last)  # fmt: skip
    return Chart(
        caption=caption,
        svg=picture(
            name,
            title=speech.text(caption),
            about=speech.text(about),
            height=height,
            content=[*content, *key],
            interactive=True,
        ),
        headings=[named, say("state"), say("begun"), say("ended"), say("took"), *further],
        rows=[
            [one.name, one.status, one.start, one.end, (one.end or speech.now) - one.start,
             *one.cells]
            for one in lines
        ],
    )  # fmt: skip


def _told(one: Stretch, speech: Speech) -> str:
    end = speech.moment(one.end) if one.end else "…"
    return ", ".join(
        [
            one.name,
            speech.text(one.status.word),
            f"{speech.moment(one.start)} \u2013 {end}",
            speech.duration((one.end or speech.now) - one.start),
            *map(speech.text, one.notes),
        ]
    )


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"
