"""A state's mark inside a shape, so that black and white tell the same as colour."""

from __future__ import annotations

from graph.pictures import svg
from web.cells import Tone

# 8 by 8, from the middle.
_PATHS = {
    Tone.GOOD: "M-3.5 0.3 -1 3 3.7 -3",
    Tone.BUSY: "M-2 -3 3 0 -2 3Z",
    Tone.WAIT: "M0 -3.5V0L2.4 1.6",
    Tone.WARN: "M0 -3.5V1M0 3.2V3.4",
    Tone.BAD: "M-3 -3 3 3M3 -3 -3 3",
    Tone.OFF: "M-3.2 0H3.2",
}


def drawn(x: float, y: float, tone: Tone) -> str:
    """The mark with its middle at a place."""
    place = f"translate({svg.number(x)} {svg.number(y)})"
    return svg.element("path", d=_PATHS[tone], transform=place, class_="mark")
