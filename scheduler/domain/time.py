"""One time for every decision: it never runs backwards and does not believe a sudden leap.

Leases and deadlines are decided on this clock. It follows the wall clock; when the wall clock
goes back it goes on with the boot clock, and when the wall clock leaps ahead of the boot clock
by more than `LEAP` it holds out for `PATIENCE` before it follows, so that one wrong answer of a
time server expires nothing. The highest moment given out is persisted by the store and handed
back at the next start.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from trust.clock import Clock

LEAP = timedelta(minutes=10)
PATIENCE = timedelta(minutes=10)


class SteadyClock:
    """A `Clock` over `source` that starts no earlier than `mark`."""

    def __init__(self, source: Clock, mark: datetime | None = None) -> None:
        self._source = source
        wall = source.now()
        self._last = wall if mark is None else max(wall, mark)
        self._boot = source.boottime()
        self._leap_since: float | None = None
        self._lock = threading.Lock()  # read by the store's writer and by every call

    @property
    def leaping(self) -> bool:
        """Whether the wall clock is ahead of what is believed: a reason to look at it."""
        return self._leap_since is not None

    def boottime(self) -> float:
        return self._source.boottime()

    def now(self) -> datetime:
        with self._lock:
            return self._advance()

    def _advance(self) -> datetime:
        boot, wall = self._source.boottime(), self._source.now()
        expected = self._last + timedelta(seconds=max(0.0, boot - self._boot))
        if wall <= expected + LEAP:
            self._leap_since = None
            # Behind: time goes on with the boot clock only while that keeps it from standing
            # still for long; a small difference is slewed away by waiting for the wall clock.
            moment = wall if wall >= self._last else self._behind(wall, expected)
        elif self._leap_since is None:
            self._leap_since, moment = boot, expected
        elif boot - self._leap_since >= PATIENCE.total_seconds():
            self._leap_since, moment = None, wall
        else:
            moment = expected
        self._last, self._boot = max(self._last, moment), boot
        return self._last

    def _behind(self, wall: datetime, expected: datetime) -> datetime:
        return self._last if self._last - wall <= timedelta(seconds=60) else expected
