"""Closing a round and opening its batch, exactly once, in two steps.

Prepare (one transaction): no report is accepted any more, the accept list is frozen and its
digest stored. Commit (one transaction): the aggregate of exactly that list is bound to the round
by its Opening. If we crash before prepare, the round is still open; between the two, the next
turn finds the frozen list and computes the same aggregate again (only the Opening's moment may
differ, and none was published); after commit, the Opening is in the outbox and is the only one:
the round's state and a unique column both refuse a second.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlmodel import col, select

from jobs import aggregate
from jobs.errors import AggregateRefused
from scheduler.domain.batches import batch_lines
from scheduler.domain.planning import PartialFacts, may_open, round_down
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.states import (
    FINAL_UNIT,
    AttemptState,
    CampaignState,
    RoundState,
    UnitState,
)
from scheduler.service import endings, outbox
from scheduler.service.bell import for_campaign
from scheduler.service.desk import Desk
from scheduler.service.facts import CampaignFacts, facts_of
from scheduler.service.units import cancel_all
from scheduler.store.store import Transaction
from scheduler.store.tables import (
    AttemptRow,
    AuthorisationRow,
    CampaignRow,
    MemberRow,
    RestrictedRow,
    RoundRow,
    UnitRow,
)
from trust.documents import signed
from trust.documents.campaign import Opening, UnitKind
from trust.documents.reporting import Partial
from trust.ids import CampaignId, Digest, ReportId, UnitId
from trust.keys import PublicKey
from trust.log.entry import Kind


@dataclass(frozen=True)
class _Member:
    """One accepted partial: its envelope, its worker's key, its operator."""

    attempt: AttemptRow
    envelope: bytes
    key: PublicKey
    operator: str


async def close_rounds(desk: Desk) -> None:
    """Prepare every round that is due, then open every round that is prepared."""
    for state, step in (
        (RoundState.OPEN, _prepare_one),
        (RoundState.PREPARING, _open_one),
    ):

        def candidates(
            tx: Transaction, state: RoundState = state
        ) -> list[tuple[str, int, str, str]]:
            query = (
                select(
                    RoundRow.campaign, RoundRow.number, AuthorisationRow.digest, CampaignRow.bundle
                )
                .join(CampaignRow, col(CampaignRow.id) == col(RoundRow.campaign))
                .join(AuthorisationRow, col(AuthorisationRow.id) == col(CampaignRow.authorisation))
                .where(RoundRow.state == state.value)
            )
            return [(a, b, c, d) for a, b, c, d in tx.session.exec(query)]

        for campaign, number, authorisation, bundle in await desk.look("list-rounds", candidates):
            facts = await asyncio.to_thread(facts_of, desk, authorisation, bundle)
            await step(desk, campaign, number, facts)


async def _prepare_one(desk: Desk, campaign: str, number: int, facts: CampaignFacts) -> None:
    def due(tx: Transaction) -> bool:
        row = tx.session.get(RoundRow, (campaign, number))
        assert row is not None
        _, reason, why = _decide(tx, row, facts)[0]
        return (row.reason, row.why) != (reason.value, why)

    if await desk.look("preview-closing", due):
        await desk.run("prepare-round", lambda tx: _prepare(tx, desk, campaign, number, facts))


def _decide(
    tx: Transaction, row: RoundRow, facts: CampaignFacts
) -> tuple[tuple[bool, Reason, str], list[_Member]]:
    units = tx.session.exec(
        select(UnitRow).where(
            UnitRow.campaign == row.campaign,
            UnitRow.round == row.number,
            UnitRow.kind == UnitKind.CONTRIBUTE.value,
        )
    ).all()
    members = _members(tx, row)
    partials = [
        PartialFacts(
            worker=member.key.worker_id,
            operator=member.operator,
            capsules=member.attempt.capsules,
            contributors=member.attempt.contributors,
        )
        for member in members
    ]
    closes, reason, why = may_open(
        partials,
        facts.needs,
        all_ended=all(UnitState(unit.state) in FINAL_UNIT for unit in units),
        past_deadline=tx.now >= row.deadline,
    )
    if not closes and row.reason == Reason.WAITING_FOR_LOG.value:
        reason, why = Reason.WAITING_FOR_LOG, row.why
    return (closes, reason, why), members


def _members(tx: Transaction, row: RoundRow) -> list[_Member]:
    query = (
        select(AttemptRow, RestrictedRow.envelope, MemberRow.key, MemberRow.operator)
        .join(UnitRow, col(UnitRow.id) == col(AttemptRow.unit))
        .join(RestrictedRow, col(RestrictedRow.digest) == col(AttemptRow.statement))
        .join(MemberRow, col(MemberRow.name) == col(AttemptRow.worker))
        .where(
            UnitRow.campaign == row.campaign,
            UnitRow.round == row.number,
            UnitRow.kind == UnitKind.CONTRIBUTE.value,
            AttemptRow.state == AttemptState.ACCEPTED.value,
        )
        .order_by(col(AttemptRow.report))
    )
    return [
        _Member(attempt, envelope, PublicKey.parse(key), operator)
        for attempt, envelope, key, operator in tx.session.exec(query)
    ]


def _prepare(tx: Transaction, desk: Desk, campaign: str, number: int, facts: CampaignFacts) -> None:
    row = tx.session.get(RoundRow, (campaign, number))
    if row is None or row.state != RoundState.OPEN.value:
        return
    (closes, reason, why), members = _decide(tx, row, facts)
    if closes and reason is Reason.NONE:
        lines = batch_lines(
            (ReportId(member.attempt.report or ""), Digest.of(member.envelope))
            for member in members
        )
        row.batch = outbox.keep_blob(tx, desk, lines)
        row.contributors = sum(member.attempt.contributors for member in members)
        row.state, row.reason, row.why = RoundState.PREPARING.value, "", ""
        tx.session.flush()
        late = sentence(Reason.ROUND_CLOSED)
        cancel_all(tx, desk, campaign, Reason.ROUND_CLOSED, late, number=number)
    elif closes:
        _abort(tx, desk, campaign, reason, why)
    else:
        row.reason, row.why = reason.value, why
    tx.rings.add(for_campaign(campaign))


async def _open_one(desk: Desk, campaign: str, number: int, facts: CampaignFacts) -> None:
    def frozen(tx: Transaction) -> list[_Member]:
        row = tx.session.get(RoundRow, (campaign, number))
        assert row is not None
        return _members(tx, row)

    members = await desk.look("read-batch", frozen)
    try:
        blob = await asyncio.to_thread(_sum, desk, members, facts)
    except AggregateRefused as error:
        why = error.sentence
        await desk.run(
            "abort-round", lambda tx: _abort(tx, desk, campaign, Reason.VALUES_REFUSED, why)
        )
        return
    await desk.run("open-round", lambda tx: _open(tx, desk, (campaign, number), blob, len(members)))


def _sum(desk: Desk, members: list[_Member], facts: CampaignFacts) -> bytes:
    """The aggregate of the frozen list, from bytes that are verified once more."""
    rules = facts.authorisation.rules
    parts = []
    for member in members:
        partial = signed.verify(Partial, member.envelope, {member.key}).document
        values = aggregate.decode_partial(rules, desk.blobs.get(partial.values))
        parts.append(aggregate.Part(values, partial.variances))
    return aggregate.combine(rules, parts)


def _open(tx: Transaction, desk: Desk, key: tuple[str, int], blob: bytes, partials: int) -> None:
    campaign, number = key
    row = tx.session.get(RoundRow, key)
    entry = tx.session.get(CampaignRow, campaign)
    assert row is not None
    assert entry is not None
    if row.state != RoundState.PREPARING.value or row.batch is None:
        return
    row.aggregate = outbox.keep_blob(tx, desk, blob)
    document = Opening(
        territory=desk.territory,
        campaign=CampaignId(campaign),
        round=number,
        plan=Digest(row.plan),
        parameters=Digest(entry.parameters),
        batch=Digest(row.batch),
        partials=partials,
        contributors_rounded=round_down(row.contributors),
        aggregate=Digest(row.aggregate),
        opened_at=tx.now,
    )
    envelope = signed.sign(document, [desk.orders])
    row.opening = outbox.publish(tx, desk, Kind.OPENING, envelope, campaign)
    row.state = RoundState.OPENED.value
    tx.session.flush()
    tx.session.add(_conclude_unit(tx, desk, row))
    why = sentence(Reason.WAITING_FOR_CONCLUDER)
    endings.move(tx, entry, CampaignState.CONCLUDING, Reason.WAITING_FOR_CONCLUDER, why)


def _conclude_unit(tx: Transaction, desk: Desk, row: RoundRow) -> UnitRow:
    assert row.opening is not None
    return UnitRow(
        id=UnitId.draw(desk.entropy),
        campaign=row.campaign,
        round=row.number,
        kind=UnitKind.CONCLUDE.value,
        worker=None,
        state=UnitState.WAITING.value,
        reason=Reason.WAITING_FOR_LOG.value,
        why=sentence(Reason.WAITING_FOR_LOG),
        deadline=tx.now + desk.limits.conclude_deadline,
        maximum_attempts=desk.limits.maximum_attempts,
        lease_seconds=round(desk.limits.conclude_lease.total_seconds()),
        needs=row.opening,
        updated_at=tx.now,
        updated_by=tx.name,
    )


def _abort(tx: Transaction, desk: Desk, campaign: str, reason: Reason, why: str) -> None:
    entry = tx.session.get(CampaignRow, campaign)
    assert entry is not None
    endings.end(tx, desk, entry, CampaignState.FAILED, reason=reason, why=why)
