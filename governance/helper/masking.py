"""The helper's half of an `encrypted` batch: the sum of the masks, exact.

No noise is added here. The keyholder can only tell a forged sum from an honest one because an
honest one decrypts to whole steps with zeros beside them; noise of the helper's would have to be
encoded into the masks, is only as good as one more full draw, and would widen every band. The
price: the keyholder's process alone, for the moment of an opening, holds the exact sum over the
committed batch. Nobody else ever does, and it has the noise of its own to add before it answers.
"""

from __future__ import annotations

from collections.abc import Iterable

from protection.ckks import masks
from protection.ckks.blobs import write_masks
from protection.ckks.profile import Profile
from protection.errors import BatchRefused, SeedRepeated
from protection.seeds import Seed


def sum_masks(profile: Profile, seeds: Iterable[Seed]) -> bytes:
    """The blob that the helper's AggregateShare names for an `encrypted` batch.

    Memory for one mask, however many seeds. Raises SeedRepeated, BatchTooLarge,
    BatchRefused (no seed at all).
    """
    total, seen = masks.mask_sum(profile), set[Seed]()
    for seed in seeds:
        if seed in seen:
            raise SeedRepeated(
                "two reports of this batch have the same seed",
                remedy="leave the second out; its worker's source of randomness must be examined",
            )
        seen.add(seed)
        total.add(masks.mask_of(profile, seed))
    if not total.count:
        raise BatchRefused("there is no mask to add", remedy="wait until workers have reported")
    return write_masks(total.total())
