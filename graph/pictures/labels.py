"""Where the names of places stand on a map: beside their marks, and not upon each other.

The greedy method of Christensen, Marks and Shieber (ACM Transactions on Graphics 14, 1995): a few
positions around each point in the order that readers prefer, the first that is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Of bold 14 px: an estimate, since no fonts are measured here; too wide is better than too narrow.
_LETTER, _LINE, _GAP = 8.2, 15.0, 5.0


@dataclass(frozen=True)
class Label:
    """A name's baseline and how it is anchored there."""

    x: float
    y: float
    anchor: str  # "middle" | "start" | "end"


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def over(self, other: _Box) -> float:
        """The area that both cover."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide * high if wide > 0 and high > 0 else 0.0


def place(marks: Mapping[str, tuple[float, float, float, str]]) -> dict[str, Label]:
    """A label per mark, which is (x, y, radius, name); the largest marks choose first.

    Where nothing is free, the position that hides least is taken.
    """
    taken = {
        key: _Box(x - radius, y - radius, x + radius, y + radius)
        for key, (x, y, radius, _) in marks.items()
    }
    written: list[_Box] = []
    found: dict[str, Label] = {}
    for key in sorted(marks, key=lambda key: (-marks[key][2], key)):
        others = [box for other, box in taken.items() if other != key] + written
        hidden: dict[Label, float] = {}
        for label, box in _around(*marks[key]):
            hidden[label] = sum(box.over(other) for other in others)
            if hidden[label] == 0.0:
                break
        found[key] = min(hidden, key=lambda label: hidden[label])
        written.append(next(box for label, box in _around(*marks[key]) if label == found[key]))
    return found


def _around(x: float, y: float, radius: float, name: str) -> list[tuple[Label, _Box]]:
    """Above, below, right and left of a mark, then the four corners."""
    width, aside = _LETTER * len(name), radius + _GAP
    corner = 0.7 * radius + _GAP
    anchors = [
        (x, y - aside, "middle"),
        (x, y + aside + _LINE * 0.8, "middle"),
        (x + aside, y + _LINE * 0.3, "start"),
        (x - aside, y + _LINE * 0.3, "end"),
        (x + corner, y - corner, "start"),
        (x - corner, y - corner, "end"),
        (x + corner, y + corner + _LINE * 0.6, "start"),
        (x - corner, y + corner + _LINE * 0.6, "end"),
    ]
    share = {"middle": 0.5, "start": 0.0, "end": 1.0}
    return [
        (
            Label(at, base, anchor),
            _Box(
                at - share[anchor] * width,
                base - _LINE * 0.8,
                at + (1 - share[anchor]) * width,
                base + _LINE * 0.2,
            ),
        )
        for at, base, anchor in anchors
    ]
