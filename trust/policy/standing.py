"""Policy about governance's own word: nothing suspended, and the word is fresh."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from trust.documents.governance import Status
from trust.documents.root import Duty
from trust.documents.signed import Signed
from trust.errors import TrustError
from trust.ids import AuthorisationId
from trust.policy.errors import (
    AuthorisationSuspended,
    StatusEarly,
    StatusForged,
    StatusReplayed,
    StatusStale,
)
from trust.policy.request import Held, RunRequest
from trust.root import TrustedRoot

# DESIGN 3.5: at most 24 hours old, whatever its signer wrote as its expiry.
MAXIMUM_STATUS_AGE = timedelta(hours=24)
# How far a city desktop's clock may lag; the same tolerance as for certificates.
CLOCK_TOLERANCE = timedelta(minutes=5)


def verify_status(root: TrustedRoot, raw: bytes, highest: int) -> Signed[Status]:
    """The status in `raw`, no older in number than `highest`.

    Raises StatusForged or StatusReplayed. Its age is judged when it is used.
    """
    try:
        status = root.verify(Status, raw, Duty.STATUS)
    except TrustError as error:
        raise StatusForged(
            f"the governance status does not verify under the territory root: {error.sentence}",
            remedy="check the status address in the root; only governance's status key counts",
        ) from error
    if status.document.territory != root.document.territory:
        raise StatusForged(
            f"the governance status is of {status.document.territory[:80]}",
            remedy="check the status address in the root",
        )
    if status.document.number < highest:
        raise StatusReplayed(
            f"status number {status.document.number} came after number {highest}",
            remedy="an old status was served again: tell the cooperative",
        )
    return status


def require_fresh(status: Signed[Status] | None, now: datetime) -> Signed[Status]:
    """`status` itself while it is fresh. Raises StatusStale or StatusEarly."""
    remedy = "check that this machine reaches governance's status address and that it is served"
    if status is None:
        raise StatusStale("no governance status was ever fetched here", remedy=remedy)
    document = status.document
    if document.issued_at > now + CLOCK_TOLERANCE:
        raise StatusEarly(
            f"governance signed its status at {document.issued_at:%Y-%m-%d %H:%M} UTC, here it is "
            f"{now:%Y-%m-%d %H:%M} UTC",
            remedy="set this machine's clock (timedatectl set-ntp true)",
        )
    if now >= min(document.expires_at, document.issued_at + MAXIMUM_STATUS_AGE):
        raise StatusStale(
            f"the governance status number {document.number} is of "
            f"{document.issued_at:%Y-%m-%d %H:%M} UTC, too old",
            remedy=remedy,
        )
    return status


def require_not_suspended(status: Status, authorisation: AuthorisationId) -> None:
    """Return unless `status` suspends `authorisation`. Raises AuthorisationSuspended."""
    for suspended in status.suspensions:
        if suspended.authorisation == authorisation:
            raise AuthorisationSuspended(
                f"the college suspended {authorisation}: {suspended.reason[:200]}",
                remedy="only a new authorisation lifts a suspension",
                authorisation=authorisation,
            )


@dataclass(frozen=True)
class NotSuspended:
    """A fresh status, no lower in number than any seen before, does not suspend the vote."""

    def require(self, request: RunRequest) -> Held:
        status = require_fresh(request.status, request.now).document
        if status.number < request.status_number:
            raise StatusReplayed(
                f"status number {status.number} is older than number {request.status_number}",
                remedy="an old status was put back: tell the cooperative",
            )
        require_not_suspended(status, request.order.authorisation)
        return Held("not-suspended", f"status number {status.number}")
