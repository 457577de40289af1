"""The Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1): hashes, roots and proofs.

A tree of n leaves is kept as levels: level k holds the hashes of the complete, aligned subtrees
of 2^k leaves. Every root and every proof is a fold of O(log n) of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Protocol

from trust.errors import LogRefused
from trust.log.lines import HASH_BYTES, SIZE_LIMIT

PROOF_LIMIT = 63  # c2sp.org/tlog-witness: at most 63 hashes, enough for any size below 2^63
EMPTY_ROOT = hashlib.sha256(b"").digest()

_LEAF = b"\x00"
_NODE = b"\x01"


def leaf_hash(entry: bytes) -> bytes:
    """The leaf hash of an entry: SHA-256(0x00 || entry)."""
    return hashlib.sha256(_LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(_NODE + left + right).digest()


class Subtrees(Protocol):
    """Whatever knows the hashes of complete subtrees: every root and proof follows from them.

    Also answers for any earlier size of itself, since complete subtrees never change.
    """

    @property
    def size(self) -> int:
        """How many leaves there are."""
        ...

    def subtree(self, level: int, index: int) -> bytes:
        """The hash of leaves [index * 2^level, (index + 1) * 2^level), which must exist."""
        ...

    def root(self, size: int | None = None) -> bytes:
        """The root of the first `size` leaves (all of them by default)."""
        size = self._checked(self.size if size is None else size)
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """The audit path of a leaf in the first `size` leaves, from its sibling upward."""
        size = self._checked(self.size if size is None else size)
        if not 0 <= index < size:
            raise LogRefused(f"there is no leaf {index} in a log of {size} entries")
        path = []
        start, end = 0, size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """The proof that the first `old` leaves are a prefix of the first `new`."""
        new = self._checked(self.size if new is None else new)
        if not 0 <= old <= new:
            raise LogRefused(f"a log of {new} entries has no earlier state of {old}")
        if old in (0, new):
            return []
        path = []
        start, end = 0, new
        known = True  # the verifier holds the hash of [0, old) only while we stay on its left edge
        while old != end:
            middle = start + _split(end - start)
            if old <= middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start = middle
                known = False
        if not known:
            path.append(self._range(start, end))
        return path[::-1]

    def _range(self, start: int, end: int) -> bytes:
        """The hash of leaves [start, end) where the range is a node of some tree shape."""
        count = end - start
        if count & (count - 1) == 0:
            level = count.bit_length() - 1
            return self.subtree(level, start >> level)
        middle = start + _split(count)
        return node_hash(self._range(start, middle), self._range(middle, end))

    def _checked(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise LogRefused(f"this log has {self.size} entries, not {size}")
        return size


class Tree(Subtrees):
    """An append-only tree in memory: 64 bytes a leaf, a little over one hash an append."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[bytearray] = [bytearray()]
        self.extend(leaves)

    @property
    def size(self) -> int:
        return len(self._levels[0]) // HASH_BYTES

    def append(self, leaf: bytes) -> int:
        """Add one leaf hash (32 bytes) and return its index."""
        index = self.size
        self._levels[0] += leaf
        self._complete(index)
        return index

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes in order."""
        for leaf in leaves:
            self.append(leaf)

    def _complete(self, index: int) -> None:
        """Hash every subtree that the leaf at `index` has just filled."""
        level = 0
        while index & 1:
            below = self._levels[level]
            level += 1
            index >>= 1
            if level == len(self._levels):
                self._levels.append(bytearray())
            pair = below[-2 * HASH_BYTES :]
            self._levels[level] += hashlib.sha256(_NODE + pair).digest()

    def subtree(self, level: int, index: int) -> bytes:
        start = index * HASH_BYTES
        return bytes(self._levels[level][start : start + HASH_BYTES])

    def subtrees(self, level: int, start: int, end: int) -> bytes:
        """The hashes of the subtrees `start` to `end` - 1 of a level, concatenated."""
        if start == end:
            return b""
        return bytes(self._levels[level][start * HASH_BYTES : end * HASH_BYTES])


def _split(count: int) -> int:
    """The largest power of two below `count` (two or more)."""
    return 1 << ((count - 1).bit_length() - 1)


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Return when `leaf` is leaf `index` of the tree (size, root). RFC 9162 section 2.1.3.2.

    Raises LogRefused.
    """
    _check_proof(proof)
    if not 0 <= index < size <= SIZE_LIMIT:
        raise LogRefused(f"entry {index} can't be in a log of {size} entries")
    position, last = index, size - 1
    value = leaf
    for step in proof:
        if last == 0:
            raise LogRefused(f"the inclusion proof of entry {index} is too long")
        if position & 1 or position == last:
            value = node_hash(step, value)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            value = node_hash(value, step)
        position >>= 1
        last >>= 1
    if last != 0:
        raise LogRefused(f"the inclusion proof of entry {index} is too short")
    if value != root:
        raise LogRefused(
            f"the inclusion proof of entry {index} does not lead to the root of {size} entries",
            remedy="the entry or the proof was altered, or belongs to another log",
        )


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Return when the tree (old_size, old_root) is a prefix of (new_size, new_root).

    RFC 9162 section 2.1.4.2, and the two cases it leaves out: an empty old tree and equal sizes,
    whose proofs must be empty. Raises LogRefused.
    """
    _check_proof(proof)
    if not 0 <= old_size <= new_size <= SIZE_LIMIT:
        raise LogRefused(f"a log of {new_size} entries can't continue one of {old_size}")
    if old_size in {0, new_size}:
        _verify_trivial(old_size, old_root, new_size, new_root, proof)
        return
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)  # a complete old tree is itself a node of the new one
    if not path:
        raise LogRefused("the consistency proof is empty")
    old_value, new_value = _fold(path, old_size, new_size)
    if old_value != old_root or new_value != new_root:
        raise LogRefused(
            f"the log of {new_size} entries does not continue the one of {old_size}",
            remedy="the log was rewritten or shows two faces: keep both checkpoints as evidence",
        )


def _verify_trivial(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """The two cases that need no hash: nothing before, or nothing new."""
    if proof:
        raise LogRefused(f"the proof from {old_size} to {new_size} entries must be empty")
    expected = new_root if old_size == new_size else EMPTY_ROOT
    if old_root != expected or (new_size == 0 and new_root != EMPTY_ROOT):
        raise LogRefused(f"two different roots were given for {old_size} entries")


def _fold(path: Sequence[bytes], old_size: int, new_size: int) -> tuple[bytes, bytes]:
    """The two roots that a consistency path leads to, for 0 < old_size < new_size."""
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old_value = new_value = path[0]
    for step in path[1:]:
        if last == 0:
            raise LogRefused("the consistency proof is too long")
        if position & 1 or position == last:
            old_value = node_hash(step, old_value)
            new_value = node_hash(step, new_value)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            new_value = node_hash(new_value, step)
        position >>= 1
        last >>= 1
    if last != 0:
        raise LogRefused("the consistency proof is too short")
    return old_value, new_value


def _check_proof(proof: Sequence[bytes]) -> None:
    if len(proof) > PROOF_LIMIT:
        raise LogRefused(f"a proof has at most {PROOF_LIMIT} hashes, this one {len(proof)}")
    if any(len(step) != HASH_BYTES for step in proof):
        raise LogRefused("every hash of a proof has 32 bytes")
