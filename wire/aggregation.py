"""What leader and helper say to each other: JSON bodies over HTTP.

Everything that matters in them is a signed document, or sealed to the helper's key. An observer
of the transport learns the helper's noised share: a sum of masks, which says nothing without the
leader's shares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from trust.ids import Digest

# One report is a partial's envelope (some 1.5 kB) and a seed, and goes with its worker's enrolment
# and that one's proof (2 kB in a log of a million entries), all a third longer as base64: this
# holds the question about 8,000 workers (5.2 kB each), or one share of a million 64-bit cells.
MAXIMUM_BODY = 48 * 1024 * 1024

ENGAGE, PREPARE, COMMIT, END = "/engage", "/prepare", "/commit", "/end"
TYPE = "application/json"


@dataclass(frozen=True)
class LoggedDocument:
    """A raw envelope with its proof of inclusion (C2SP tlog-proof)."""

    envelope: bytes
    proof: bytes


@dataclass(frozen=True)
class EngageRequest:
    """Answered with the raw envelope of a `HelperKey`."""

    engagement: bytes  # the raw envelope of an `Engagement`
    authorisation: LoggedDocument


@dataclass(frozen=True)
class SealedReport:
    """One worker's signed partial and its seed, sealed to the helper's campaign key."""

    partial: bytes
    sealed: bytes


@dataclass(frozen=True)
class PrepareRequest:
    """Answered with the raw envelope of an `AcceptList`."""

    question: bytes  # the raw envelope of a `BatchQuestion` about all that follows
    plan: LoggedDocument
    reports: tuple[SealedReport, ...]
    enrolments: tuple[LoggedDocument, ...]  # of the workers that sent them


def content_of(
    plan: LoggedDocument, reports: Sequence[SealedReport], enrolments: Sequence[LoggedDocument]
) -> Digest:
    """What a `BatchQuestion` signs: every byte that is shown with it, and in which place."""
    parts = [plan.envelope, plan.proof]
    parts += [part for report in reports for part in (report.partial, report.sealed)]
    parts += [part for item in enrolments for part in (item.envelope, item.proof)]
    head = f"cadastre/question/v1 {len(reports)} {len(enrolments)}\n".encode()
    return Digest.of(head + b"".join(hashlib.sha256(part).digest() for part in parts))


@dataclass(frozen=True)
class CommitRequest:
    """Answered with a `CommitAnswer`."""

    batch: LoggedDocument
    lines: bytes


@dataclass(frozen=True)
class CommitAnswer:
    """The helper's share: the raw envelope of an `AggregateShare` and the blob that it names."""

    share: bytes
    values: bytes


@dataclass(frozen=True)
class EndRequest:
    """Answered with the raw envelope of a `KeyDestroyed`."""

    ended: bytes  # the raw envelope of a `CampaignEnded`
    helper: Digest
