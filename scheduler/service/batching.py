"""Which reports count: the helper's accept list, the batch made of it, the leader's commitment.

Nothing is opened before the commitment stands in the witnessed log, and a round has one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protection.batch import Batch, BatchMember
from protection.cohort import Standing, check_batch
from protection.errors import ProtectionError
from scheduler.domain.reasons import Reason, quote, sentence
from scheduler.errors import BatchUnfit, HelperUnavailable
from scheduler.service import outbox
from scheduler.service.desk import Desk
from scheduler.service.members import Member
from scheduler.store.store import Transaction
from scheduler.store.tables import CampaignRow, RoundRow, UnitRow
from trust.documents import signed
from trust.documents.aggregation import (
    AcceptList,
    AggregateShare,
    BatchCommitment,
    BatchQuestion,
    Side,
)
from trust.documents.reporting import Partial
from trust.documents.root import Duty
from trust.documents.rules import ReleaseRules
from trust.ids import CampaignId, Digest, ReportId
from trust.log.entry import Kind
from trust.problem import Problem
from wire.aggregation import (
    CommitAnswer,
    CommitRequest,
    LoggedDocument,
    PrepareRequest,
    SealedReport,
    content_of,
)


@dataclass(frozen=True)
class Committed:
    """A batch that the helper accepted, ready to be stored and logged."""

    accept: signed.Signed[AcceptList]
    members: tuple[Member, ...]
    batch: Batch
    commitment: signed.Signed[BatchCommitment]
    left_out: dict[str, str]  # why, by the unit whose report does not count

    def store(self, tx: Transaction, desk: Desk, row: RoundRow) -> None:
        """Bind the round to this batch, and queue the commitment for the log."""
        outbox.keep_blob(tx, desk, self.accept.envelope.raw, public=False)
        row.accepted = self.accept.digest
        row.batch = outbox.keep_blob(tx, desk, self.batch.encode())
        row.commitment = outbox.publish(tx, desk, Kind.BATCH, self.commitment, row.campaign)
        row.contributors = sum(member.attempt.contributors for member in self.members)
        for unit, why in self.left_out.items():
            entry = tx.session.get(UnitRow, unit)
            assert entry is not None
            entry.reason, entry.why = Reason.LEFT_OUT.value, why


@dataclass(frozen=True)
class HelperSum:
    """The helper's verified half of a committed batch, and that batch."""

    share: signed.Signed[AggregateShare]
    masks: bytes
    batch: Batch


async def read_rows(desk: Desk, key: tuple[str, int]) -> tuple[RoundRow, CampaignRow]:
    """A round and its campaign."""

    def look(tx: Transaction) -> tuple[RoundRow, CampaignRow]:
        row, entry = tx.session.get(RoundRow, key), tx.session.get(CampaignRow, key[0])
        assert row is not None
        assert entry is not None
        return row, entry

    return await desk.look("read-round", look)


async def ask_helper(
    desk: Desk,
    row: RoundRow,
    entry: CampaignRow,
    rules: tuple[ReleaseRules, ...],
    members: Sequence[Member],
) -> Committed:
    """The batch of those `members` whom the helper accepts.

    Raises BatchUnfit, HelperDenied, HelperUnavailable, NotLogged.
    """

    def question(tx: Transaction) -> PrepareRequest:
        plan = exhibit(tx, desk, row.plan)
        reports = tuple(_sealed(member) for member in members)
        shown = enrolments(tx, desk, members)
        # Signed, over every byte: the helper answers nobody else.
        asked = BatchQuestion(
            territory=desk.territory,
            campaign=CampaignId(row.campaign),
            round=row.number,
            content=content_of(plan, reports, shown),
        )
        envelope = signed.sign(asked, [desk.orders]).envelope.raw
        return PrepareRequest(envelope, plan, reports, shown)

    request = await desk.look("read-question", question)
    raw = await asyncio.to_thread(desk.helper.prepare, request)
    accept = _verified(desk, AcceptList, raw)
    document = accept.document
    if (document.campaign, document.round, document.plan) != (row.campaign, row.number, row.plan):
        raise HelperUnavailable("the helper's accept list is for another round")
    chosen = accepted(members, document.accepted)
    if len(chosen) != len(document.accepted):
        raise HelperUnavailable("the helper accepted reports that it was not given")
    batch = _batch(rules, chosen)
    commitment = BatchCommitment(
        territory=desk.territory,
        campaign=CampaignId(row.campaign),
        round=row.number,
        plan=Digest(row.plan),
        parameters=Digest(row.parameters),
        helper=Digest(entry.helper or ""),
        batch=batch.digest,
        partials=batch.reports,
        contributors_rounded=batch.contributors_rounded,
        committed_at=desk.now().replace(microsecond=0),
    )
    return Committed(
        accept,
        tuple(chosen),
        batch,
        signed.sign(commitment, [desk.orders]),
        left_out("helper", members, document),
    )


async def ask_helper_sum(desk: Desk, row: RoundRow, variances: dict[str, str]) -> HelperSum:
    """The helper's half of the committed batch; `variances` is the noise that it must have.

    Raises HelperDenied, HelperUnavailable, NotLogged.
    """
    commitment, lines = await committed_batch(desk, row)
    answer = await asyncio.to_thread(desk.helper.commit, CommitRequest(commitment, lines))
    share = _verified(desk, AggregateShare, answer.share)
    batch = Batch.decode(lines)
    _require_answer(row, batch, share.document, answer, variances)
    return HelperSum(share, answer.values, batch)


async def committed_batch(desk: Desk, row: RoundRow) -> tuple[LoggedDocument, bytes]:
    """The commitment with its proof, and the batch's lines. Raises NotLogged."""
    assert row.commitment is not None
    assert row.batch is not None
    commitment, batch = row.commitment, Digest(row.batch)
    shown = await desk.look("read-proof", lambda tx: exhibit(tx, desk, commitment))
    return shown, await asyncio.to_thread(desk.blobs.get, batch)


def exhibit(tx: Transaction, desk: Desk, digest: str) -> LoggedDocument:
    """A logged envelope with its proof. Raises NotLogged."""
    proof = outbox.proof_of(tx, digest)
    return LoggedDocument(desk.blobs.get(Digest(digest)), proof.encode())


def enrolments(
    tx: Transaction, desk: Desk, members: Sequence[Member]
) -> tuple[LoggedDocument, ...]:
    """The logged enrolments of the workers behind `members`. Raises NotLogged."""
    digests = sorted({member.enrolment for member in members})
    return tuple(exhibit(tx, desk, digest) for digest in digests)


def accepted(members: Sequence[Member], reports: Sequence[ReportId]) -> list[Member]:
    """Those of `members` whose report is in `reports`."""
    wanted = {str(report) for report in reports}
    return [member for member in members if member.attempt.report in wanted]


def members_in(members: Sequence[Member], batch: Batch) -> list[Member]:
    """Who stands behind the batch's lines. Raises BatchUnfit."""
    chosen = accepted(members, [line.report for line in batch.lines])
    if len(chosen) != batch.reports:
        raise BatchUnfit("a report of the batch is gone")
    return chosen


def partials(members: Sequence[Member]) -> Iterator[Partial]:
    """What the members signed, verified once more."""
    for member in members:
        yield signed.verify(Partial, member.envelope, {member.key}).document


def left_out(who: str, members: Sequence[Member], accept: AcceptList) -> dict[str, str]:
    """Why `who` counts the others' reports not, by unit."""
    codes = {str(item.report): item.code for item in accept.dropped}
    counted = {str(report) for report in accept.accepted}

    def why(member: Member) -> str:
        code = codes.get(str(member.attempt.report), "report-dropped")
        return sentence(Reason.LEFT_OUT, who=who, code=quote(code))

    return {
        member.attempt.unit: why(member)
        for member in members
        if member.attempt.report not in counted
    }


def _batch(rules: tuple[ReleaseRules, ...], members: Sequence[Member]) -> Batch:
    """The batch of `members`, large enough by the voted rules. Raises BatchUnfit."""
    try:
        standings = [
            Standing(
                worker=member.key.worker_id,
                operator=member.operator,
                contributors=member.attempt.contributors,
                capsules=member.attempt.capsules,
            )
            for member in members
        ]
        check_batch(rules, standings)
        return Batch.of(_batch_member(member) for member in members)
    except ProtectionError as error:
        raise BatchUnfit(error.sentence) from error


def _batch_member(member: Member) -> BatchMember:
    partial = signed.verify(Partial, member.envelope, {member.key})
    return BatchMember.of(partial.document, partial.digest, partial.document.sealed)


def _sealed(member: Member) -> SealedReport:
    if member.attempt.sealed is None:
        raise BatchUnfit("a partial of the batch has no sealed seed")
    return SealedReport(member.envelope, member.attempt.sealed)


def _verified(desk: Desk, cls: type[signed.D], raw: bytes) -> signed.Signed[signed.D]:
    try:
        return desk.root.verify(cls, raw, Duty.HELPER)
    except Problem as problem:
        raise HelperUnavailable(
            f"the helper's {cls.__name__} does not verify: {problem.sentence}",
            remedy="check that --helper is the address of this territory's helper",
        ) from problem


def _require_answer(
    row: RoundRow,
    batch: Batch,
    share: AggregateShare,
    answer: CommitAnswer,
    variances: dict[str, str],
) -> None:
    pairs: tuple[tuple[str, object, object], ...] = (
        ("side", share.side, Side.HELPER),
        ("campaign", share.campaign, row.campaign),
        ("round", share.round, row.number),
        ("territory", share.territory, batch.scope.territory),
        ("plan", share.plan, row.plan),
        ("parameters", share.parameters, batch.scope.parameters),
        ("batch", share.batch, row.batch),
        ("values", share.values, Digest.of(answer.values)),
        ("noise", share.variances, variances),
    )
    for name, said, expected in pairs:
        if said != expected:
            raise HelperUnavailable(f"the helper's share is for another {name}")
