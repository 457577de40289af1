"""One-time masks of c0: whoever lacks the seed sees uniform residues, key or no key.

The worker adds a mask to the c0 of its ciphertext and seals the 32-byte seed to the helper. The
keyholder's key opens nothing without the helper's sum of masks; the helper's seeds open nothing
without the key.

The mask of a seed: the stream AES-256-CTR(key = seed, counter block 0) is cut into 64-bit
little-endian words. For each data prime in order, with b its bit length, take the low b bits of
the next word and keep it if it is below the prime, else drop it, until N are kept. Low bits of a
uniform word are uniform below 2^b, and a uniform number below 2^b conditioned on being below the
prime is uniform below the prime: no bias at all, unlike a remainder. A seed masks one ciphertext
only; reuse would give away the difference of two.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from protection.ckks.addition import ResidueSum, subtract
from protection.ckks.errors import CiphertextForeign
from protection.ckks.profile import Profile
from protection.ckks.residues import CIPHERTEXT_POLYNOMIALS, Residues
from protection.seeds import Seed

# Of 2^40 numbers a 40-bit prime here drops one in 1.5 million: one refill is already rare.
_SPARE_WORDS = 8


class _Words:
    """The stream of a seed in 64-bit words."""

    def __init__(self, seed: Seed) -> None:
        self._stream = Cipher(algorithms.AES256(seed.reveal()), modes.CTR(bytes(16))).encryptor()
        self._words = np.empty(0, np.uint64)

    def take(self, count: int) -> NDArray[np.uint64]:
        """The next `count` words."""
        missing = count - self._words.size
        if missing > 0:
            raw = self._stream.update(bytes(8 * (missing + _SPARE_WORDS)))
            fresh = np.frombuffer(raw, "<u8").astype(np.uint64, copy=False)
            self._words = np.concatenate([self._words, fresh])
        taken, self._words = self._words[:count], self._words[count:]
        return taken

    def below(self, prime: int, count: int) -> NDArray[np.uint64]:
        """`count` uniform numbers below `prime`, by rejection."""
        low, bound = np.uint64((1 << prime.bit_length()) - 1), np.uint64(prime)
        kept = np.empty(0, np.uint64)
        while kept.size < count:
            drawn = self.take(count - kept.size) & low
            kept = np.concatenate([kept, drawn[drawn < bound]])
        return kept


def mask_of(profile: Profile, seed: Seed) -> Residues:
    """The mask of `seed`: shape (1, primes, N)."""
    words = _Words(seed)
    values = np.stack([words.below(prime, profile.degree) for prime in profile.data_primes])
    return Residues.checked(profile, values[np.newaxis])


def masked(ciphertext: Residues, seed: Seed) -> Residues:
    """`ciphertext` with the mask of `seed` added to its c0."""
    mask, profile = mask_of(ciphertext.profile, seed), ciphertext.profile
    total = ResidueSum(profile)
    total.add(ciphertext)
    total.add(_widened(mask))
    return total.total()


def unmasked(ciphertext: Residues, mask: Residues) -> Residues:
    """`ciphertext` (a sum) with `mask` (the sum of the same batch's masks) taken off its c0."""
    return subtract(ciphertext, _widened(mask))


def mask_sum(profile: Profile) -> ResidueSum:
    """An empty sum of masks: the helper adds `mask_of` each seed of the committed batch."""
    return ResidueSum(profile, polynomials=1)


def _widened(mask: Residues) -> Residues:
    """A mask as the ciphertext (mask, 0)."""
    if mask.values.shape[0] != 1:
        raise CiphertextForeign("a mask has one polynomial")
    shape = (CIPHERTEXT_POLYNOMIALS, *mask.values.shape[1:])
    values = np.zeros(shape, np.uint64)
    values[0] = mask.values[0]
    return Residues.checked(mask.profile, values)
