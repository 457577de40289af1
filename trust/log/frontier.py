"""The right edge of a log's tree: what is enough to go on, entry by entry, and know the root.

A log of n entries has one complete subtree for every bit of n; the hashes of these, the largest
first, are all that a follower needs to keep.
"""

from __future__ import annotations

from collections.abc import Sequence

from trust.errors import Malformed
from trust.log.lines import HASH_BYTES, SIZE_LIMIT
from trust.log.tree import EMPTY_ROOT, node_hash


class Frontier:
    """The edge of the first `size` leaves. Raises Malformed for hashes that no such edge has."""

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if not 0 <= size <= SIZE_LIMIT or len(hashes) != size.bit_count():
            raise Malformed(f"the edge of {size} leaves has other hashes than {len(hashes)}")
        if any(len(one) != HASH_BYTES for one in hashes):
            raise Malformed("every hash of an edge has 32 bytes")
        self.size = size
        self._hashes = list(hashes)

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Of the complete subtrees, the largest first."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        value, size = leaf, self.size
        while size & 1:
            value = node_hash(self._hashes.pop(), value)
            size >>= 1
        self._hashes.append(value)
        self.size += 1

    def root(self) -> bytes:
        """The root of all leaves so far."""
        if not self._hashes:
            return EMPTY_ROOT
        value = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            value = node_hash(left, value)
        return value

    def copy(self) -> Frontier:
        """One that goes on by itself."""
        return Frontier(self.size, self._hashes)
