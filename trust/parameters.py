r"""One parameter blob per round: what the operator set and, where rounds follow, what they carry.

A bundle of one round gets the settings alone: a canonical JSON object. A bundle of several gets
`CADPAR1\n`, u32 little-endian round number, u32 little-endian length of the settings, the
settings, and the state: arrays in the column format, made by the round before and released with
it. One digest covers all of it, so every binding to a round's parameters binds its state too, and
no worker can be given another model than its neighbours.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from trust.errors import Malformed

MAGIC = b"CADPAR1\n"
_HEAD = struct.Struct("<II")
# Settings have a limit of their own; the state is an array of at most a bundle's frame.
MAXIMUM_SETTINGS_BYTES = 64 * 1024  # 64 parameters of 1000 characters
MAXIMUM_STATE_BYTES = 17 * 1024 * 1024  # 16 MiB of numbers and their header


@dataclass(frozen=True)
class RoundParameters:
    """A parameter blob's parts; `state` is None where one round is all there is."""

    settings: bytes
    round: int = 1
    state: bytes | None = None

    def encode(self) -> bytes:
        """The blob's bytes, one spelling per value."""
        if self.state is None:
            return self.settings
        head = _HEAD.pack(self.round, len(self.settings))
        return b"".join([MAGIC, head, self.settings, self.state])


def parse(blob: bytes) -> RoundParameters:
    """The parts of `blob`. Raises Malformed."""
    if not blob.startswith(MAGIC):
        _limit(len(blob), MAXIMUM_SETTINGS_BYTES, "parameters")
        return RoundParameters(blob)
    start = len(MAGIC) + _HEAD.size
    if len(blob) < start:
        raise _damaged()
    number, size = _HEAD.unpack_from(blob, len(MAGIC))
    _limit(size, MAXIMUM_SETTINGS_BYTES, "parameters")
    _limit(len(blob) - start - size, MAXIMUM_STATE_BYTES, "state")
    settings, state = blob[start : start + size], blob[start + size :]
    if number < 1 or len(settings) != size or not state:
        raise _damaged()
    return RoundParameters(settings, number, state)


def _limit(size: int, maximum: int, what: str) -> None:
    if size > maximum:
        raise Malformed(
            f"a round's {what} takes {size} bytes, at most {maximum} are read",
            remedy="the bundle declares smaller arrays, or the scheduler altered the blob",
        )


def _damaged() -> Malformed:
    return Malformed(
        "the parameter blob is cut short",
        remedy="fetch it again; if it stays so, tell the scheduler's operator",
    )
