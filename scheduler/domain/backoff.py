"""How long to wait before the next attempt, and how many a worker may have in a day.

Back-off: min(maximum, minimum * 2^n) * U(0.5, 1), BOINC's form. Quota: halved after an error or
an invalid result, one more after a validated one, never under one probe a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from trust.entropy import Entropy

MAXIMUM_DOUBLINGS = 32  # beyond it the maximum has long been reached


@dataclass(frozen=True)
class BackOff:
    """The two ends of the waiting time."""

    minimum: timedelta = timedelta(seconds=10)
    maximum: timedelta = timedelta(minutes=10)

    def delay(self, failures: int, jitter: float) -> timedelta:
        """The wait after `failures` (>= 1) failed attempts; `jitter` in [0, 1)."""
        doublings = min(max(failures - 1, 0), MAXIMUM_DOUBLINGS)
        full = min(self.maximum, self.minimum * int(2**doublings))
        return full * (0.5 + 0.5 * jitter)


def draw_jitter(entropy: Entropy) -> float:
    """A number in [0, 1) from injected entropy."""
    return int.from_bytes(entropy(6), "big") / 2**48


@dataclass(frozen=True)
class Quota:
    """How many attempts a worker may start today."""

    daily: int
    used: int
    day: int  # days since 1970-01-01

    START = 64
    CEILING = 4096

    @classmethod
    def fresh(cls, day: int) -> Quota:
        """What a new worker gets."""
        return cls(cls.START, 0, day)

    def on(self, day: int) -> Quota:
        """The quota as of `day`; a day never comes back."""
        return Quota(self.daily, 0, day) if day > self.day else self

    @property
    def left(self) -> int:
        """Attempts that may still start today."""
        return max(0, self.daily - self.used)

    def spend(self) -> Quota:
        """One attempt was leased."""
        return Quota(self.daily, self.used + 1, self.day)

    def give_back(self) -> Quota:
        """One attempt that was leased could not begin."""
        return Quota(self.daily, max(0, self.used - 1), self.day)

    def reward(self) -> Quota:
        """One result was accepted."""
        return Quota(min(self.CEILING, self.daily + 1), self.used, self.day)

    def halve(self) -> Quota:
        """An attempt failed, expired or was rejected."""
        return Quota(max(1, self.daily // 2), self.used, self.day)
