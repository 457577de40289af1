"""From numbers and moments to places on the paper, with ticks where people expect them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from web.speech import Speech

_STEPS = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080, 43200, 129600)
)
LARGEST = 1e300  # a sum, a span or a step of what is beyond would be more than a number can be


@dataclass(frozen=True)
class Scale:
    """A straight map of values to places: `low` to `start`, `high` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of `value`; what lies outside is put at the edge."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)


def rounded(values: Iterable[float], *, zero: bool = True) -> tuple[float, float]:
    """Low and high ends that hold every value up to LARGEST, on whole ticks."""
    finite = [value for value in values if abs(value) <= LARGEST]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        high = low + (abs(low) or 1.0)
    step = step_of(low, high)
    # A value so small that its share of a step is nothing would lie outside otherwise.
    return min(math.floor(low / step) * step, low), max(math.ceil(high / step) * step, high)


def counted(values: Iterable[float], steps: int) -> tuple[float, float]:
    """The same for `steps` shades; of whole numbers, so that each shade begins at a whole one."""
    found = [value for value in values if abs(value) <= LARGEST]
    low, high = rounded(found)
    if all(value == int(value) for value in found):
        low = math.floor(low)
        high = low + steps * math.ceil((max(found, default=low + 1) - low) / steps or 1)
    return low, high


def step_of(low: float, high: float, count: int = 5) -> float:
    """One, two or five times a power of ten, about `count` of them between the ends."""
    rough = (high - low) / count or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * one for one in (1.0, 2.0, 5.0, 10.0) if power * one >= rough * 0.999)


def ticks(low: float, high: float, count: int = 5) -> Sequence[float]:
    """Round values from `low` to `high`."""
    step = step_of(low, high, count)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def moments(first: datetime, last: datetime, speech: Speech, count: int = 6) -> Sequence[datetime]:
    """Round moments between the two, in the territory's zone."""
    span = last - first
    step = next((one for one in _STEPS if span / one <= count), _STEPS[-1])
    local = first.astimezone(speech.zone)
    # Counted in local time, so that days begin at midnight there; two clock changes a year move
    # the ticks after them by an hour, which is what the wall clock does too.
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    number = math.ceil((local - midnight) / step)
    found = []
    while (tick := midnight + number * step) <= last:
        found.append(tick.astimezone(UTC))
        number += 1
    return found


def label(moment: datetime, speech: Speech, span: timedelta) -> str:
    """A tick's words: the time within a day or two, the date beyond."""
    local = moment.astimezone(speech.zone)
    if span <= timedelta(days=2):
        return f"{local:%H:%M}"
    return speech.short_day(local.date())
