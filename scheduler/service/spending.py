"""What the opened rounds of a campaign have cost one privacy unit, as epsilon at delta = 1e-6.

rho adds up over rounds, epsilon does not: each number here is of all rounds up to one, for a unit
whose capsule was part of every one of them. That a round draws a share of a capsule's persons
lowers nothing: who was not drawn has paid as who was.
"""

from __future__ import annotations

import functools
from fractions import Fraction

from protection import accounting
from protection.errors import ProtectionError


@functools.lru_cache(maxsize=4096)
def epsilon(rho: Fraction) -> float:
    """Of the epsilon and delta that a zCDP of `rho` implies, epsilon; delta is accounting.DELTA."""
    return accounting.epsilon(rho)


def exact(text: str) -> Fraction:
    """The rho of a row; 0 for one from before budgets were voted."""
    try:
        return accounting.decimal(text, "rho")
    except ProtectionError:
        return Fraction(0)


def spent(rho: str, opened: int, rounds: int) -> Fraction:
    """What `opened` of the `rounds` that a campaign's `rho` is split over cost, in zCDP."""
    return exact(rho) * opened / rounds


def epsilon_after(rho: str, opened: int, rounds: int) -> float | None:
    """The same as epsilon, once a round was opened; None where nothing is noised (public data).

    There no epsilon holds, and 0 would be the opposite of the truth.
    """
    cost = spent(rho, opened, rounds)
    return epsilon(cost) if cost else None
