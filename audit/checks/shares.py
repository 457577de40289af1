"""Batches that leader and helper open: committed first, once, one share of each.

Under `shared` the two shares are the sum; under `encrypted` they are sums without noise that stay
private, and audit.checks.decryptions says what the keyholder made of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from audit.checks.helpers import protection_of
from audit.checks.objects import Objects
from audit.checks.openings import read_batch
from audit.errors import AuditFailure
from audit.records import Logged, Records
from jobs import aggregate
from jobs.archive import Bundle
from protection import accounting
from trust.documents.aggregation import AggregateShare, Side
from trust.documents.campaign import Opening
from trust.documents.governance import Authorisation
from trust.documents.rules import Protection
from trust.ids import CampaignId, Digest

_ROUNDED_AWAY = 9  # a count that was rounded down to tens may have been so much larger


def committed(records: Records) -> str:
    """Whatever the helper helped to open was committed to before, exactly as it was opened."""
    for logged in records.batches:
        document = logged.document
        plan = records.plan(document.plan)
        pairs: tuple[tuple[str, object, object], ...] = (
            ("campaign", document.campaign, plan.document.campaign),
            ("round", document.round, plan.document.round),
            ("parameters", document.parameters, plan.document.parameters),
            ("helper key", document.helper, plan.document.helper),
        )
        _require(f"a batch of {document.campaign}", pairs)
        if logged.index < plan.index:
            raise AuditFailure(f"a batch of {document.campaign} was committed before its plan")
    for opening in records.openings:
        if not _with_helper(records, opening.document):
            continue
        opened = opening.document
        batch = records.batch_of(opened.campaign, opened.round)
        said = batch.document
        pairs = (
            ("list of reports", said.batch, opened.batch),
            ("number of partials", said.partials, opened.partials),
            ("number of contributors", said.contributors_rounded, opened.contributors_rounded),
        )
        _require(f"the batch committed for {opened.campaign}", pairs)
        if batch.index > opening.index or said.committed_at > opened.opened_at:
            raise AuditFailure(f"{opened.campaign} was opened before its batch was committed")
    return f"{len(records.batches)} batches committed before they were opened"


def first(records: Records) -> str:
    """No round has a second batch, with or without an opening: one resident is the difference."""
    seen: set[tuple[CampaignId, int]] = set()
    for logged in records.batches:
        document = logged.document
        name = (document.campaign, document.round)
        if name in seen:
            raise AuditFailure(
                f"a second batch of round {document.round} of {document.campaign} was committed "
                f"in entry {logged.index}"
            )
        seen.add(name)
    return "each round has one batch at most"


def withheld(records: Records, objects: Objects) -> str:
    """No single share and no sealed seed is here: together they are one worker's exact sum."""
    lines = 0
    for logged in records.batches:
        if logged.document.batch not in objects:
            continue  # of a round that was not opened; opening.batch asks for the others
        for line in read_batch(objects.get(logged.document.batch, "the batch")).lines:
            for what, digest in (("share", line.share), ("sealed seed", line.seed)):
                if digest is not None and digest in objects:
                    raise AuditFailure(
                        f"the {what} of {line.report} lies in the evidence",
                        remedy="destroy this copy; the scheduler's operator must find who took it",
                    )
            lines += 1
    return f"of {lines} reports neither share nor seed is here"


def signatures(records: Records, bundles: Mapping[Digest, Bundle]) -> str:
    """Each share is for its committed batch, with the voted noise; an opening has one per side."""
    seen: set[tuple[CampaignId, int, Side]] = set()
    for logged in records.shares:
        share = logged.document
        name = (share.campaign, share.round, share.side)
        if name in seen:
            raise AuditFailure(
                f"round {share.round} of {share.campaign} has two shares of the {share.side}"
            )
        seen.add(name)
        batch = records.batch_of(share.campaign, share.round)
        said = batch.document
        pairs: tuple[tuple[str, object, object], ...] = (
            ("plan", share.plan, said.plan),
            ("parameters", share.parameters, said.parameters),
            ("list of reports", share.batch, said.batch),
        )
        _require(f"the {share.side}'s share of {share.campaign}", pairs)
        if logged.index < batch.index:
            raise AuditFailure(f"a share of {share.campaign} was logged before its batch")
        vote = records.voted(records.plan(share.plan).document)
        _require_noise(share, vote, bundles)
    for opening in records.openings:
        if _with_helper(records, opening.document):
            _halves(records, opening)
        elif opening.document.shares:
            raise AuditFailure(f"{opening.document.campaign} has shares, which were not voted")
    return f"{len(records.shares)} shares of leader and helper over the committed batches"


def sums(records: Records, bundles: Mapping[Digest, Bundle], objects: Objects) -> str:
    """The aggregate is, byte for byte, what the leader's and the helper's share add up to."""
    count = 0
    for opening in records.openings:
        opened = opening.document
        if not _with_helper(records, opened):
            continue
        plan = records.plan(opened.plan).document
        vote = records.voted(plan)
        if protection_of(vote) is not Protection.SHARED:
            continue  # share.opened asks what the keyholder opened
        leader, helper = _halves(records, opening)
        expected = aggregate.open_shares(
            vote.rules,
            objects.get(leader.values, "the leader's share"),
            objects.get(helper.values, "the helper's share"),
            rounds=bundles[plan.bundle].manifest.rounds.maximum,
            contributors=opened.contributors_rounded + _ROUNDED_AWAY,
        )
        if opened.aggregate != Digest.of(expected):
            raise AuditFailure(f"the aggregate of {opened.campaign} is not the sum of its shares")
        count += 1
    return f"{count} aggregates are the sum of their two shares"


def _halves(records: Records, opening: Logged[Opening]) -> tuple[AggregateShare, AggregateShare]:
    """(the leader's, the helper's) share that an opening names, logged before it, of its round."""
    opened = opening.document
    found = []
    vote = records.voted(records.plan(opened.plan).document)
    # Under `encrypted` a third digest follows, the keyholder's: see audit.checks.decryptions.
    halves = opened.shares[:2] if protection_of(vote) is Protection.ENCRYPTED else opened.shares
    for digest in halves:
        logged = records.find(AggregateShare, digest, "share")
        share = logged.document
        pairs: tuple[tuple[str, object, object], ...] = (
            ("campaign", share.campaign, opened.campaign),
            ("round", share.round, opened.round),
            ("plan", share.plan, opened.plan),
            ("parameters", share.parameters, opened.parameters),
            ("list of reports", share.batch, opened.batch),
        )
        _require(f"a share that the opening of {opened.campaign} names", pairs)
        if logged.index > opening.index:
            raise AuditFailure(f"{opened.campaign} was opened before a share of it was logged")
        found.append(share)
    if [share.side for share in found] != [Side.LEADER, Side.HELPER]:
        raise AuditFailure(f"{opened.campaign} was not opened from one share per institution")
    return found[0], found[1]


def _require_noise(
    share: AggregateShare, vote: Authorisation, bundles: Mapping[Digest, Bundle]
) -> None:
    rounds = bundles[vote.bundle].manifest.rounds.maximum
    # Under `encrypted` the noise is the keyholder's, once.
    voted = (
        accounting.variances_of(vote.rules, rounds)
        if protection_of(vote) is Protection.SHARED
        else {rule.output: "0" for rule in vote.rules}
    )
    if share.variances != voted:
        raise AuditFailure(
            f"the {share.side}'s share of {share.campaign} states other noise than was voted"
        )


def _with_helper(records: Records, opening: Opening) -> bool:
    return protection_of(records.voted(records.plan(opening.plan).document)) is not Protection.CLEAR


def _require(name: str, pairs: tuple[tuple[str, object, object], ...]) -> None:
    for what, said, expected in pairs:
        if said != expected:
            raise AuditFailure(f"{name} is for another {what}")
