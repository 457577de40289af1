"""Several openings of one aggregate by different sets: detect a trustee that lied, and name it.

A trustee can add any offset to its partials and nothing in one opening shows it. Here at most
one trustee lies, in any of its partials and differently in each. If no trustee sits in every
set, the sets without the liar hold the truth, and every other set must agree with them:

    t + 1 trustees, all sets of t:  a lie is detected, and could have been anybody's
    t + 2 trustees, all sets of t:  the truth is found, and a liar in all its sets is named

Every set costs one decryption of each of its trustees: 4 sets for 4 trustees of 3-of-n, 10 for
5. Two liars who agree can pass for the truth. Openings differ by their floodings, so an offset
below the tolerance stays unseen (0.00085 for SEUIL's 3-of-5 and ten sets).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protection.threshold.ceremony import Epoch, known
from protection.threshold.errors import ThresholdError, TrusteesDisagree

# In deviations of one opening's slot. Two honest openings differ with sqrt(2) of them, so this is
# 11 deviations of their difference: no accident in any number of slots, sets and epochs.
_SPREAD = 16


@dataclass(frozen=True, eq=False)
class Verdict:
    """The values that hold if at most one trustee lied, and who may have; nobody if all agree.

    One suspect is the liar. Several: the lies lay only in sets that all of them share.
    """

    values: NDArray[np.float64] = field(repr=False)
    suspects: frozenset[int]


def tolerance(epoch: Epoch) -> float:
    """How far honest openings of one aggregate may lie apart in a slot, in the message's unit."""
    return _SPREAD * epoch.profile.slot_deviation(epoch.threshold)


def check_subsets(epoch: Epoch, openings: Mapping[tuple[int, ...], NDArray[np.float64]]) -> Verdict:
    """What openings {set: decoded slots} of one aggregate say together.

    The values are the mean of the openings that are believed. Raises ThresholdError when some
    trustee sits in every set (its lie would be invisible), TrusteesDisagree when a lie is
    detected but no one trustee explains the openings, or several do with different values.
    """
    _covering(epoch, openings)
    if _agree(epoch, openings.values()):
        return Verdict(np.mean(list(openings.values()), axis=0), frozenset())
    without = {
        trustee: [slots for subset, slots in openings.items() if trustee not in subset]
        for trustee in sorted({trustee for subset in openings for trustee in subset})
    }
    suspects = {t: slots for t, slots in without.items() if _agree(epoch, slots)}
    means = [np.mean(slots, axis=0) for slots in suspects.values()]
    if not suspects:
        raise TrusteesDisagree(
            "the openings disagree in a way that no single trustee explains",
            remedy="publish nothing; ask other trustees, and look into every partial in the log",
        )
    if not _agree(epoch, means):
        raise TrusteesDisagree(
            f"the openings disagree, and any of trustees {sorted(suspects)} may have lied",
            remedy=f"ask {epoch.threshold + 2} trustees, in all sets of {epoch.threshold}",
        )
    return Verdict(means[0], frozenset(suspects))


def _covering(epoch: Epoch, openings: Mapping[tuple[int, ...], NDArray[np.float64]]) -> None:
    common = set(epoch.trustees)
    for subset, slots in openings.items():
        known(epoch, subset)
        if len(set(subset)) != epoch.threshold or len(subset) != epoch.threshold:
            raise ThresholdError(
                f"{list(subset)} is no set of {epoch.threshold} trustees",
                remedy="give each opening under the set that was announced for it",
            )
        if slots.shape != (epoch.profile.slots,):
            raise ThresholdError(
                f"an opening of shape {slots.shape} has not {epoch.profile.slots} slots",
                remedy="give what `decode` returned",
            )
        common &= set(subset)
    if common:
        raise ThresholdError(
            f"trustees {sorted(common)} sit in every set, so that their lie would not show",
            remedy=f"open with {epoch.threshold + 1} or more trustees, in all sets of t",
        )


def _agree(epoch: Epoch, openings: Iterable[NDArray[np.float64]]) -> bool:
    stacked = np.stack(list(openings))
    return bool((np.ptp(stacked, axis=0) <= tolerance(epoch)).all())
