"""What leader and helper commit to before a round is opened: one list, one spelling, one digest.

The bytes are public evidence: whoever opens a batch names reports by their random ids and by
digests of signed documents, never a worker. Counts in them are rounded down to tens, as every
published count is; the exact ones stand in the signed partials, whose digests are in the list,
so two sides that agree on the digest agree on them too.

`clear` uses the same bytes with `seed` null: its partial's values are what a share is here.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

from protection.errors import (
    BatchDisagreement,
    BatchMalformed,
    BatchMixed,
    BatchRefused,
    ReportRepeated,
)
from protection.scope import Scope
from trust import schema
from trust.documents.reporting import Partial
from trust.documents.rules import Protection
from trust.errors import Malformed
from trust.ids import Digest, ReportId, WorkerId

FORMAT = "cadastre/batch/v1"
# About 300 bytes each: a batch of this many is a blob of 30 MB.
MAXIMUM_REPORTS = 100_000
MAXIMUM_BYTES = 64 << 20
_TENS = 10
_SHOWN = 3


@dataclass(frozen=True)
class BatchMember:
    """One verified report, as either side knows it; only `line` of it is in the batch's bytes."""

    scope: Scope
    worker: WorkerId
    report: ReportId
    protection: Protection
    partial: Digest  # of the signed partial's envelope
    share: Digest  # of the leader's share (shared), of the values (clear)
    seed: Digest | None  # of the sealed seed; None for clear
    contributors: int
    capsules: int

    @classmethod
    def of(cls, partial: Partial, envelope: Digest, seed: Digest | None) -> Self:
        """The member that a verified partial with this envelope digest is."""
        return cls(
            scope=Scope.of(partial),
            worker=partial.worker,
            report=partial.report,
            protection=partial.protection,
            partial=envelope,
            share=partial.values,
            seed=seed,
            contributors=partial.contributors,
            capsules=partial.capsules,
        )


@dataclass(frozen=True)
class BatchLine:
    """One report in a batch."""

    report: ReportId
    partial: Digest
    share: Digest
    seed: Digest | None


@dataclass(frozen=True)
class Batch:
    """One round's reports, sorted by id. Build it with `of` or `decode`, never by hand."""

    format: str
    scope: Scope
    protection: Protection
    reports: int
    contributors_rounded: int
    capsules_rounded: int
    lines: tuple[BatchLine, ...]

    @classmethod
    def of(cls, members: Iterable[BatchMember]) -> Self:
        """The batch of `members`, in whatever order they come.

        Raises ReportRepeated (report, worker, partial, share or seed twice), BatchMixed (another
        round, bundle, plan, parameters or protection), BatchRefused (empty, too many, negative
        counts, or a seed where there must be none and the other way round).
        """
        ordered = sorted(members, key=lambda member: member.report)
        if not 0 < len(ordered) <= MAXIMUM_REPORTS:
            raise BatchRefused(
                f"a batch of {len(ordered)} reports, it has 1 to {MAXIMUM_REPORTS}",
                remedy="wait until workers have reported",
            )
        first = ordered[0]
        for member in ordered:
            _same_round(first, member)
            if member.contributors < 0 or member.capsules < 0:
                raise BatchRefused(f"{member.report} counts less than nobody")
            if (member.seed is None) != (member.protection is Protection.CLEAR):
                raise BatchRefused(
                    f"{member.report}: a seed goes with {member.protection} if it is not clear",
                    report=member.report,
                )
        for name in ("report", "worker", *_distinct(first.protection)):
            _once(name, [getattr(member, name) for member in ordered])
        contributors = sum(member.contributors for member in ordered)
        capsules = sum(member.capsules for member in ordered)
        if max(contributors, capsules) > schema.MAXIMUM_INTEGER:
            raise BatchRefused(
                "the reports claim more contributors than any territory has",
                remedy="check each report against its worker's live consents first",
            )
        return cls(
            format=FORMAT,
            scope=first.scope,
            protection=first.protection,
            reports=len(ordered),
            contributors_rounded=_tens(contributors),
            capsules_rounded=_tens(capsules),
            lines=tuple(BatchLine(m.report, m.partial, m.share, m.seed) for m in ordered),
        )

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """The batch in `raw`, for auditors and the other side. Raises BatchMalformed."""
        if len(raw) > MAXIMUM_BYTES:
            raise BatchMalformed(f"{len(raw)} bytes are over the limit of {MAXIMUM_BYTES}")
        try:
            batch = schema.decode(cls, raw)
            spelled = schema.encode(batch)
        except Malformed as error:
            raise BatchMalformed(f"the bytes are not a batch: {error.sentence}") from error
        reports = [line.report for line in batch.lines]
        clear = batch.protection is Protection.CLEAR
        if (
            spelled != raw
            or batch.format != FORMAT
            or batch.reports != len(reports)
            or not 0 < len(reports) <= MAXIMUM_REPORTS
            or any(late <= early for early, late in itertools.pairwise(reports))
            or any((line.seed is None) != clear for line in batch.lines)
            or any(n < 0 or n % _TENS for n in (batch.contributors_rounded, batch.capsules_rounded))
        ):
            raise BatchMalformed(
                "the bytes are not a batch in its one spelling",
                remedy="write it with protection.batch.Batch.encode",
            )
        for name in _distinct(batch.protection):
            _once(name, [getattr(line, name) for line in batch.lines])
        return batch

    def encode(self) -> bytes:
        """The canonical bytes: JSON of trust.schema, one spelling per batch."""
        return schema.encode(self)

    @property
    def digest(self) -> Digest:
        """What both sides sign."""
        return Digest.of(self.encode())


def check_agreement(ours: Batch, theirs: Batch) -> None:
    """Raise BatchDisagreement unless both are the same batch; it says in what they differ.

    Each side builds `ours` from reports that it verified itself, never from the other's list.
    """
    if ours == theirs:
        return
    mine, other = set(ours.lines), set(theirs.lines)
    names = [field.name for field in fields(Batch) if field.name != "lines"]
    differ = [name for name in names if getattr(ours, name) != getattr(theirs, name)]
    strange = sorted({line.report for line in mine ^ other})
    shown = ", ".join(strange[:_SHOWN]) + (", ..." if len(strange) > _SHOWN else "")
    raise BatchDisagreement(
        f"the other side's batch differs in {len(strange)} reports ({shown or 'none'})"
        + (f" and in {', '.join(differ)}" if differ else ""),
        remedy="nothing is opened; the leader prepares again with the reports both sides accepted",
    )


def _same_round(first: BatchMember, member: BatchMember) -> None:
    differ = [
        field.name
        for field in fields(Scope)
        if getattr(member.scope, field.name) != getattr(first.scope, field.name)
    ]
    if member.protection is not first.protection:
        differ.append("protection")
    if differ:
        raise BatchMixed(
            f"{member.report} and {first.report} differ in {', '.join(differ)}",
            remedy="open reports of one round, bundle, plan and parameter set together",
            report=member.report,
        )


def _distinct(protection: Protection) -> tuple[str, ...]:
    """What no two reports may share. Two workers may well have the same values in the clear."""
    return ("partial", "seed") if protection is Protection.CLEAR else ("partial", "share", "seed")


def _once(what: str, values: list[str | None]) -> None:
    counts = Counter(value for value in values if value is not None)
    if counts and max(counts.values()) > 1:
        ((twice, _),) = counts.most_common(1)
        raise ReportRepeated(
            f"the {what} {twice} is in this batch twice",
            remedy="count each worker's report of a round once",
        )


def _tens(count: int) -> int:
    return count // _TENS * _TENS
