"""Governance's signed status, fetched from governance itself and kept across restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path

from durable.files import write_atomic
from trust.documents.governance import Status
from trust.documents.signed import Signed
from trust.errors import TrustError
from trust.policy import verify_status
from trust.policy.errors import StatusStale
from trust.policy.standing import MAXIMUM_STATUS_AGE
from trust.root import TrustedRoot
from wire import site
from worker.errors import StatusUnreachable
from worker.journal import Journal

FILE_NAME = "governance-status.json"
# One revocation token takes 74 bytes of JSON: room for fifty thousand withdrawals.
MAXIMUM_STATUS_BYTES = 4 * 1024 * 1024

MAXIMUM_SECONDS = MAXIMUM_STATUS_AGE.total_seconds()


class Standing:
    """The newest verified status that this worker knows."""

    def __init__(self, state: Path, journal: Journal) -> None:
        self._path = state / FILE_NAME
        self._journal = journal
        self._since = 0.0  # boot clock, when `status` was first taken up in this life
        self.status: Signed[Status] | None = None

    def recent(self, boottime: float) -> Signed[Status] | None:
        """The status, unless this life has had no newer one for 24 h of the boot clock.

        Its written age is judged by the policies, on the wall clock. That one can be set back,
        by hand or by a forged time server, again and again; the boot clock cannot. Raises
        StatusStale.
        """
        if self.status is not None and not 0 <= boottime - self._since < MAXIMUM_SECONDS:
            raise StatusStale(
                f"governance's status number {self.status.document.number} has been the newest "
                "here for 24 h, whatever the wall clock says",
                remedy="check that governance serves a new status, and this machine's clock",
            )
        return self.status

    def recall(self, root: TrustedRoot, boottime: float) -> None:
        """Take up the status kept by the last run, if it still verifies."""
        try:
            raw = self._path.read_bytes()
            self.status = verify_status(root, raw, self._journal.status_number())
            self._since = boottime
        except (OSError, TrustError):
            # Nothing is lost: without a fresh status every order is refused until one came.
            self.status = None

    def accept(self, root: TrustedRoot, raw: bytes, boottime: float) -> bool:
        """Take a fetched status; returns whether it is news.

        Raises StatusForged or StatusReplayed. The number is kept before the status is used:
        if we crash between the two writes, an older status is refused all the same.
        """
        status = verify_status(root, raw, self._journal.status_number())
        if self.status is not None and status.digest == self.status.digest:
            return False
        self._journal.keep_status_number(status.document.number)
        write_atomic(self._path, raw)
        self.status, self._since = status, boottime
        return True

    def tokens(self) -> bytes:
        """The revocation tokens, 32 bytes each, for the broker."""
        if self.status is None:
            return b""
        return b"".join(token.raw for token in self.status.document.revoked)


async def fetch(url: str) -> bytes:
    """The raw status at `url`, its signature not yet checked.

    Raises StatusUnreachable, Unreachable or BadMessage.
    """
    data = await asyncio.to_thread(site.fetch, url, limit=MAXIMUM_STATUS_BYTES)
    if data is None:
        raise StatusUnreachable(
            f"governance serves no status at {url}",
            remedy="ask the cooperative; without a status of the last 24 h this worker refuses "
            "every order",
        )
    return data


async def fetch_root(address: str, version: int) -> bytes | None:
    """Root `version` as the scheduler's site serves it, unverified; None when there is none."""
    return await asyncio.to_thread(site.fetch, f"{address}/root/{version}.json")
