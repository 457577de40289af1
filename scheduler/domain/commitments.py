"""Padded roots over salted hashes: the public tree shows neither persons nor machines' activity.

A leaf is sha256("cadastre/commit/v1" || salt || envelope digest); random leaves pad the list to
a power of two, so that its size does not tell how much happened; the root is RFC 6962's with
these leaves as entries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from trust.entropy import Entropy
from trust.ids import Digest
from trust.log.tree import Tree, leaf_hash

SALT_BYTES = 32
_TAG = b"cadastre/commit/v1"
# Even an idle period commits to this many leaves.
MINIMUM_LEAVES = 8


@dataclass(frozen=True)
class Member:
    """One restricted document and the salt that hides it."""

    salt: bytes
    envelope: Digest

    @property
    def leaf(self) -> bytes:
        """32 bytes that say nothing without the salt."""
        return hashlib.sha256(_TAG + self.salt + self.envelope.raw).digest()


@dataclass(frozen=True)
class Sealed:
    """A committed list: the public root and size, and the restricted list in leaf order."""

    root: Digest
    size: int
    leaves: tuple[Member | bytes, ...]

    def to_json(self, commitment: Digest) -> bytes:
        """The file that accredited auditors get."""
        rows = [
            {"padding": leaf.hex()}
            if isinstance(leaf, bytes)
            else {"salt": leaf.salt.hex(), "envelope": str(leaf.envelope)}
            for leaf in self.leaves
        ]
        return json.dumps({"commitment": str(commitment), "leaves": rows}, indent=0).encode()


def seal(members: Sequence[Member], entropy: Entropy) -> Sealed:
    """Commit to `members`, padded and in the order of their hidden leaves.

    Sorting by leaf hides both the order of arrival and which leaves are padding.
    """
    size = max(MINIMUM_LEAVES, 1 << max(0, len(members) - 1).bit_length())
    padding: list[Member | bytes] = [entropy(32) for _ in range(size - len(members))]
    leaves = sorted([*members, *padding], key=_hidden)
    tree = Tree(leaf_hash(_hidden(leaf)) for leaf in leaves)
    return Sealed(Digest.from_bytes(tree.root()), size, tuple(leaves))


def _hidden(leaf: Member | bytes) -> bytes:
    return leaf if isinstance(leaf, bytes) else leaf.leaf
