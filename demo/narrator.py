"""What the demo says: few lines on the terminal, everything in the report file.

Every claim goes through `check`; the demo succeeds only if all of them held.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

# The front door is read, not scrolled: whoever adds a line replaces one.
MAXIMUM_LINES = 40


class Narrator:
    """Tells the story and keeps count of what held."""

    def __init__(self, report: Path) -> None:
        self._started = time.monotonic()
        self._report = report.open("w", encoding="utf-8")
        self._lines = 0
        self.failures: list[str] = []

    def say(self, text: str) -> None:
        """One line for the terminal and the report."""
        self._lines += 1
        if self._lines > MAXIMUM_LINES:
            raise RuntimeError(f"the demo says more than {MAXIMUM_LINES} lines")
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
        self.detail(text)

    def detail(self, text: str) -> None:
        """A line for the report only."""
        self._report.write(f"{self.seconds:7.1f} s  {text}\n")
        self._report.flush()

    def check(self, claim: str, *, held: bool, seen: str = "") -> None:
        """A claim and whether it held; said on one line."""
        if not held:
            self.failures.append(claim)
        mark = "ok  " if held else "FAIL"
        self.say(f"  {mark} {claim}" + (f": {seen}" if seen else ""))

    @property
    def seconds(self) -> float:
        """Since the story began."""
        return time.monotonic() - self._started

    def finish(self) -> int:
        """The last line; the exit status."""
        if self.failures:
            self.say(f"demo: FAILED ({len(self.failures)}: {self.failures[0]})")
        else:
            self.say(f"demo: ok ({self.seconds:.0f} s, details in demo-out/report.txt)")
        self._report.close()
        return 1 if self.failures else 0
