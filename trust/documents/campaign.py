"""What the scheduler signs: a round's plan, orders for one worker, openings, releases."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from trust.ids import AttemptId, AuthorisationId, CampaignId, Digest, FencingToken, UnitId, WorkerId


@dataclass(frozen=True)
class Plan:
    """One round of one campaign: logged before the first order, the same for every worker."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.plan.v1+json"

    territory: str
    campaign: CampaignId
    round: int
    bundle: Digest
    authorisation: AuthorisationId
    parameters: Digest  # of the round's parameter blob (trust/parameters.py)
    issued_at: datetime
    deadline: datetime
    # Of the HelperKey's envelope that shares are sealed to; None where the helper has no part.
    helper: Digest | None = None
    # Of the EpochKey's envelope that partials are encrypted under; None unless `encrypted`.
    epoch: Digest | None = None
    # Of the Conclusion's envelope whose state the parameters carry; None in a first round.
    after: Digest | None = None


class UnitKind(enum.StrEnum):
    """What a work unit asks for."""

    CONTRIBUTE = "contribute"
    CONCLUDE = "conclude"


@dataclass(frozen=True)
class Order:
    """One attempt at one work unit, leased to one worker for a duration."""

    unit: UnitId
    attempt: AttemptId
    number: int  # first attempt is 1
    token: FencingToken
    kind: UnitKind
    campaign: CampaignId
    round: int
    bundle: Digest
    authorisation: AuthorisationId
    plan: Digest  # of the plan's envelope
    parameters: Digest
    aggregate: Digest | None  # what a conclude unit reads
    lease_seconds: int


@dataclass(frozen=True)
class Cancellation:
    """Stop an attempt; `reason` is a reason code."""

    unit: UnitId
    attempt: AttemptId
    reason: str


@dataclass(frozen=True)
class Acknowledgement:
    """The scheduler's answer to one reported attempt, kept by the worker as its receipt."""

    unit: UnitId
    attempt: AttemptId
    accepted: bool
    reason: str  # "" when accepted, else a reason code
    statement: Digest | None  # of the partial or conclusion envelope that it answers


@dataclass(frozen=True)
class OrderBatch:
    """Everything that one exchange gives one worker: one batch, one signature."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.orders.v1+json"

    territory: str
    worker: WorkerId
    answers: int  # the sequence number of the report batch that it answers
    issued_at: datetime
    orders: tuple[Order, ...]
    cancellations: tuple[Cancellation, ...]
    acknowledgements: tuple[Acknowledgement, ...]
    waiting: tuple[str, ...]  # sentences: why there is nothing (more) to do


@dataclass(frozen=True)
class Opening:
    """The leader opens one batch, once. Counts are rounded down to tens.

    Under `shared` the aggregate is the sum of the two AggregateShares that `shares` names, the
    leader's first; under `clear` there are none.
    """

    TYPE: ClassVar[str] = "application/vnd.cadastre.opening.v1+json"

    territory: str
    campaign: CampaignId
    round: int
    plan: Digest
    parameters: Digest
    batch: Digest  # of the sorted list of report ids and partial digests
    partials: int
    contributors_rounded: int
    aggregate: Digest  # of the column-format blob that conclude reads
    opened_at: datetime
    shares: tuple[Digest, ...] = ()


@dataclass(frozen=True)
class Release:
    """The published result of a campaign, with its provenance."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.release.v1+json"

    territory: str
    campaign: CampaignId
    bundle: Digest
    authorisation: AuthorisationId
    openings: tuple[Digest, ...]
    conclusion: Digest  # of the conclusion's envelope
    report: Digest  # of the report blob (JSON: values, bands, labels)
    contributors_rounded: int  # contributions, down to tens: who is in three rounds counts thrice
    rho: str  # zCDP that one privacy unit paid
    released_at: datetime


@dataclass(frozen=True)
class Commitment:
    """A padded root over salted hashes of restricted documents (attempts, partials, consents).

    `size` is padded to a power of two, so that it does not tell how many machines or people
    were active.
    """

    TYPE: ClassVar[str] = "application/vnd.cadastre.commitment.v1+json"

    territory: str
    kind: str  # "orders" | "partials" | "consents"
    campaign: CampaignId | None
    root: Digest
    size: int
    committed_at: datetime
