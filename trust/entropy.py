"""Randomness, injected: `entropy(n)` gives n random bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

Entropy = Callable[[int], bytes]

SYSTEM: Entropy = os.urandom

_SECRET_BYTES = 32


def seeded(seed: bytes) -> Entropy:
    """A reproducible stream (SHAKE-256 in counter mode) for tests and simulations only."""
    return _counted(seed)


def derived(secret: bytes, label: bytes) -> Entropy:
    """A stream that only the holder of `secret` (32 random bytes) can make, the same every time.

    For draws that a restored backup must repeat instead of drawing anew: noise over one batch,
    drawn twice, would average out. SHAKE-256 over the length-prefixed secret, the label and a
    counter (a sponge keyed by its prefix is a pseudo-random function, as KMAC in SP 800-185).
    Raises ValueError for a secret that is too short.
    """
    if len(secret) < _SECRET_BYTES:
        raise ValueError(f"a secret to derive from has at least {_SECRET_BYTES} bytes")
    head = b"cadastre/derived/v1" + b"".join(
        len(part).to_bytes(8, "big") + part for part in (secret, label)
    )
    return _counted(head)


def _counted(head: bytes) -> Entropy:
    counter = 0

    def draw(size: int) -> bytes:
        nonlocal counter
        counter += 1
        return hashlib.shake_256(head + counter.to_bytes(8, "big")).digest(size)

    return draw
