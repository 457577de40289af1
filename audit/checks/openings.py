"""Openings: one per planned round, of a stated batch, large enough, with the voted layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from audit.checks.objects import Objects
from audit.errors import AuditFailure
from audit.records import Records
from jobs import aggregate
from protection.batch import Batch
from protection.scope import Scope
from trust.documents.campaign import Opening, Plan
from trust.documents.governance import Authorisation
from trust.documents.rules import Protection
from trust.ids import Digest

# A line of a batch has over 250 bytes and 5 of these characters, its head over 25 bytes for each.
_MARKS = b"{[,"
_MARK_BYTES = 20


def planned(records: Records) -> str:
    """Each opening follows its own plan, the only one of its round, in the log and in time."""
    seen: set[Digest] = set()
    for logged in records.openings:
        opening = logged.document
        plan = records.plan(opening.plan)
        if opening.plan in seen:
            raise AuditFailure(f"round {opening.round} of {opening.campaign} was opened twice")
        seen.add(opening.plan)
        about = (opening.campaign, opening.round, opening.parameters)
        if about != (plan.document.campaign, plan.document.round, plan.document.parameters):
            raise AuditFailure(f"an opening of {opening.campaign} does not match its plan")
        if plan.index > logged.index or opening.opened_at < plan.document.issued_at:
            raise AuditFailure(f"{opening.campaign} was opened before it was planned")
    return f"{len(records.openings)} openings of planned rounds"


def batches(records: Records, objects: Objects) -> tuple[dict[Digest, Batch], str]:
    """Each batch is about its round, in the voted protection, with the counts of its opening."""
    found: dict[Digest, Batch] = {}
    for logged in records.openings:
        opening = logged.document
        plan = records.plan(opening.plan).document
        batch = read_batch(objects.get(opening.batch, "the batch"))
        _require_matches(batch, opening, plan, records.voted(plan))
        found[logged.digest] = batch
    named = Counter(name for batch in found.values() for name in _names(batch))
    if named and max(named.values()) > 1:
        raise AuditFailure("one partial was opened in two batches")
    count = sum(batch.reports for batch in found.values())
    return found, f"{count} partials in {len(found)} batches"


def read_batch(raw: bytes) -> Batch:
    """The batch in its one spelling. Raises AuditFailure or BatchMalformed."""
    # Counted before it is parsed: a file of empty lists would take its twentyfold in memory.
    if _MARK_BYTES * sum(raw.count(mark) for mark in _MARKS) > len(raw):
        raise AuditFailure("a batch is not made of lines that name reports")
    return Batch.decode(raw)


def _require_matches(batch: Batch, opening: Opening, plan: Plan, vote: Authorisation) -> None:
    scope = Scope(
        territory=plan.territory,
        campaign=plan.campaign,
        round=plan.round,
        bundle=plan.bundle,
        plan=opening.plan,
        parameters=plan.parameters,
    )
    pairs: tuple[tuple[str, object, object], ...] = (
        ("round", batch.scope, scope),
        ("protection", {batch.protection}, {rule.protection for rule in vote.rules}),
        ("number of partials", batch.reports, opening.partials),
        ("number of contributors", batch.contributors_rounded, opening.contributors_rounded),
    )
    for name, said, expected in pairs:
        if said != expected:
            raise AuditFailure(f"the batch of {opening.campaign} has another {name}")
    for rule in vote.rules:
        partials = batch.reports if batch.protection is Protection.CLEAR else 1
        if batch.capsules_rounded + 9 < partials * rule.minimum_capsules:
            raise AuditFailure(
                f"{opening.campaign} was opened with under {partials * rule.minimum_capsules} "
                "capsules"
            )


def _names(batch: Batch) -> Iterator[str]:
    """What no two batches may share: a report, its partial, its share and its seed."""
    for line in batch.lines:
        # Two workers may well have the same values in the clear; two shares are never equal.
        masked = () if line.seed is None else (line.share, line.seed)
        yield from (line.report, line.partial, *masked)


def minima(records: Records) -> str:
    """Enough partials and contributors for every voted rule; counts rounded down to tens."""
    for logged in records.openings:
        opening = logged.document
        if opening.contributors_rounded % 10 or opening.contributors_rounded < 0:
            raise AuditFailure(f"the contributors of {opening.campaign} are not rounded to tens")
        for rule in records.voted(records.plan(opening.plan).document).rules:
            if opening.partials < rule.minimum_workers:
                raise AuditFailure(
                    f"{opening.campaign} was opened with {opening.partials} workers, "
                    f"{rule.minimum_workers} were voted"
                )
            # Under `clear` each partial alone must have them, otherwise the batch.
            partials = opening.partials if rule.protection is Protection.CLEAR else 1
            if opening.contributors_rounded + 9 < partials * rule.minimum_contributors:
                raise AuditFailure(
                    f"{opening.campaign} was opened with under "
                    f"{partials * rule.minimum_contributors} contributors"
                )
            if opening.contributors_rounded > rule.maximum_contributors:
                raise AuditFailure(f"{opening.campaign} has more contributors than admitted")
    return "minima of workers and contributors kept"


def aggregates(records: Records, objects: Objects) -> str:
    """Each opened aggregate has exactly the voted outputs, shapes and number types."""
    for logged in records.openings:
        rules = records.voted(records.plan(logged.document.plan).document).rules
        aggregate.decode_aggregate(rules, objects.get(logged.document.aggregate, "the aggregate"))
    return "aggregates in the voted layout"
