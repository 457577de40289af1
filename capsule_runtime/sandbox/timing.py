"""Fixed time slots: how long a capsule took must not be readable from when its result appears."""

from __future__ import annotations

import math

from capsule_runtime.errors import JobRefused


def next_slot(elapsed: float, slot: float) -> float:
    """The first multiple of `slot` seconds that is not before `elapsed` seconds; at least one slot.

    A result that is ready after `elapsed` leaves at the returned moment (both counted from the
    start of the run). Raises JobRefused when either is not a finite, usable duration.
    """
    if not (math.isfinite(elapsed) and math.isfinite(slot)) or elapsed < 0 or slot <= 0:
        raise JobRefused(
            f"A time slot of {slot} s cannot hold a run of {elapsed} s.",
            remedy="Give a positive slot and the measured, non-negative run time in seconds.",
        )
    count = max(1, math.ceil(elapsed / slot))
    # Rounding in the division may land one ulp early; a result is never released before it exists.
    return count * slot if count * slot >= elapsed else (count + 1) * slot
