"""What leader and helper sign when a batch is opened by two institutions.

The leader is the scheduler, the helper the cooperative's own process (the terms of IETF DAP).
Neither sees more than a share: the leader partials minus a mask, the helper the masks.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from trust.ids import AuthorisationId, CampaignId, Digest, ReportId


@dataclass(frozen=True)
class Engagement:
    """The leader asks the helper to take part in one campaign; signed with the order key."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.engagement.v1+json"

    territory: str
    campaign: CampaignId
    bundle: Digest
    authorisation: AuthorisationId
    asked_at: datetime


@dataclass(frozen=True)
class HelperKey:
    """The helper's sealing key for one campaign; logged before the plan that names it."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.helper-key.v1+json"

    territory: str
    campaign: CampaignId
    bundle: Digest
    authorisation: AuthorisationId
    key: bytes  # X25519 public key, 32 bytes, for HPKE
    made_at: datetime
    not_after: datetime  # the helper destroys the private half by then, whatever happens


@dataclass(frozen=True)
class BatchQuestion:
    """The leader asks which reports of a round count; signed with the order key, not logged.

    Plans, proofs and enrolments are public: without it, whoever has enough reports of its own
    could settle a round's list before the leader does, or leave a report out on its way.
    """

    TYPE: ClassVar[str] = "application/vnd.cadastre.batch-question.v1+json"

    territory: str
    campaign: CampaignId
    round: int
    content: Digest  # of everything that is shown with it (wire.aggregation.content_of)


@dataclass(frozen=True)
class Dropped:
    """One report that the helper left out, and why; the batch goes on without it."""

    report: ReportId
    code: str


@dataclass(frozen=True)
class AcceptList:
    """The helper's half of *prepare*: which reports it could open and would sum."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.accept-list.v1+json"

    territory: str
    campaign: CampaignId
    round: int
    plan: Digest
    accepted: tuple[ReportId, ...]  # sorted
    dropped: tuple[Dropped, ...]  # sorted by report
    prepared_at: datetime


@dataclass(frozen=True)
class BatchCommitment:
    """The leader commits to the only batch of a round; logged before the helper answers for it."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.batch.v1+json"

    territory: str
    campaign: CampaignId
    round: int
    plan: Digest
    parameters: Digest
    helper: Digest  # of the HelperKey envelope
    batch: Digest  # of the batch lines: sorted report ids, partials, leader-share hashes
    partials: int
    contributors_rounded: int  # down to tens
    committed_at: datetime


class Side(enum.StrEnum):
    """Which aggregator speaks."""

    LEADER = "leader"
    HELPER = "helper"


@dataclass(frozen=True)
class AggregateShare:
    """One aggregator's share of the aggregate, its full noise already inside.

    Persisted before it is sent and replayed byte for byte: one per side and round.
    """

    TYPE: ClassVar[str] = "application/vnd.cadastre.aggregate-share.v1+json"

    territory: str
    campaign: CampaignId
    round: int
    plan: Digest
    parameters: Digest
    batch: Digest
    side: Side
    values: Digest  # of the column-format blob of ring elements
    variances: dict[str, str]  # of the noise inside, per cell and output, in steps squared
    made_at: datetime


@dataclass(frozen=True)
class HelperRefusal:
    """The helper says no to a whole batch or campaign; it goes into the log."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.helper-refusal.v1+json"

    territory: str
    campaign: CampaignId
    round: int  # 0 for the campaign as a whole
    code: str
    sentence: str
    refused_at: datetime


@dataclass(frozen=True)
class CampaignEnded:
    """The leader tells the helper that nothing of a campaign will be opened any more."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.campaign-ended.v1+json"

    territory: str
    campaign: CampaignId
    ended_at: datetime


@dataclass(frozen=True)
class KeyDestroyed:
    """The helper destroyed a campaign's private key and every seed sealed to it."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.key-destroyed.v1+json"

    territory: str
    campaign: CampaignId
    helper: Digest  # of the HelperKey envelope
    destroyed_at: datetime
