"""Random and pseudo-random residues: uniform, ternary, small error, flooding.

Distributions are those of SEAL: secrets uniform in {-1, 0, 1}, errors centred binomial of 2 x 21
bits (deviation 3.24). Uniform residues come by rejection, hence without bias.
"""

from __future__ import annotations

import hashlib

import numpy as np

from protection.discrete import Uniform
from protection.threshold.transform import ResidueArray
from trust.entropy import Entropy

ERROR_BITS = 21  # on each side of the centred binomial


def expand(seed: bytes) -> Entropy:
    """A stream of bytes that `seed` determines: SHAKE-256(seed || block number, 4 bytes)."""
    block = 0

    def draw(size: int) -> bytes:
        nonlocal block
        block += 1
        return hashlib.shake_256(seed + block.to_bytes(4, "big")).digest(size)

    return draw


def uniform(q: int, size: int, draw: Entropy) -> ResidueArray:
    """`size` residues uniform in [0, q), q < 2^61: words of bit_length(q) bits, kept when below."""
    spare = np.uint64(64 - q.bit_length())
    kept = np.empty(0, np.uint64)
    while kept.size < size:
        words = np.frombuffer(draw(8 * size), "<u8") >> spare
        kept = np.concatenate([kept, words[words < np.uint64(q)]])
    return kept[:size]


def ternary(size: int, draw: Entropy) -> list[int]:
    """`size` coefficients uniform in {-1, 0, 1}, from pairs of bits by rejection."""
    kept: list[int] = []
    while len(kept) < size:
        pairs = np.frombuffer(draw(2 * size), np.uint8) & 3
        kept.extend((pairs[pairs < 3].astype(np.int64) - 1).tolist())
    return kept[:size]


def small_error(size: int, draw: Entropy) -> list[int]:
    """`size` centred binomial coefficients: ones in 21 bits less ones in 21 other bits."""
    words = np.frombuffer(draw(8 * size), "<u8")
    mask = np.uint64((1 << ERROR_BITS) - 1)
    plus = np.bitwise_count(words & mask).astype(np.int64)
    minus = np.bitwise_count((words >> np.uint64(ERROR_BITS)) & mask).astype(np.int64)
    error: list[int] = (plus - minus).tolist()
    return error


def flooding(deviation: int, size: int, draw: Entropy) -> list[int]:
    """`size` discrete Gaussian coefficients, drawn exactly (see protection.discrete).

    Gaussian and not uniform: the bound that sets the deviation is a divergence of Gaussians, and
    the ends of a uniform range would show a shifted centre outright.
    """
    source = Uniform(draw)
    return [source.gaussian(deviation * deviation, 1) for _ in range(size)]
