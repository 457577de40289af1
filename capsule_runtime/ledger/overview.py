"""A keeper's view of the budgets on one worker: counts in tens, never one capsule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from trust.documents.rules import DataClass

# The remaining budget is shown in quarters of the cap.
QUARTERS = 4
ROUNDED_TO = 10


@dataclass(frozen=True)
class Remaining:
    """One data class: its capsules, and how many have how many quarters of their budget left.

    `quarters[0]` counts those with less than one quarter, the last those with more than three.
    Every count is rounded to tens, so neither one capsule nor the few of a rare kind show.
    """

    data_class: DataClass
    capsules: int
    quarters: tuple[int, ...]


def overview(
    accounts: Iterable[tuple[DataClass, Fraction]], cap: Fraction
) -> tuple[Remaining, ...]:
    """The budgets left, from each capsule's data class and what its owner has spent in zCDP."""
    counts = {data_class: [0] * QUARTERS for data_class in DataClass}
    for data_class, spent in accounts:
        left = max(cap - spent, Fraction(0)) / cap
        counts[data_class][min(int(left * QUARTERS), QUARTERS - 1)] += 1
    return tuple(
        Remaining(data_class, rounded(sum(bins)), tuple(rounded(count) for count in bins))
        for data_class, bins in counts.items()
    )


def rounded(count: int) -> int:
    """`count` to the nearest ten; under five is none."""
    return (count + ROUNDED_TO // 2) // ROUNDED_TO * ROUNDED_TO
