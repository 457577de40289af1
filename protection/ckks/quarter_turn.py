"""Multiplication of a ciphertext by i, so that a decoder of real parts shows imaginary ones.

TenSEAL decodes the real half of each slot only. The slots are the values at the roots
zeta^(3^j), zeta of order 2N; the polynomial X^(N/2) has the value i there where 3^j = 1 modulo 4,
and -i where it is 3: in every other slot. Residues are in SEAL's number-theoretic form: place k
holds the value at the root psi^(2 r + 1), r = k with its bits reversed, where X^(N/2) is +w for
even r and -w for odd r, w a square root of -1 modulo the prime. Even r are the first half of the
places. Neither the slots' signs nor which of the two roots w is matter: they are the signs of what
must be zero.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from protection.ckks.profile import Profile
from protection.ckks.residues import Residues


def turned(ciphertext: Residues) -> Residues:
    """`ciphertext` with every slot multiplied by i or by -i, in turns."""
    profile = ciphertext.profile
    half = profile.degree // 2
    values = np.empty_like(ciphertext.values)
    for place, (prime, root) in enumerate(zip(profile.data_primes, _roots(profile), strict=True)):
        # Python's integers: a product of two 60-bit residues does not fit 64 bits.
        exact = ciphertext.values[:, place].astype(object)
        exact[:, :half] *= root
        exact[:, half:] *= prime - root
        values[:, place] = (exact % prime).astype(np.uint64)
    return Residues.checked(profile, values)


@cache
def _roots(profile: Profile) -> tuple[int, ...]:
    return tuple(_root_of_minus_one(prime) for prime in profile.data_primes)


def _root_of_minus_one(prime: int) -> int:
    """A square root of -1 modulo `prime` (which is 1 modulo 4)."""
    base = 2
    while pow(base, (prime - 1) // 2, prime) == 1:
        base += 1
    return pow(base, (prime - 1) // 4, prime)
