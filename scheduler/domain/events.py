"""What may happen to a work unit, and what the edge has to do about it.

Values only: `scheduler.domain.units` decides what an event makes of a unit and which effects it
has; the service draws their ids, checks the statements that they carry, and does the effects.
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.domain.reasons import Reason
from trust.ids import AttemptId, Digest, FencingToken, WorkerId


@dataclass(frozen=True)
class InputsReady:
    """What the unit reads exists and is logged."""


@dataclass(frozen=True)
class Lease:
    """A worker takes the unit, with fresh ids."""

    worker: WorkerId
    attempt: AttemptId
    token: FencingToken


@dataclass(frozen=True)
class Report:
    """A worker answers; `refusal` is empty when the statement was checked and holds."""

    worker: WorkerId
    attempt: AttemptId
    token: FencingToken
    statement: Digest | None
    refusal: Reason = Reason.NONE
    why: str = ""


@dataclass(frozen=True)
class Abandon:
    """The worker no longer holds the lease."""

    attempt: AttemptId
    reason: Reason = Reason.LEASE_LOST


@dataclass(frozen=True)
class Tick:
    """Time passed."""


@dataclass(frozen=True)
class Cancel:
    """The round or the campaign ended."""

    reason: Reason
    why: str = ""


@dataclass(frozen=True)
class Retry:
    """An operator wants another attempt, now."""


Event = InputsReady | Lease | Report | Abandon | Tick | Cancel | Retry


@dataclass(frozen=True)
class Acknowledged:
    """Tell the worker what became of its report."""

    attempt: AttemptId
    accepted: bool
    reason: Reason
    statement: Digest | None


@dataclass(frozen=True)
class Stopped:
    """Tell the worker to stop an attempt."""

    worker: WorkerId
    attempt: AttemptId
    reason: Reason


@dataclass(frozen=True)
class Judged:
    """The worker's quota grows (good) or halves."""

    worker: WorkerId
    good: bool


@dataclass(frozen=True)
class Returned:
    """The worker gets this attempt of its day back."""

    worker: WorkerId


Effect = Acknowledged | Stopped | Judged | Returned
