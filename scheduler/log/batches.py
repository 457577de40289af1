"""Group commit: appends that wait together are signed together, within bounds."""

from __future__ import annotations

from collections.abc import Sequence

from trust.log.tiles import check_entry
from trust.log.tree import leaf_hash

BATCH_LIMIT = 4096  # entries signed at once: bounds the staged file and the time of a recovery
BATCH_BYTES = 8 * 1024 * 1024


class Ticket:
    """One append that waits for its batch. Raises TooLarge."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.entries = [check_entry(entry) for entry in entries]
        self.leaves = [leaf_hash(entry) for entry in self.entries]
        self.indexes: list[int] = []
        self.error: BaseException | None = None
        self.done = False


def batches(entries: list[bytes]) -> list[list[bytes]]:
    """`entries` in order, in pieces within the batch limits."""
    pieces: list[list[bytes]] = []
    size = 0
    for entry in entries:
        size += len(entry)
        if not pieces or len(pieces[-1]) == BATCH_LIMIT or size > BATCH_BYTES:
            pieces.append([])
            size = len(entry)
        pieces[-1].append(entry)
    return pieces
