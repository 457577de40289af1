"""Governance's signed status as one opener sees it: suspensions and live consents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from governance.batches.errors import StandingUnknown, Suspended
from trust.clock import Clock
from trust.documents.consent import PURPOSE_PREFIX
from trust.documents.governance import Authorisation, Status
from trust.documents.signed import Signed
from trust.ids import WorkerId
from trust.policy import verify_status
from trust.policy.errors import AuthorisationSuspended
from trust.policy.standing import require_fresh, require_not_suspended
from trust.problem import Problem
from trust.root import TrustedRoot

# One revocation token takes 74 bytes of JSON: as on the workers.
MAXIMUM_STATUS_BYTES = 4 * 1024 * 1024

FetchStatus = Callable[[str], bytes | None]


class StatusMemory(Protocol):
    """Where the highest status number ever seen is kept, so that an older one is a replay."""

    def status_number(self) -> int:
        """The highest number so far."""
        ...

    def keep_status_number(self, number: int) -> None:
        """Remember `number` before its status is used."""
        ...


class Standing:
    """The newest status, fetched again whenever a decision rests on it."""

    def __init__(
        self, root: TrustedRoot, memory: StatusMemory, fetch: FetchStatus, clock: Clock
    ) -> None:
        self._root = root
        self._memory = memory
        self._fetch = fetch
        self._clock = clock
        self._status: Signed[Status] | None = None

    def require(self, authorisation: Authorisation) -> Status:
        """The present status, in which `authorisation` is not suspended.

        An unreachable status server is survived for as long as the last status is fresh. Raises
        StandingUnknown or Suspended.
        """
        try:
            self._refresh()
        except Problem as problem:
            if self._status is None:
                raise StandingUnknown(
                    f"no governance status: {problem.sentence}",
                    remedy="the status server must be reachable from here",
                ) from problem
        try:
            status = require_fresh(self._status, self._clock.now()).document
        except Problem as problem:
            raise StandingUnknown(problem.sentence, remedy=problem.remedy) from problem
        try:
            require_not_suspended(status, authorisation.id)
        except AuthorisationSuspended as error:
            raise Suspended(error.sentence, remedy=error.remedy) from error
        return status

    def _refresh(self) -> None:
        raw = self._fetch(self._root.document.status_url)
        if raw is None:
            raise StandingUnknown("the status server serves no status")
        status = verify_status(self._root, raw, self._memory.status_number())
        self._memory.keep_status_number(status.document.number)
        self._status = status


def live_consents(status: Status, authorisation: Authorisation, worker: WorkerId) -> int:
    """Consents on `worker` that cover the bundle, by its digest or by its purpose."""
    targets = (authorisation.bundle, PURPOSE_PREFIX + authorisation.purpose)
    return sum(status.live_consents.get(target, {}).get(worker, 0) for target in targets)
