r"""Vectors in the rings of a bundle's outputs, and the one way to write them.

Every output has its own ring: one output that needs 64 bits does not double the bytes of the
others. Rings, order and places follow from the voted rules alone, and the bytes repeat them, so
that a vector made for other rules is refused by name instead of being read as noise:

    cadastre ring vector v1 <role>\n
    <output> <bits> <length>x<length>...\n      one line per output, in the rules' order
    \n, and spaces up to a multiple of 64 bytes
    elements, little-endian, C order; each output starts at a multiple of 8 bytes, after zeros
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from protection.columns import MAXIMUM_BYTES, NAME
from protection.errors import RingMismatch, RuleRefused, ShareMalformed
from protection.ring import Elements, Ring, ring_of
from trust.documents.rules import ReleaseRules

MAGIC = "cadastre ring vector v1"
ALIGNMENT = 8
_HEAD_ALIGNMENT = 64


class Role(enum.StrEnum):
    """Whose half a vector is; the two halves never stand in for one another."""

    SHARE = "share"  # values minus masks: what a worker gives the leader, and the leader's sum
    MASKS = "masks"  # the sum of masks: what the helper answers


@dataclass(frozen=True)
class Slot:
    """One output's place: `start` is its first byte, `room` its bytes with the zeros after it."""

    output: str
    shape: tuple[int, ...]
    ring: Ring
    start: int

    @property
    def cells(self) -> int:
        """Elements in it."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes of its elements."""
        return self.cells * self.ring.width

    @property
    def room(self) -> int:
        """Bytes up to the next slot."""
        return -(-self.size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Layout:
    """The slots of all outputs, in the rules' order."""

    slots: tuple[Slot, ...]

    @classmethod
    def of(cls, rules: tuple[ReleaseRules, ...], rounds: int = 1) -> Self:
        """The layout of `rules`. Raises RuleRefused or RingOverflow."""
        slots: list[Slot] = []
        start = 0
        for rule in rules:
            if not NAME.fullmatch(rule.output) or rule.output in {slot.output for slot in slots}:
                raise RuleRefused(
                    f"{rule.output[:64]!r} cannot name one output of several",
                    remedy="use a-z, 0-9 and _, each name once",
                )
            if not all(length > 0 for length in rule.shape):
                raise RuleRefused(
                    f"{rule.output}: no cell fits a shape of {list(rule.shape)}",
                    remedy="write a shape whose lengths are all at least 1",
                )
            slot = Slot(rule.output, rule.shape, ring_of(rule, rounds), start)
            slots.append(slot)
            start += slot.room
        if not 0 < start <= MAXIMUM_BYTES:
            raise RuleRefused(
                f"the outputs take {start} bytes, at least 1 and at most {MAXIMUM_BYTES} can be "
                "shared",
                remedy="write smaller shapes, or bounds that fit a 32-bit ring",
            )
        return cls(tuple(slots))

    @property
    def size(self) -> int:
        """Bytes of all slots."""
        last = self.slots[-1]
        return last.start + last.room

    def head(self, role: Role) -> bytes:
        """What stands before the elements; a multiple of 64 bytes."""
        lines = [f"{MAGIC} {role}\n"]
        for slot in self.slots:
            lengths = "x".join(map(str, slot.shape))
            lines.append(f"{slot.output} {slot.ring.value} {lengths}\n")
        text = "".join(lines).encode() + b"\n"
        return text + b" " * (-len(text) % _HEAD_ALIGNMENT)


class Vector:
    """Elements of a layout's rings. `body` is the bytes of all slots (uint8, layout.size)."""

    def __init__(self, layout: Layout, role: Role, body: NDArray[np.uint8]) -> None:
        assert body.shape == (layout.size,)
        self.layout = layout
        self.role = role
        self._body = body

    @classmethod
    def zeros(cls, layout: Layout, role: Role) -> Self:
        """The neutral vector, to be added to."""
        return cls(layout, role, np.zeros(layout.size, np.uint8))

    @classmethod
    def blank(cls, layout: Layout, role: Role) -> Self:
        """A vector whose every element is yet to be written; only what must be zero is."""
        body = np.empty(layout.size, np.uint8)
        for slot in layout.slots:
            body[slot.start + slot.size : slot.start + slot.room] = 0
        return cls(layout, role, body)

    @classmethod
    def decode(cls, layout: Layout, role: Role, blob: bytes) -> Self:
        """The vector in `blob`, read in place and read-only. Raises ShareMalformed.

        Every string of the right length with the right head and zeros is a vector: what an
        element stands for, nobody can check in a share.
        """
        head = layout.head(role)
        if blob[: len(head)] != head:
            raise ShareMalformed(
                f"the bytes are not a vector of {role} in the outputs and rings of these rules",
                remedy="the worker must run the version that the release rules were voted for",
            )
        if len(blob) != len(head) + layout.size:
            raise ShareMalformed(
                f"{len(blob)} bytes, the release rules ask for {len(head) + layout.size}",
                remedy="send the blob again; it may have been cut",
            )
        body = np.frombuffer(blob, np.uint8, layout.size, len(head))
        for slot in layout.slots:
            if body[slot.start + slot.size : slot.start + slot.room].any():
                raise ShareMalformed(f"the bytes after {slot.output} are not zero")
        return cls(layout, role, body)

    def encode(self) -> bytes:
        """The bytes that `decode` reads."""
        return b"".join((self.layout.head(self.role), self._body.data))

    def elements(self, slot: Slot) -> Elements:
        """One output's elements, flat: a view."""
        body: Elements = self._body[slot.start : slot.start + slot.size].view(slot.ring.dtype)
        return body

    def add(self, other: Vector) -> None:
        """Add a vector of the same layout and role, in place. Raises RingMismatch."""
        if other.role is not self.role or other.layout != self.layout:
            raise RingMismatch(
                f"a vector of {other.role} in other rings cannot be added to {self.role}",
                remedy="decode it under the release rules of this round",
            )
        for slot in self.layout.slots:
            mine = self.elements(slot)
            np.add(mine, other.elements(slot), out=mine)

    def add_steps(self, steps: Mapping[str, NDArray[np.int64]]) -> None:
        """Add whole steps (each output's shape), in place. Raises RingMismatch, RingOverflow."""
        # All are checked before the first is added: a refusal leaves the vector as it was.
        flat = zip(self.layout.slots, flatten(self.layout, steps), strict=True)
        for slot, values in [(slot, slot.ring.enclose(values)) for slot, values in flat]:
            mine = self.elements(slot)
            np.add(mine, values, out=mine)


def flatten(layout: Layout, steps: Mapping[str, NDArray[Any]]) -> list[NDArray[np.int64]]:
    """The flat values of every slot, in order.

    Raises RingMismatch unless `steps` are int64 arrays of exactly the outputs and shapes.
    """
    if set(steps) != {slot.output for slot in layout.slots}:
        raise RingMismatch("the outputs are not the release rules'")
    flat = []
    for slot in layout.slots:
        values = steps[slot.output]
        if values.dtype != np.int64 or values.shape != slot.shape:
            raise RingMismatch(
                f"{slot.output} is not int64 of shape {list(slot.shape)}",
                remedy="the values must have exactly the layout of the voted release rules",
            )
        flat.append(np.ascontiguousarray(values).reshape(-1))
    return flat
