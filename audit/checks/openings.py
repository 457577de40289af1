"""Openings: one per planned round, of a stated batch, large enough, with the voted layout."""

from __future__ import annotations

import re
from dataclasses import dataclass

from audit.checks.objects import Objects
from audit.errors import AuditFailure
from audit.records import Records
from jobs import aggregate
from trust.documents.rules import Protection
from trust.ids import Digest, ReportId

_LINE = re.compile(r"(rep_[0-9a-z]{26}) (sha256:[0-9a-f]{64})")
_LINE_BYTES = 103  # with its newline


@dataclass(frozen=True)
class Member:
    """One line of a batch: a partial by its random name."""

    report: ReportId
    partial: Digest


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


def batches(records: Records, objects: Objects) -> tuple[dict[Digest, tuple[Member, ...]], str]:
    """Each batch is a sorted list of distinct reports, as many as the opening says."""
    found: dict[Digest, tuple[Member, ...]] = {}
    for logged in records.openings:
        opening = logged.document
        members = read_batch(objects.get(opening.batch, "the batch"))
        if len(members) != opening.partials:
            raise AuditFailure(
                f"the batch of {opening.campaign} has {len(members)} partials, "
                f"the opening says {opening.partials}"
            )
        found[logged.digest] = members
    partials = [member.partial for members in found.values() for member in members]
    reports = [member.report for members in found.values() for member in members]
    if len(set(partials)) != len(partials) or len(set(reports)) != len(reports):
        raise AuditFailure("one partial was opened in two batches")
    return found, f"{len(partials)} partials in {len(found)} batches"


def read_batch(raw: bytes) -> tuple[Member, ...]:
    """The lines of a batch, sorted and distinct. Raises AuditFailure."""
    # Counted before it is split: a file of newlines alone would take its eightfold.
    if len(raw) != _LINE_BYTES * raw.count(b"\n"):
        raise AuditFailure(f"a batch is not made of lines of {_LINE_BYTES} bytes")
    text = raw.decode("ascii", "replace")
    lines = text.split("\n")
    if lines.pop() or lines != sorted(set(lines)):
        raise AuditFailure("a batch is not a sorted list of distinct lines")
    members = []
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            raise AuditFailure(f"{line[:120]!r} is not a line of a batch")
        members.append(Member(ReportId.parse(match[1]), Digest.parse(match[2])))
    return tuple(members)


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
