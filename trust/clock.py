"""Time, injected. Nothing else in the project asks the machine what time it is."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_MOMENT = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z")


class Clock(Protocol):
    """Wall time for documents, boot time for durations (it never jumps and counts sleep)."""

    def now(self) -> datetime:
        """Aware UTC wall time."""
        ...

    def boottime(self) -> float:
        """Seconds on a clock that only moves forward, suspend included."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)


class ManualClock:
    """A clock that stands still until it is told to move: for tests and simulations."""

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._boot = 0.0

    def now(self) -> datetime:
        return self._now

    def boottime(self) -> float:
        return self._boot

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both clocks."""
        self._now += timedelta(seconds=seconds)
        self._boot += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock by `seconds` (may be negative), as an operator or NTP would."""
        self._now += timedelta(seconds=seconds)


def to_text(moment: datetime) -> str:
    """RFC 3339 in UTC to the second, the only written form of a moment."""
    # isoformat, since strftime leaves out the leading zeros of early years.
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def from_text(text: str) -> datetime:
    """The moment that `to_text` wrote. Raises ValueError on any other spelling."""
    # The standard readers also take unpadded fields, small letters or other scripts' digits.
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError("a moment is written like 2026-11-22T12:00:00Z")
    year, month, day, hour, minute, second = map(int, found.groups())
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
