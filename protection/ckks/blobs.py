"""A sum of masks as bytes: the residues of one polynomial, u64 little-endian, and nothing else.

The profile says how many there are, the signed document around them whose and for which batch.
"""

from __future__ import annotations

import numpy as np

from protection.ckks.errors import CiphertextForeign, CiphertextMalformed
from protection.ckks.profile import Profile
from protection.ckks.residues import Residues

_WIDTH = 8


def write_masks(masks: Residues) -> bytes:
    """The bytes of a mask or a sum of masks. Raises CiphertextForeign for anything wider."""
    if masks.values.shape[0] != 1:
        raise CiphertextForeign("a mask has one polynomial")
    return np.ascontiguousarray(masks.values, "<u8").tobytes()


def parse_masks(data: bytes, profile: Profile) -> Residues:
    """The masks in `data`. Raises CiphertextMalformed, ResidueOutOfRange."""
    shape = (1, len(profile.data_primes), profile.degree)
    expected = _WIDTH * shape[1] * shape[2]
    if len(data) != expected:
        raise CiphertextMalformed(
            f"a sum of masks of the profile {profile.name} has {expected} bytes, not {len(data)}",
            remedy="send whole bytes, of the campaign's profile",
        )
    values = np.frombuffer(data, "<u8").astype(np.uint64).reshape(shape)
    return Residues.checked(profile, values)
