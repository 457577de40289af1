"""What every chart is: a picture with a name and a description, and the same as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from graph.pictures import svg
from web.cells import Cell
from web.sentences import Sentence

WIDTH = 900.0  # units of drawing; styles keep a unit near a pixel
Words = Sentence | str


@dataclass(frozen=True)
class Chart:
    """A picture for `ui.chart`. The first of `headings` is the column that names each row.

    `unit` is that of all its numbers, where the picture itself does not write it.
    """

    caption: Words
    svg: Markup
    headings: Sequence[Words]
    rows: Sequence[Sequence[Cell]]
    unit: Words = ""


def picture(
    name: str,
    *,
    title: str,
    about: str,
    height: float,
    content: Iterable[str],
    width: float = WIDTH,
    interactive: bool = False,
) -> Markup:
    """An inline SVG. `name` makes its ids unique on the page; `interactive` ones hold links.

    Parts of an image are not read out one by one; of a group they are.
    """
    head = [
        svg.element("title", [svg.plain(title)], id=f"{name}-title"),
        svg.element("desc", [svg.plain(about)], id=f"{name}-about"),
    ]
    body = svg.element(
        "svg",
        [*head, *content],
        viewBox=f"0 0 {svg.number(width)} {svg.number(height)}",
        class_="chart",
        role="group" if interactive else "img",
        aria_labelledby=f"{name}-title",
        aria_describedby=f"{name}-about",
    )
    return Markup(body)  # noqa: S704 - svg.element escapes whatever it is given


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line of a class."""
    return svg.element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)
