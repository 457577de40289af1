"""Closing a round and opening its batch, exactly once, in two steps.

Prepare (one transaction): no report is accepted any more, the accept list is frozen and its
digest stored. Commit (one transaction): the aggregate of exactly that list is bound to the round
by its Opening. If we crash before prepare, the round is still open; between the two, the next
turn finds the frozen list and computes the aggregate again (what differs was never published);
after commit, the Opening is in the outbox and is the only one: the round's state and a unique
column both refuse a second. Between the two others are asked: under `shared` the helper
(`collecting`), under `encrypted` also the keyholder (`ciphering`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import bindparam
from sqlmodel import col, select

from jobs import aggregate
from jobs.errors import AggregateRefused
from protection.batch import Batch, BatchMember
from scheduler.domain.planning import PartialFacts, may_open, round_down
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.states import FINAL_UNIT, CampaignState, RoundState, UnitState
from scheduler.errors import BatchUnfit
from scheduler.service import ciphering, collecting, endings, outbox
from scheduler.service.apart import apart
from scheduler.service.bell import for_campaign
from scheduler.service.desk import Desk
from scheduler.service.facts import CampaignFacts, facts_of
from scheduler.service.members import Member, members_of
from scheduler.service.opened import Opened
from scheduler.service.shares import forget_halves
from scheduler.service.units import cancel_all
from scheduler.store.store import Transaction
from scheduler.store.tables import AuthorisationRow, CampaignRow, RoundRow, UnitRow
from trust.documents import signed
from trust.documents.campaign import Opening, UnitKind
from trust.documents.reporting import Partial
from trust.ids import CampaignId, Digest, UnitId
from trust.log.entry import Kind

_IN_STATE = (
    select(RoundRow.campaign, RoundRow.number, AuthorisationRow.digest, CampaignRow.bundle)
    .join(CampaignRow, col(CampaignRow.id) == col(RoundRow.campaign))
    .join(AuthorisationRow, col(AuthorisationRow.id) == col(CampaignRow.authorisation))
    .where(RoundRow.state == bindparam("state"))
)
_STATES = select(UnitRow.state).where(
    UnitRow.campaign == bindparam("campaign"),
    UnitRow.round == bindparam("round"),
    UnitRow.kind == UnitKind.CONTRIBUTE.value,
)


async def close_rounds(desk: Desk) -> None:
    """Prepare every round that is due, then open every round that is prepared."""
    for state, step in (
        (RoundState.OPEN, _prepare_one),
        (RoundState.PREPARING, _open_one),
    ):

        def candidates(
            tx: Transaction, state: RoundState = state
        ) -> list[tuple[str, int, str, str]]:
            return [
                (a, b, c, d)
                for a, b, c, d in tx.session.exec(_IN_STATE, params={"state": state.value})
            ]

        for campaign, number, authorisation, bundle in await desk.look("list-rounds", candidates):
            rests = (authorisation, bundle)
            await apart(desk, campaign, _take_step(desk, (campaign, number), rests, step))


async def _take_step(
    desk: Desk,
    key: tuple[str, int],
    rests: tuple[str, str],
    step: Callable[[Desk, str, int, CampaignFacts], Awaitable[None]],
) -> None:
    """`rests` are the digests of the vote and of the bundle."""
    facts = await asyncio.to_thread(facts_of, desk, *rests)
    await step(desk, *key, facts)


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
) -> tuple[tuple[bool, Reason, str], list[Member]]:
    named = {"campaign": row.campaign, "round": row.number}
    states = tx.session.exec(_STATES, params=named).all()
    members = members_of(tx, row)
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
        target=row.target,
        all_ended=all(UnitState(state) in FINAL_UNIT for state in states),
        past_deadline=tx.now >= row.deadline,
    )
    if not closes and row.reason == Reason.WAITING_FOR_LOG.value:
        reason, why = Reason.WAITING_FOR_LOG, row.why
    return (closes, reason, why), members


def _prepare(tx: Transaction, desk: Desk, campaign: str, number: int, facts: CampaignFacts) -> None:
    row = tx.session.get(RoundRow, (campaign, number))
    if row is None or row.state != RoundState.OPEN.value:
        return
    (closes, reason, why), members = _decide(tx, row, facts)
    if closes and reason is Reason.NONE:
        row.batch = outbox.keep_blob(tx, desk, batch_of(members).encode())
        row.contributors = sum(member.attempt.contributors for member in members)
        endings.move_round(tx, row, RoundState.PREPARING, "", "")
        tx.session.flush()
        late = sentence(Reason.ROUND_CLOSED)
        cancel_all(tx, desk, campaign, Reason.ROUND_CLOSED, late, number=number)
    elif closes:
        _abort(tx, desk, campaign, reason, why)
    else:
        endings.move_round(tx, row, RoundState.OPEN, reason.value, why)
        entry = tx.session.get(CampaignRow, campaign)
        if entry is not None and entry.reason == Reason.WAITING_FOR_REPAIR.value:
            endings.move(tx, entry, CampaignState(entry.state), Reason.NONE, "")
    tx.rings.add(for_campaign(campaign))


async def _open_one(desk: Desk, campaign: str, number: int, facts: CampaignFacts) -> None:
    key = (campaign, number)

    def frozen(tx: Transaction) -> list[Member]:
        row = tx.session.get(RoundRow, key)
        assert row is not None
        return members_of(tx, row)

    members = await desk.look("read-batch", frozen)
    try:
        opened: Opened | None = None
        if facts.with_helper:
            collect = ciphering.collect if facts.encrypted else collecting.collect
            opened = await collect(desk, key, facts, members)
            if opened is None:
                return
            blob, partials = opened.aggregate, opened.partials
        else:
            blob = await asyncio.to_thread(_sum, desk, members, facts)
            partials = len(members)
    except (AggregateRefused, BatchUnfit) as error:
        unfit = isinstance(error, BatchUnfit)
        reason = Reason.BATCH_UNFIT if unfit else Reason.VALUES_REFUSED
        why = sentence(reason, what=error.sentence)
        await desk.run("abort-round", lambda tx: _abort(tx, desk, campaign, reason, why))
        return
    last = number == facts.bundle.manifest.rounds.maximum
    await desk.run("open-round", lambda tx: _open(tx, desk, key, (blob, partials, last), opened))


def _sum(desk: Desk, members: list[Member], facts: CampaignFacts) -> bytes:
    """The aggregate of the frozen list, from bytes that are verified once more."""
    rules = facts.authorisation.rules
    parts = []
    for member in members:
        partial = signed.verify(Partial, member.envelope, {member.key}).document
        values = aggregate.decode_partial(rules, desk.blobs.get(partial.values))
        parts.append(aggregate.Part(values, partial.variances))
    return aggregate.combine(rules, parts)


def _open(
    tx: Transaction,
    desk: Desk,
    key: tuple[str, int],
    aggregated: tuple[bytes, int, bool],
    opened: Opened | None,
) -> None:
    """`aggregated` is the aggregate's blob, over how many partials it goes, and if it is the last.

    The campaign concludes with its last round; before that it runs, and so does its next round.
    """
    (campaign, number), (blob, partials, last) = key, aggregated
    row = tx.session.get(RoundRow, key)
    entry = tx.session.get(CampaignRow, campaign)
    assert row is not None
    assert entry is not None
    if row.state != RoundState.PREPARING.value or row.batch is None:
        return
    row.aggregate = outbox.keep_blob(tx, desk, blob)
    shares = () if opened is None else opened.store(tx, desk, row)
    document = Opening(
        territory=desk.territory,
        campaign=CampaignId(campaign),
        round=number,
        plan=Digest(row.plan),
        parameters=Digest(row.parameters),
        batch=Digest(row.batch),
        partials=partials,
        contributors_rounded=round_down(row.contributors),
        aggregate=Digest(row.aggregate),
        opened_at=tx.now,
        shares=shares,
    )
    envelope = signed.sign(document, [desk.orders])
    row.opening = outbox.publish(tx, desk, Kind.OPENING, envelope, campaign)
    endings.move_round(tx, row, RoundState.OPENED, "", "")
    forget_halves(tx, campaign)
    tx.session.flush()
    tx.session.add(_conclude_unit(tx, desk, row))
    why = sentence(Reason.WAITING_FOR_CONCLUDER)
    state = CampaignState.CONCLUDING if last else CampaignState.RUNNING
    endings.move(tx, entry, state, Reason.WAITING_FOR_CONCLUDER, why)


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


def batch_of(members: list[Member]) -> Batch:
    """The batch of these partials, from bytes that are verified once more."""
    found = []
    for member in members:
        partial = signed.verify(Partial, member.envelope, {member.key})
        found.append(BatchMember.of(partial.document, partial.digest, partial.document.sealed))
    return Batch.of(found)
