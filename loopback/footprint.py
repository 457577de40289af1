"""CPU time of process trees, looked at again and again: what has ended stays counted.

The kernel adds a child's time to its parent's once the parent waits for it. A sandbox that goes
cold is killed whole and nobody waits for what was inside, so only who looked before knows.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """One process at one look; times in seconds."""

    parent: int
    started: int  # tells a number that was given again apart
    own: float
    waited: float  # of the children that it has waited for

    @property
    def total(self) -> float:
        """What this process answers for."""
        return self.own + self.waited


class Tally:
    """The time of all processes that were ever seen, each counted once.

    Missed is what a process used after the last look at it, where no parent waited for it.
    """

    def __init__(self) -> None:
        self._known: Mapping[int, Usage] = {}
        self._lost = 0.0

    def look(self, now: Mapping[int, Usage]) -> None:
        """Take the processes that run now, by their numbers."""
        gone = {
            number: usage
            for number, usage in self._known.items()
            if number not in now or now[number].started != usage.started
        }
        vanished: dict[int, float] = defaultdict(float)  # by who is left to have waited for it
        for number, usage in gone.items():
            vanished[self._heir(number, gone)] += usage.total
        for heir, seconds in vanished.items():
            passed_on = now[heir].waited - self._known[heir].waited if heir in now else 0.0
            self._lost += max(0.0, seconds - passed_on)
        self._known = dict(now)

    @property
    def seconds(self) -> float:
        """CPU seconds up to the last look."""
        return self._lost + sum(usage.total for usage in self._known.values())

    def _heir(self, number: int, gone: Mapping[int, Usage]) -> int:
        """The nearest ancestor that did not vanish; 0 where there was none."""
        while number in gone:
            number = gone[number].parent
        return number if number in self._known else 0


def trees(roots: Iterable[int]) -> dict[int, Usage]:
    """The processes `roots` and all their descendants, as they are now."""
    ticks = os.sysconf("SC_CLK_TCK")
    every: dict[int, Usage] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        own, waited = (sum(map(int, fields[at : at + 2])) / ticks for at in (11, 13))
        every[int(stat.parent.name)] = Usage(int(fields[1]), int(fields[19]), own, waited)
    mine = set(roots) & every.keys()
    while grown := {number for number, usage in every.items() if usage.parent in mine} - mine:
        mine |= grown
    return {number: every[number] for number in mine}
