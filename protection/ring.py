"""The ring in which one release's shares live: whole numbers of steps modulo 2^32 or 2^64.

Additive shares are uniform in the ring, so a sum of shares wraps at every step of the way; only
the sum of all of them is small again. It is read back without error as long as the true sum
(every contribution, and the noise of both aggregators) stays within half the ring.
"""

from __future__ import annotations

import enum
import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protection import discrete
from protection.accounting import bound_in_steps, check_ring, noise_of, step_of
from protection.errors import RingMismatch, RingOverflow, RuleRefused
from protection.quantise import MAXIMUM_STEPS
from trust.documents.rules import Protection, ReleaseRules

# Leader and helper each add the whole noise, so that either alone suffices (DESIGN 10).
AGGREGATORS = 2
# A draw beyond its tail would wrap: as in accounting.check_ring, one in 2^100.
TAIL = 2.0**-100

Elements = NDArray[np.unsignedinteger[Any]]


class Ring(enum.Enum):
    """Z modulo 2^k; the value is k."""

    NARROW = 32
    WIDE = 64

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """How an element is written: little-endian, 4 or 8 bytes."""
        return _ELEMENTS[self]

    @property
    def width(self) -> int:
        """Bytes of one element."""
        return self.value // 8

    @property
    def half(self) -> int:
        """2^(k-1): signed numbers from -half to half - 1 go in and come back exactly."""
        return 1 << (self.value - 1)

    def enclose(self, steps: NDArray[np.int64]) -> Elements:
        """Signed steps as elements of this ring (two's complement). Same shape.

        Raises RingOverflow for a number that would not come back.
        """
        if self is Ring.WIDE:
            return steps.astype("<i8", copy=False).view(self.dtype)
        if steps.size and not (steps.min() >= -self.half and steps.max() < self.half):
            raise RingOverflow(
                "a sum of steps does not fit the 32-bit ring of its release rule",
                remedy="clip each contribution as the rule says before it is added",
            )
        return steps.astype(self.dtype)

    def lift(self, elements: Elements) -> NDArray[np.int64]:
        """Elements of this ring as signed steps between -half and half - 1. Same shape."""
        if elements.dtype != self.dtype:
            raise RingMismatch(f"{elements.dtype} is not an element of a {self.value}-bit ring")
        signed: NDArray[np.signedinteger[Any]] = elements.view(_SIGNED[self])
        return signed.astype(np.int64)


_ELEMENTS: dict[Ring, np.dtype[np.unsignedinteger[Any]]] = {
    Ring.NARROW: np.dtype("<u4"),
    Ring.WIDE: np.dtype("<u8"),
}
_SIGNED: dict[Ring, np.dtype[np.signedinteger[Any]]] = {
    Ring.NARROW: np.dtype("<i4"),
    Ring.WIDE: np.dtype("<i8"),
}


def reach_of(rules: ReleaseRules, rounds: int = 1, contributors: int | None = None) -> int:
    """The largest magnitude (steps) of a cell that `contributors` and both noises can make.

    Without `contributors`: the largest cohort of the rule. Every norm bounds each cell by the
    clip bound. A noise beyond it comes once in 2^100 draws. Raises RuleRefused.
    """
    if rules.protection is not Protection.SHARED:
        raise RuleRefused(
            f"{rules.output}: only shared releases live in a ring, not {rules.protection}",
            remedy='write protection = "shared" for every output of the bundle',
        )
    if rounds < 1 or rules.maximum_contributors < 1:
        raise RuleRefused(
            f"{rules.output}: {rounds} rounds of at most {rules.maximum_contributors} "
            "contributors release nothing",
            remedy="write at least one round and one contributor",
        )
    bound, noise = math.floor(bound_in_steps(rules)), noise_of(rules, rounds)
    if not 0 <= bound < MAXIMUM_STEPS or noise.parameter > discrete.MAXIMUM_PARAMETER:
        raise RuleRefused(
            f"{rules.output}: a bound of {bound} steps, or its noise, cannot be exact",
            remedy="write a bound above 0, or a coarser step",
        )
    count = rules.maximum_contributors if contributors is None else contributors
    return count * bound + AGGREGATORS * noise.tail(TAIL)


def ring_of(rules: ReleaseRules, rounds: int = 1) -> Ring:
    """The smallest ring that holds the largest cohort of `rules` and the noise of both sides.

    A function of the voted rules and the campaign's number of rounds alone: worker, leader,
    helper and auditor come to the same ring. Raises RuleRefused, or RingOverflow where even 64
    bits do not suffice.
    """
    reach = reach_of(rules, rounds)
    # Whole numbers go back to their own unit before they are released.
    unit = step_of(rules) if rules.dtype == "int64" else Fraction(1)
    if reach * max(unit, Fraction(1)) >= Ring.WIDE.half:
        raise RingOverflow(
            f"{rules.output}: {rules.maximum_contributors} contributors and the noise of both "
            "aggregators do not fit a 64-bit sum",
            remedy="lower maximum_contributors, or write a coarser step",
        )
    return Ring.NARROW if reach < Ring.NARROW.half else Ring.WIDE


def require_room(rules: ReleaseRules, rounds: int = 1) -> None:
    """Raise unless sums under `rules` fit 64 bits with the noise that their protection adds.

    Raises RuleRefused or RingOverflow. Under `shared` two aggregators draw noise. Otherwise every
    worker's is counted, which asks for more than `encrypted` needs (one draw in all).
    """
    if rules.protection is Protection.SHARED:
        ring_of(rules, rounds)
    else:
        check_ring(rules, rounds)
