"""What a worker signs: partials, conclusions and its side of an exchange."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from trust.documents.rules import Protection
from trust.ids import AttemptId, CampaignId, Digest, FencingToken, ReportId, UnitId, WorkerId


@dataclass(frozen=True)
class Partial:
    """The protected sum of one worker's contributions to one round.

    Signed and persisted before it is sent, and replayed byte for byte: one per
    (worker, campaign, round) whatever the attempt.
    """

    TYPE: ClassVar[str] = "application/vnd.cadastre.partial.v1+json"

    territory: str
    campaign: CampaignId
    round: int
    unit: UnitId
    worker: WorkerId
    report: ReportId
    bundle: Digest
    plan: Digest
    parameters: Digest
    capsules: int  # capsules whose data counted or were replaced by the neutral vector
    contributors: int  # privacy units behind them
    # Of the column-format blob, one column per output: int64 steps under `clear`, the leader's
    # share as ring elements under `shared`.
    values: Digest
    protection: Protection
    variances: dict[str, str]  # of the worker's own noise, per cell and output, in steps squared
    rho: str
    image: Digest  # the runtime image that the worker claims
    level: str  # the sandbox level that its self-test found
    made_at: datetime
    sealed: Digest | None = None  # of the helper's share, sealed to the helper; None under `clear`


@dataclass(frozen=True)
class Conclusion:
    """What `conclude` made of an aggregate."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.conclusion.v1+json"

    territory: str
    campaign: CampaignId
    round: int
    unit: UnitId
    worker: WorkerId
    bundle: Digest
    plan: Digest
    aggregate: Digest
    result: Digest  # of the column-format blob of the declared report arrays
    image: Digest
    level: str
    made_at: datetime


class Outcome(enum.StrEnum):
    """How an attempt ended on the worker."""

    CONTRIBUTED = "contributed"
    CONCLUDED = "concluded"
    REFUSED = "refused"  # verification or policy said no: `reason` tells
    NOT_READY = "not-ready"  # what it depends on is away for now; nothing is wrong with the order
    FAILED = "failed"  # it ran and did not end well


@dataclass(frozen=True)
class AttemptReport:
    """One finished attempt, with the signed statement when there is one."""

    unit: UnitId
    attempt: AttemptId
    token: FencingToken
    outcome: Outcome
    statement: bytes | None  # the raw envelope of a Partial or a Conclusion
    reason: str  # reason code, "" when all went well
    sentence: str
    # The helper's share, sealed to it; the signed partial names its digest. It travels beside
    # the partial and not as a blob, so that no evidence ever holds it.
    sealed: bytes | None = None


@dataclass(frozen=True)
class Progress:
    """How far a running attempt is: `done` of `total` steps, too coarse to count capsules."""

    unit: UnitId
    attempt: AttemptId
    done: int
    total: int


@dataclass(frozen=True)
class Capacity:
    """What this worker can take on now."""

    slots: int  # attempts it can start now
    level: str  # "L3" | "L2" | "L0", measured by the start-up self-test
    image: Digest  # of the base runtime
    libraries: tuple[str, ...]
    contributes: bool
    concludes: bool
    draining: bool
    # Of the runtimes with more libraries, by the library that names each (ADR 9).
    images: dict[str, Digest] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportBatch:
    """The worker's side of one exchange: one batch, one signature.

    `sequence` grows by one per batch and is persisted first; a lower or repeated number with
    other bytes means that two machines share one identity.
    """

    TYPE: ClassVar[str] = "application/vnd.cadastre.reports.v1+json"

    territory: str
    worker: WorkerId
    sequence: int
    sent_at: datetime
    held: tuple[AttemptId, ...]  # leases that the worker believes it holds
    reports: tuple[AttemptReport, ...]
    progress: tuple[Progress, ...]
    capacity: Capacity
