"""A progress bar on stderr where a person looks; silent where nobody does."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Self

_WIDTH = 28


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
        filled = _WIDTH * self._done // self._total
        percent = 100 * self._done // self._total
        text = f"{self._label} [{'█' * filled}{'·' * (_WIDTH - filled)}] {percent:3d} %"
        if text != self._drawn:
            self._drawn = text
            sys.stderr.write(f"\r\x1b[2K{text}")
            sys.stderr.flush()
