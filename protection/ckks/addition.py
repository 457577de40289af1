"""Sums of ciphertexts without a key: residues modulo the primes, one at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protection.ckks.errors import BatchTooLarge, CiphertextForeign
from protection.ckks.profile import MAXIMUM_CIPHERTEXTS, Profile
from protection.ckks.residues import CIPHERTEXT_POLYNOMIALS, Residues


class ResidueSum:
    """A running sum of residues; memory for one, however many are added.

    `polynomials` is 2 for ciphertexts, 1 for masks. Sums of sums are again such sums.
    """

    def __init__(self, profile: Profile, polynomials: int = CIPHERTEXT_POLYNOMIALS) -> None:
        self._profile = profile
        primes = len(profile.data_primes)
        self._primes = np.array(profile.data_primes, np.uint64).reshape(1, primes, 1)
        self._values = np.zeros((polynomials, primes, profile.degree), np.uint64)
        self._unreduced = 0
        self._count = 0

    @property
    def count(self) -> int:
        """How many were added."""
        return self._count

    def add(self, residues: Residues) -> None:
        """Add one. Raises CiphertextForeign, BatchTooLarge; the sum then is what it was."""
        if residues.profile != self._profile or residues.values.shape != self._values.shape:
            raise CiphertextForeign(
                f"residues of the profile {residues.profile.name} and shape "
                f"{residues.values.shape} do not belong to this sum"
            )
        if self._count == MAXIMUM_CIPHERTEXTS:
            raise BatchTooLarge(
                f"this sum already has {MAXIMUM_CIPHERTEXTS} ciphertexts",
                remedy="open it, and the rest as another batch",
            )
        if self._unreduced == self._profile.additions_before_reduction:
            self._reduce()
        np.add(self._values, residues.values, out=self._values)
        self._unreduced += 1
        self._count += 1

    def total(self) -> Residues:
        """The sum so far, reduced; a copy of its own."""
        self._reduce()
        return Residues.checked(self._profile, self._values.copy())

    def _reduce(self) -> None:
        np.remainder(self._values, self._primes, out=self._values)
        self._unreduced = 0


def subtract(left: Residues, right: Residues) -> Residues:
    """The difference modulo the primes. Raises CiphertextForeign where they do not match."""
    if left.profile != right.profile or left.values.shape != right.values.shape:
        raise CiphertextForeign("residues of different profiles cannot be subtracted")
    primes = np.array(left.profile.data_primes, np.uint64).reshape(1, -1, 1)
    difference: NDArray[np.uint64] = (left.values + (primes - right.values)) % primes
    return Residues.checked(left.profile, difference)
