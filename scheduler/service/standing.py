"""Governance's signed status as the scheduler reads it: suspensions and live consents.

The scheduler's own stop for what the college suspended, and its own bound on what a worker may
claim. Workers do not rely on it: they fetch the same file themselves.
"""

from __future__ import annotations

import asyncio
import logging
import urllib.error
import urllib.request
from collections.abc import Callable

from scheduler.service import bundles
from scheduler.service.consents import targets_of
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import AuthorisationRow
from trust.documents.governance import Status
from trust.documents.root import Duty
from trust.ids import Digest, WorkerId
from trust.problem import Problem

_LOG = logging.getLogger("cadastre.scheduler.standing")
TIMEOUT = 5.0
MAXIMUM_STATUS_BYTES = 4 * 1024 * 1024

Fetch = Callable[[str], bytes]


def fetch_http(url: str) -> bytes:
    """The bytes at `url`; signed, so the transport need not be trusted. Raises OSError."""
    if not url.startswith(("http://", "https://")):
        raise OSError(f"{url[:80]!r} is not an HTTP address")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=TIMEOUT) as answer:
        data: bytes = answer.read(MAXIMUM_STATUS_BYTES + 1)
    return data


class Standing:
    """The newest status seen. A lower number than before is ignored: it is a replay."""

    def __init__(self, desk: Desk, fetch: Fetch | None = fetch_http) -> None:
        self._desk = desk
        self._fetch = fetch
        self._status: Status | None = None
        self._stopped: set[str] = set()

    async def refresh(self) -> None:
        """Fetch, verify, and stop what was suspended. A failure keeps the newest one seen."""
        if self._fetch is None:
            return
        try:
            raw = await asyncio.to_thread(self._fetch, self._desk.root.document.status_url)
            status = self._desk.root.verify(Status, raw, Duty.STATUS).document
        except (OSError, urllib.error.URLError, Problem) as error:
            _LOG.warning("no governance status", extra={"cause": str(error)[:200]})
            return
        if status.territory != self._desk.territory:
            return
        if self._status is not None and status.number < self._status.number:
            _LOG.warning("an older status was served", extra={"number": status.number})
            return
        self._status = status
        fresh = [line for line in status.suspensions if line.authorisation not in self._stopped]
        # One that is not here yet is looked for at every refresh: it may be submitted later.
        known = await self._desk.look(
            "list-authorisations",
            lambda tx: {
                line.authorisation
                for line in fresh
                if tx.session.get(AuthorisationRow, str(line.authorisation)) is not None
            },
        )
        for line in fresh:
            if line.authorisation not in known:
                continue
            await self._desk.run(
                "apply-suspension",
                lambda tx, line=line: self._stop(tx, line.authorisation, line.reason),  # type: ignore[misc]
            )
            self._stopped.add(line.authorisation)

    async def live_consents(
        self, bundle: Digest, purpose: str, worker: WorkerId, *, least: int
    ) -> int | None:
        """What the registry knows for `worker`; None when no status was ever seen.

        When the number is under `least` the status is fetched again first: a consent may be
        younger than the copy here.
        """
        known = self._count(bundle, purpose, worker)
        if known is not None and known < least:
            await self.refresh()
            known = self._count(bundle, purpose, worker)
        return known

    def _count(self, bundle: Digest, purpose: str, worker: WorkerId) -> int | None:
        """An upper bound: the registry publishes numbers per target, never capsules.

        A capsule with one consent to the bundle and one to its purpose counts twice here. The
        consents that passed through this scheduler are counted per capsule, and a claim must
        stay below both (`statements`).
        """
        if self._status is None:
            return None
        live = self._status.live_consents
        return sum(live.get(target, {}).get(worker, 0) for target in targets_of(bundle, purpose))

    def _stop(self, tx: Transaction, authorisation: str, reason: str) -> None:
        row = tx.session.get(AuthorisationRow, str(authorisation))
        if row is not None and row.suspended_at is None:
            bundles.stop_authorisation(tx, self._desk, row, reason)
