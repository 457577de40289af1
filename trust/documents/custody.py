"""What keyholder and trustees sign: a campaign's CKKS key from its ceremony to its end.

The keyholder's process makes the key, wraps it and shares the wrapping key among the trustees;
it opens one batch per round, when enough trustees have given their shares for that batch. Secret
things (wrapped key, sealed shares) travel beside these documents, which name their digests.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from trust.ids import AuthorisationId, CampaignId, Digest, KeyEpochId


@dataclass(frozen=True)
class TrusteeKey:
    """A trustee's sealing key; signed by that trustee alone, whom the root names."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.trustee-key.v1+json"

    territory: str
    key: bytes  # X25519 public key, 32 bytes, for HPKE
    made_at: datetime


@dataclass(frozen=True)
class EpochKey:
    """One campaign's CKKS public key, and who can open under it; logged before its plan.

    `shares` and `secret` are the commitments of protection.shamir, by place: they tell nothing
    of the shares, and hold every trustee and the keyholder to what was dealt.
    """

    TYPE: ClassVar[str] = "application/vnd.cadastre.epoch-key.v1+json"

    territory: str
    campaign: CampaignId
    bundle: Digest
    authorisation: AuthorisationId
    epoch: KeyEpochId
    profile: str  # of protection.ckks.profile
    public: Digest  # of the public context's bytes
    threshold: int
    trustees: tuple[Digest, ...]  # of the TrusteeKey envelopes, by place from 1
    sealed: tuple[Digest, ...]  # of the sealed shares, by place
    shares: tuple[bytes, ...]
    secret: bytes
    wrapped: Digest  # of the wrapped secret key
    made_at: datetime
    not_after: datetime  # the keyholder forgets its part by then, whatever happens


@dataclass(frozen=True)
class ShareRequest:
    """The keyholder asks the trustees for their shares, to open exactly one sum of one batch."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.share-request.v1+json"

    territory: str
    campaign: CampaignId
    round: int
    plan: Digest
    epoch: Digest  # of the EpochKey envelope
    batch: Digest  # of the batch lines
    sum: Digest  # of the leader's sum of masked ciphertexts
    masks: Digest  # of the helper's sum of masks
    key: bytes  # X25519 public key that shares are sealed to; its other half is in memory only
    asked_at: datetime
    not_after: datetime


@dataclass(frozen=True)
class ShareReturned:
    """One trustee gives their share for one batch; signed by that trustee alone."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.share-returned.v1+json"

    territory: str
    campaign: CampaignId
    round: int
    epoch: Digest
    batch: Digest
    request: Digest  # of the ShareRequest envelope
    place: int
    sealed: Digest  # of the share, sealed to the request's key
    returned_at: datetime


@dataclass(frozen=True)
class AggregateOpened:
    """The keyholder opened one batch: the noised steps, once.

    A function of the batch, the two sums and the epoch's key: a keyholder that was restored from
    a backup gives the same bytes again.
    """

    TYPE: ClassVar[str] = "application/vnd.cadastre.aggregate-opened.v1+json"

    territory: str
    campaign: CampaignId
    round: int
    plan: Digest
    parameters: Digest
    epoch: Digest  # of the EpochKey envelope
    batch: Digest
    leader: Digest  # of the leader's AggregateShare envelope
    helper: Digest  # of the helper's
    values: Digest  # of the blob of noised whole steps
    variances: dict[str, str]  # of the noise inside, per cell and output, in steps squared
    opened_at: datetime


@dataclass(frozen=True)
class KeyholderRefusal:
    """The keyholder says no to a whole batch or campaign; it goes into the log."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.keyholder-refusal.v1+json"

    territory: str
    campaign: CampaignId
    round: int  # 0 for the campaign as a whole
    code: str
    sentence: str
    refused_at: datetime


@dataclass(frozen=True)
class EpochRetired:
    """The keyholder destroyed its part of an epoch: nothing more is opened under this key."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.epoch-retired.v1+json"

    territory: str
    campaign: CampaignId
    epoch: Digest  # of the EpochKey envelope
    reason: str  # a reason code
    retired_at: datetime
