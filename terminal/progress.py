"""A progress bar on stderr where a person looks; silent where nobody does."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Self

from terminal.words import one_line

COLUMNS = 100  # of a line at most, however wide the terminal is
_WIDEST, _NARROWEST = 28, 6  # the bar's own
_BESIDE = len(" [] 100 %")


class Progress:
    """`with Progress(total, "sealing capsules") as bar: bar.advance()`.

    Draws only on a terminal and only when the drawn text changes, so a million steps cost a
    hundred writes.
    """

    def __init__(self, total: int, label: str) -> None:
        self._total = max(total, 1)
        self._label = label
        self._done = 0
        self._drawn = ""
        self._live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def __enter__(self) -> Self:
        self._draw()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()

    def say(self, label: str) -> None:
        """Another label from now on: what is being done has changed."""
        self._label = label
        self._draw()

    def advance(self, steps: int = 1) -> None:
        """`steps` more are done."""
        self.reach(self._done + steps)

    def reach(self, done: int) -> None:
        """`done` are done in all."""
        self._done = min(done, self._total)
        self._draw()

    def _draw(self) -> None:
        if not self._live:
            return
        text = line(self._label, self._done, self._total, _columns())
        if text != self._drawn:
            self._drawn = text
            sys.stderr.write(f"\r\x1b[2K{text}")
            sys.stderr.flush()


def line(label: str, done: int, total: int, columns: int = COLUMNS) -> str:
    """What is drawn: in `columns` at most, with a shorter bar, then a shorter label."""
    most = max(1, columns - _BESIDE - _NARROWEST)
    label = one_line(label)
    if len(label) > most:
        label = label[: most - 1] + "…"
    width = min(_WIDEST, max(_NARROWEST, columns - _BESIDE - len(label)))
    filled = width * done // total
    return f"{label} [{'█' * filled}{'·' * (width - filled)}] {100 * done // total:3d} %"


def _columns() -> int:
    """Of the terminal that is drawn on: a line that wraps could not be drawn over."""
    try:
        return min(COLUMNS, os.get_terminal_size(sys.stderr.fileno()).columns or COLUMNS)
    except OSError:
        return COLUMNS
