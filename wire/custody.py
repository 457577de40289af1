"""What scheduler, keyholder and trustees say to each other: JSON bodies over HTTP.

Everything that matters in them is a signed document, sealed, or under the masks. Who listens on
the transport learns sealed shares and masked sums: neither opens anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from trust.ids import Digest
from wire.aggregation import CommitAnswer, LoggedDocument

# A sum of PRODUIT has 393 kB, its masks half of that, a third more as base64; one report's
# envelope and its worker's logged enrolment take 5 kB: this holds those of 8,000 workers.
MAXIMUM_BODY = 48 * 1024 * 1024

ENGAGE, PREPARE, OPEN, END = "/engage", "/prepare", "/open", "/end"
SUMMONS, CONTRIBUTE = "/summons", "/contribute"


@dataclass(frozen=True)
class EpochAnswer:
    """The answer to a `wire.aggregation.EngageRequest`: the epoch's key, with what to log."""

    key: bytes  # the raw envelope of an `EpochKey`
    public: bytes  # the public context that it names
    trustees: tuple[bytes, ...]  # the raw envelopes of the `TrusteeKey`s that it names, by place


@dataclass(frozen=True)
class OpeningPreparation:
    """Answered with the raw envelope of an `AcceptList` under the keyholder's duty."""

    question: bytes  # the raw envelope of a `BatchQuestion` about all that follows
    plan: LoggedDocument
    epoch: LoggedDocument  # the EpochKey, so that the keyholder knows it to be logged
    partials: tuple[bytes, ...]  # raw envelopes
    enrolments: tuple[LoggedDocument, ...]  # of the workers that sent them


def content_of(
    plan: LoggedDocument,
    epoch: LoggedDocument,
    partials: Sequence[bytes],
    enrolments: Sequence[LoggedDocument],
) -> Digest:
    """What the `BatchQuestion` signs: every byte that is shown with it, and in which place."""
    parts = [plan.envelope, plan.proof, epoch.envelope, epoch.proof, *partials]
    parts += [part for item in enrolments for part in (item.envelope, item.proof)]
    head = f"cadastre/preparation/v1 {len(partials)} {len(enrolments)}\n".encode()
    return Digest.of(head + b"".join(hashlib.sha256(part).digest() for part in parts))


@dataclass(frozen=True)
class OpeningRequest:
    """Answered with an `OpeningAnswer` once enough trustees have contributed."""

    batch: LoggedDocument
    lines: bytes
    leader: LoggedDocument  # the leader's AggregateShare
    sum: bytes  # of masked ciphertexts, which it names
    helper: CommitAnswer  # the helper's AggregateShare and the sum of masks


@dataclass(frozen=True)
class OpeningAnswer:
    """What was opened: the noised steps, and the documents that led to it, to be logged."""

    opened: bytes  # the raw envelope of an `AggregateOpened`
    values: bytes
    request: bytes  # of the ShareRequest
    returned: tuple[bytes, ...]  # of the ShareReturned documents that made the threshold


@dataclass(frozen=True)
class SummonsRequest:
    """Which openings a trustee is wanted for; answered with a `Summonses`."""

    trustee: Digest  # of the TrusteeKey envelope


@dataclass(frozen=True)
class Summons:
    """Everything one trustee needs to decide about one opening."""

    epoch: LoggedDocument
    authorisation: LoggedDocument
    plan: LoggedDocument
    batch: LoggedDocument
    leader: LoggedDocument  # the leader's AggregateShare
    request: bytes  # the raw envelope of a `ShareRequest`
    place: int
    sealed: bytes  # the trustee's share, sealed to their key at the ceremony


@dataclass(frozen=True)
class Summonses:
    """The openings that wait for this trustee."""

    openings: tuple[Summons, ...]


@dataclass(frozen=True)
class Contribution:
    """Answered with a `ContributionAnswer`."""

    returned: bytes  # the raw envelope of a `ShareReturned`
    sealed: bytes  # the share, sealed to the request's key


@dataclass(frozen=True)
class ContributionAnswer:
    """How far the opening is."""

    contributed: int
    threshold: int


@dataclass(frozen=True)
class EndOfEpoch:
    """Answered with the raw envelope of an `EpochRetired`."""

    ended: bytes  # the raw envelope of a `CampaignEnded`


@dataclass(frozen=True)
class Denial:
    """The body of a 422: what was denied, signed, and the retirement that goes with it."""

    refusal: bytes  # the raw envelope of a `KeyholderRefusal`
    retired: bytes | None  # of the `EpochRetired`, once the campaign's epoch is
