"""Publishing the status: numbered, signed, written durably, then served; hourly and at changes.

Order: commit the number -> sign -> replace `status.json` -> serve. If we crash after the first
step a number is skipped; after the third the file on disk is the newest statement. A worker
never sees two statuses with one number.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from durable.files import write_atomic
from governance.errors import StatusTooLarge
from governance.status.registry import Registry
from trust import dsse
from trust.clock import Clock
from trust.documents import signed
from trust.documents.budget import LedgerStanding
from trust.documents.governance import Status
from trust.keys import PrivateKey

VALIDITY = timedelta(hours=24)  # DESIGN 3.5: at most 24 h old, stale means refuse
INTERVAL = timedelta(hours=1)


@dataclass(frozen=True)
class Published:
    """The status being served."""

    raw: bytes
    number: int
    revision: int
    issued_at: datetime


class Publisher:
    """Signs the registry's state with the status key; safe for many threads."""

    def __init__(
        self, registry: Registry, territory: str, key: PrivateKey, path: Path, clock: Clock
    ) -> None:
        self._registry = registry
        self._territory = territory
        self._key = key
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._published: Published | None = None

    @property
    def published(self) -> Published:
        """What is served now; published on first use."""
        return self._published or self.publish()

    def publish(self) -> Published:
        """A new status, whatever changed. Raises StorageFailed or StatusTooLarge.

        After a failure the previous status is still served, until it goes stale.
        """
        with self._lock:
            return self._publish()

    def refresh(self) -> Published:
        """A new status if the registry changed or the hour is over, else the present one."""
        with self._lock:
            current = self._published
            now = self._clock.now()
            if (
                current is not None
                and current.revision == self._registry.revision()
                # A clock that jumped back must not stop the hourly round either.
                and timedelta() <= now - current.issued_at < INTERVAL
            ):
                return current
            return self._publish()

    def answer(self, standing: LedgerStanding) -> bytes:
        """What stands for a worker's ledger, signed with the status key."""
        return signed.sign(standing, [self._key]).envelope.raw

    def _publish(self) -> Published:
        now = self._clock.now()
        snapshot = self._registry.snapshot(now)
        number = self._registry.numbers.next()
        status = Status(
            territory=self._territory,
            number=number,
            issued_at=now,
            expires_at=now + VALIDITY,
            suspensions=snapshot.suspensions,
            revoked=snapshot.revoked,
            live_consents=snapshot.live_consents,
        )
        raw = signed.sign(status, [self._key]).envelope.raw
        if len(raw) > dsse.MAXIMUM_ENVELOPE_BYTES:
            raise StatusTooLarge(
                f"the status has {len(raw)} bytes, workers read {dsse.MAXIMUM_ENVELOPE_BYTES}",
                remedy="split the territory, or raise the limit in a release of every program",
            )
        write_atomic(self._path, raw)
        self._published = Published(raw, number, snapshot.revision, now)
        return self._published
