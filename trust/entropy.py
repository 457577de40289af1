"""Randomness, injected: `entropy(n)` gives n random bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

Entropy = Callable[[int], bytes]

SYSTEM: Entropy = os.urandom


def seeded(seed: bytes) -> Entropy:
    """A reproducible stream (SHAKE-256 in counter mode) for tests and simulations only."""
    counter = 0

    def draw(size: int) -> bytes:
        nonlocal counter
        counter += 1
        return hashlib.shake_256(seed + counter.to_bytes(8, "big")).digest(size)

    return draw
