"""Sums that the keyholder opened: enough trustees for that very sum, one noise, one aggregate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from audit.checks.helpers import protection_of
from audit.checks.objects import Objects
from audit.errors import AuditFailure
from audit.records import Logged, Records
from jobs import aggregate
from jobs.archive import Bundle
from protection import accounting
from protection.products import released
from trust.documents.aggregation import AggregateShare, Side
from trust.documents.campaign import Opening
from trust.documents.custody import (
    AggregateOpened,
    EpochKey,
    ShareRequest,
    ShareReturned,
    TrusteeKey,
)
from trust.documents.rules import Protection
from trust.ids import CampaignId, Digest


def returned(records: Records) -> str:
    """For each opening enough trustees gave their share, asked about exactly its two sums."""
    for request in records.all(ShareRequest):
        _require_request(records, request)
    given: dict[Digest, dict[int, int]] = defaultdict(dict)  # by request: place -> entry
    for logged in records.all(ShareReturned):
        _require_returned(records, logged)
        given[logged.document.request].setdefault(logged.document.place, logged.index)
    count = 0
    for opening in _encrypted(records):
        opened = opening.document
        epoch = records.find(EpochKey, _epoch_of(records, opened.plan), "key epoch")
        most = max(
            (
                sum(index < opening.index for index in given[request.digest].values())
                for request in records.all(ShareRequest)
                if request.document.plan == opened.plan
            ),
            default=0,
        )
        if most < epoch.document.threshold:
            raise AuditFailure(
                f"{opened.campaign} was opened on the shares of {most} trustees, "
                f"{epoch.document.threshold} are needed"
            )
        count += 1
    return f"{len(records.all(ShareReturned))} shares of trustees for {count} openings"


def opened(records: Records, bundles: Mapping[Digest, Bundle], objects: Objects) -> str:
    """Each round was decrypted once, with one full voted noise, and that is its aggregate."""
    seen: set[tuple[CampaignId, int]] = set()
    for logged in records.all(AggregateOpened):
        document = logged.document
        if (document.campaign, document.round) in seen:
            raise AuditFailure(
                f"round {document.round} of {document.campaign} was decrypted a second time"
            )
        seen.add((document.campaign, document.round))
        _require_opened(records, logged, bundles)
    count = 0
    for opening in _encrypted(records):
        said = opening.document
        if len(said.shares) != 3:
            raise AuditFailure(f"{said.campaign} was not opened by leader, helper and keyholder")
        leader, helper, third = said.shares
        found = records.find(AggregateOpened, third, "the keyholder's statement")
        document = found.document
        if (document.plan, document.leader, document.helper) != (said.plan, leader, helper):
            raise AuditFailure(f"the keyholder opened other sums than {said.campaign} names")
        if found.index > opening.index:
            raise AuditFailure(f"{said.campaign} was opened before the keyholder's statement")
        rules = records.voted(records.plan(said.plan).document).rules
        values = aggregate.decode_partial(
            rules, objects.get(document.values, "what the keyholder opened")
        )
        expected = aggregate.combine(rules, [aggregate.Part(values, document.variances)])
        if said.aggregate != Digest.of(expected):
            raise AuditFailure(f"the aggregate of {said.campaign} is not what the keyholder opened")
        count += 1
    return f"{count} aggregates are what the keyholder opened"


def _require_request(records: Records, logged: Logged[ShareRequest]) -> None:
    request = logged.document
    batch = records.batch_of(request.campaign, request.round)
    sums = {
        share.document.side: share.document.values
        for share in records.shares
        if share.document.plan == request.plan and share.index < logged.index
    }
    pairs: tuple[tuple[str, object, object], ...] = (
        ("plan", request.plan, batch.document.plan),
        ("key epoch", request.epoch, _epoch_of(records, request.plan)),
        ("list of reports", request.batch, batch.document.batch),
        ("sum", request.sum, sums.get(Side.LEADER)),
        ("sum of masks", request.masks, sums.get(Side.HELPER)),
    )
    _require(f"the trustees of {request.campaign} were asked about", pairs)
    if logged.index < batch.index:
        raise AuditFailure(f"the trustees of {request.campaign} were asked before its batch")


def _require_returned(records: Records, logged: Logged[ShareReturned]) -> None:
    share = logged.document
    request = records.find(ShareRequest, share.request, "the request to trustees")
    asked = request.document
    pairs: tuple[tuple[str, object, object], ...] = (
        ("campaign", share.campaign, asked.campaign),
        ("round", share.round, asked.round),
        ("key epoch", share.epoch, asked.epoch),
        ("list of reports", share.batch, asked.batch),
    )
    _require(f"a trustee of {share.campaign} gave a share for", pairs)
    if logged.index < request.index:
        raise AuditFailure(f"a trustee of {share.campaign} gave a share before it was asked for")
    dealt = records.find(EpochKey, share.epoch, "key epoch").document.trustees
    if not 1 <= share.place <= len(dealt):
        raise AuditFailure(f"{share.campaign} has no trustee at place {share.place}")
    trustee = records.find(TrusteeKey, dealt[share.place - 1], "the trustee's key")
    if logged.signed.signers != trustee.signed.signers:
        raise AuditFailure(
            f"the share of place {share.place} of {share.campaign} is signed by another trustee"
        )


def _require_opened(
    records: Records, logged: Logged[AggregateOpened], bundles: Mapping[Digest, Bundle]
) -> None:
    document = logged.document
    plan = records.plan(document.plan).document
    batch = records.batch_of(document.campaign, document.round)
    vote = records.voted(plan)
    rounds = bundles[plan.bundle].manifest.rounds.maximum
    pairs: tuple[tuple[str, object, object], ...] = (
        ("campaign", document.campaign, plan.campaign),
        ("round", document.round, plan.round),
        ("plan", document.plan, batch.document.plan),
        ("parameters", document.parameters, plan.parameters),
        ("key epoch", document.epoch, plan.epoch),
        ("list of reports", document.batch, batch.document.batch),
        ("noise", document.variances, accounting.variances_of(released(vote.rules), rounds)),
    )
    _require(f"what the keyholder opened of {document.campaign} is of", pairs)
    for side, digest in ((Side.LEADER, document.leader), (Side.HELPER, document.helper)):
        share = records.find(AggregateShare, digest, f"the {side}'s sum")
        if (share.document.side, share.document.plan) != (side, document.plan):
            raise AuditFailure(f"the keyholder opened another {side}'s sum of {document.campaign}")
        if share.index > logged.index:
            raise AuditFailure(f"the keyholder opened {document.campaign} before its sums")


def _encrypted(records: Records) -> list[Logged[Opening]]:
    return [
        opening
        for opening in records.openings
        if protection_of(records.voted(records.plan(opening.document.plan).document))
        is Protection.ENCRYPTED
    ]


def _epoch_of(records: Records, plan: Digest) -> Digest:
    epoch = records.plan(plan).document.epoch
    if epoch is None:
        raise AuditFailure(f"the plan {plan} names no key epoch")
    return epoch


def _require(name: str, pairs: tuple[tuple[str, object, object], ...]) -> None:
    for what, said, expected in pairs:
        if said != expected:
            raise AuditFailure(f"{name} another {what}")
