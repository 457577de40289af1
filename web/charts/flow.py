"""Flows through two or more columns, as ribbons; the geometry is `graph.pictures.stages`'."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from graph.pictures import stages, svg
from graph.pictures.stages import Stage, Streams
from web.cells import Cell
from web.charts import scales
from web.charts.chart import WIDTH, Chart, Words, picture
from web.sentences import say
from web.speech import Speech

_HEIGHT, _HEAD, _FOOT, _SIDE, _BAR, _GAP = 400.0, 34.0, 12.0, 170.0, 12.0, 8.0
_LINE = 15.0  # between two labels
_SHADES = 4
_LETTERS = 24


def flow(
    name: str,
    caption: Words,
    streams: Streams,
    headings: Sequence[Words],
    speech: Speech,
    *,
    names: Mapping[str, str] | None = None,
    unit: Words = "",
) -> Chart:
    """`streams` by one name per column; a ribbon has the shade of its leftmost end.

    `names` says what a name is called; what it lacks is called by its name.
    """
    called = names or {}
    rows: list[list[Cell]] = [
        [*(called.get(one, one) for one in path), amount]
        for path, amount in sorted(streams.items(), key=lambda item: (-item[1], item[0]))
    ]
    streams = {path: min(amount, scales.LARGEST) for path, amount in streams.items()}
    parts = range(len(headings))
    amounts = [stages.sums(streams, part) for part in parts]
    total = math.fsum(streams.values())
    most = max((len(one) for one in amounts), default=1)
    scale = (_HEIGHT - _HEAD - _FOOT - _GAP * (most - 1)) / (total or 1.0)
    columns = [
        stages.stage(
            _SIDE + (WIDTH - 2 * _SIDE - _BAR) * part / max(len(headings) - 1, 1),
            speech.text(headings[part]),
            "end" if part == 0 else "start" if part == len(headings) - 1 else "middle",
            amounts[part],
            scale=scale,
            top=_HEAD,
            gap=_GAP,
        )
        for part in parts
    ]
    shade = {one: index % _SHADES + 1 for index, one in enumerate(amounts[0])}
    content = []
    for part in parts[:-1]:
        pairs = stages.between(streams, part, part + 1)
        for one in stages.ribbons(columns[part], columns[part + 1], pairs, scale=scale, bar=_BAR):
            said = (
                f"{called.get(one.first, one.first)} → {called.get(one.second, one.second)}: "
                f"{speech.number(one.amount)} {speech.text(unit)}"
            )
            kind = f"ribbon f{shade.get(one.first, 1)}"
            content.append(svg.titled("path", said.strip(), d=one.path, class_=kind))
    content += [part for column in columns for part in _bars(column, called, scale, speech)]
    return Chart(
        caption=caption,
        svg=picture(
            name,
            title=speech.text(caption),
            about=speech.text(
                say("{total} {unit} in all, in {count} flows.", total=total, unit=unit,
                    count=len(streams))
            ),
            height=_HEIGHT,
            content=content,
        ),
        headings=[*headings, unit or say("value")],
        rows=rows,
        unit=unit,
    )  # fmt: skip


def _bars(column: Stage, called: Mapping[str, str], scale: float, speech: Speech) -> list[str]:
    # Of a column in the middle the names stand on its ribbons, beside the bars that they are of.
    x = column.x - 8 if column.anchor == "end" else column.x + _BAR + 8
    anchor = "end" if column.anchor == "end" else "start"
    found = [svg.text(column.heading, x=x, y=16, text_anchor=anchor, class_="strong")]
    lowest = 0.0
    for one, amount in column.sums.items():
        height = amount * scale
        lowest = max(column.tops[one] + height / 2 + 4, lowest + _LINE)
        label = f"{_short(called.get(one, one))} ({speech.number(amount)})"
        found += [
            svg.element("rect", x=column.x, y=column.tops[one], width=_BAR,
                        height=max(height, 0.5), class_="bar-end"),
            svg.text(label, x=x, y=lowest, text_anchor=anchor, class_="name halo"),
        ]  # fmt: skip
    return found


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"
