"""Additive shares of one partial: the leader's is the values minus masks, the helper's a seed.

The masks are the stream AES-256-CTR(key = seed, counter block 0) over a stream of zeros, laid
over the body of the vector (protection.layout) byte by byte: elements of all outputs come from
one stream, in the rules' order; where a slot ends in zeros, that piece of the stream is unused.

Either share alone is independent of the values: the leader's is uniform without the seed, the
helper's was drawn before them. Adding is streaming: whatever the number of reports, a side holds
one vector and one chunk of masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from protection.errors import RingMismatch, SeedRepeated, SumSpent
from protection.layout import Layout, Role, Slot, Vector, flatten
from protection.ring import Elements
from protection.seeds import Seed

# Stays in a core's second-level cache together with what it is added to (measured: 64 KiB to
# 1 MiB are within 10 % of each other).
CHUNK_BYTES = 1 << 18
_BLOCK = 16
_ZEROS = memoryview(bytes(CHUNK_BYTES))


def split(steps: Mapping[str, NDArray[np.int64]], layout: Layout, seed: Seed) -> Vector:
    """The leader's share of `steps` (one int64 array per output, in the rules' shapes).

    `seed` must be fresh: it masks one vector. Raises RingMismatch on another layout,
    RingOverflow where a value does not fit its ring.
    """
    share = Vector.blank(layout, Role.SHARE)
    enclosed = {
        slot.output: slot.ring.enclose(values)
        for slot, values in zip(layout.slots, flatten(layout, steps), strict=True)
    }
    for slot, first, masks in _masks(layout, seed):
        last = first + len(masks)
        out = share.elements(slot)[first:last]
        np.subtract(enclosed[slot.output][first:last], masks, out=out)
    return share


def _masks(layout: Layout, seed: Seed) -> Iterator[tuple[Slot, int, Elements]]:
    """The masks in pieces: (slot, index of the first cell, elements valid until the next)."""
    encryptor = Cipher(algorithms.AES(seed.reveal()), modes.CTR(bytes(_BLOCK))).encryptor()
    # update_into may ask for up to a block less one byte beyond what it writes.
    scratch = bytearray(CHUNK_BYTES + _BLOCK - 1)
    masks = np.frombuffer(scratch, np.uint8)
    for slot in layout.slots:
        for start in range(0, slot.room, CHUNK_BYTES):
            size = min(CHUNK_BYTES, slot.room - start)
            encryptor.update_into(_ZEROS[:size], scratch)
            used = min(size, slot.size - start)
            yield slot, start // slot.ring.width, masks[:used].view(slot.ring.dtype)


class _Sum:
    """A running sum that gives one answer, with noise, and then no other."""

    _role: Role

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.reports = 0
        self._total: Vector | None = Vector.zeros(layout, self._role)

    def answer(self, noise: Mapping[str, NDArray[np.int64]]) -> Vector:
        """The sum with this side's whole noise (steps, every output), once.

        Persist `noise` or the answer before anybody sees it: a crash between the two must lead
        to the same bytes, not to a second draw, whose mean would be closer to the truth.
        Raises SumSpent, RingMismatch, RingOverflow (then nothing was answered).
        """
        total = self._open()
        total.add_steps(noise)
        self._total = None
        return total

    def _open(self) -> Vector:
        if self._total is None:
            raise SumSpent(
                "this sum was answered already",
                remedy="replay the persisted answer byte for byte",
            )
        return self._total


class ShareSum(_Sum):
    """The leader's: the sum of shares."""

    _role = Role.SHARE

    def add(self, share: Vector) -> None:
        """Count one report's share in. Raises RingMismatch, SumSpent."""
        self._open().add(share)
        self.reports += 1


class MaskSum(_Sum):
    """The helper's: the sum of the masks of the seeds it opened."""

    _role = Role.MASKS

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self._seen: set[Seed] = set()

    def add(self, seed: Seed) -> None:
        """Count one report's masks in. Raises SeedRepeated, SumSpent."""
        total = self._open()
        if seed in self._seen:
            # Only a broken generator or a cloned machine does this; the leader holds both shares
            # and could subtract them already, but the batch must not add to it.
            raise SeedRepeated(
                "two reports of this batch have the same seed",
                remedy="leave the second out; its worker's source of randomness must be examined",
            )
        self._seen.add(seed)
        for slot, first, masks in _masks(self.layout, seed):
            mine = total.elements(slot)[first : first + len(masks)]
            np.add(mine, masks, out=mine)
        self.reports += 1


def combine(shares: Vector, masks: Vector) -> dict[str, NDArray[np.int64]]:
    """The steps behind a leader's and a helper's answer over the same batch. Raises RingMismatch.

    With the sums' noise inside, it is the noised aggregate. That both sides mean the same batch
    is for the commitment (protection.batch) to say: sums of two batches give uniform garbage.
    """
    if (
        shares.role is not Role.SHARE
        or masks.role is not Role.MASKS
        or shares.layout != masks.layout
    ):
        raise RingMismatch(
            "the two sums are not the two halves of one batch's aggregate",
            remedy="combine the leader's sum of shares with the helper's sum of masks",
        )
    return {
        slot.output: slot.ring.lift(shares.elements(slot) + masks.elements(slot)).reshape(
            slot.shape
        )
        for slot in shares.layout.slots
    }
