"""What a protection makes of a committed batch: an aggregate, and the documents behind it."""

from __future__ import annotations

from typing import Protocol

from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import RoundRow
from trust.ids import Digest


class Opened(Protocol):
    """An opened batch, to be stored in the transaction that stores its Opening."""

    @property
    def aggregate(self) -> bytes:
        """The blob that `conclude` reads."""
        ...

    @property
    def partials(self) -> int:
        """Over how many partials it goes."""
        ...

    def store(self, tx: Transaction, desk: Desk, row: RoundRow) -> tuple[Digest, ...]:
        """Keep and log what stands behind it; the digests that the Opening names."""
        ...
