"""A round is planned as soon as it can be: the first of a draft, or the next of a campaign."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sqlalchemy import bindparam
from sqlmodel import col, func, select

from scheduler.domain.planning import RoundPlan, WorkerFacts, plan_round
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.states import CampaignState, RoundState, UnitState
from scheduler.service import (
    committing,
    conclusions,
    consents,
    endings,
    helping,
    images,
    keyholding,
    outbox,
)
from scheduler.service.apart import apart
from scheduler.service.desk import Desk
from scheduler.service.facts import CampaignFacts, facts_of, keys_end
from scheduler.store.store import Transaction
from scheduler.store.tables import (
    AuthorisationRow,
    CampaignRow,
    MemberRow,
    RoundRow,
    UnitRow,
    WorkerRow,
)
from trust.documents import signed
from trust.documents.campaign import Plan, UnitKind
from trust.ids import AuthorisationId, CampaignId, Digest, UnitId, WorkerId
from trust.log.entry import Kind

_NO_TIME_LEFT = frozenset({Reason.AUTHORISATION_EXPIRED, Reason.KEYS_EXPIRED})
PLANNED = frozenset({CampaignState.DRAFT, CampaignState.RUNNING})
_DUE = (
    select(CampaignRow, AuthorisationRow.digest)
    .join(AuthorisationRow)
    .where(
        col(CampaignRow.state).in_([state.value for state in PLANNED]),
        col(CampaignRow.following).is_not(None),
    )
)
_PLANNED_ROUNDS = (
    select(func.count()).select_from(RoundRow).where(RoundRow.campaign == bindparam("campaign"))
)
_WORKERS = select(WorkerRow, MemberRow).join(MemberRow)


async def plan_rounds(desk: Desk) -> None:
    """Plan the due round of every campaign that can have one; say why the others wait."""

    def due(tx: Transaction) -> list[tuple[str, str, str, bool]]:
        return [
            (row.id, digest, row.bundle, row.state == CampaignState.DRAFT.value)
            for row, digest in tx.session.exec(_DUE)
        ]

    for campaign, authorisation, bundle, draft in await desk.look("list-due", due):
        step = _plan_one(desk, campaign, (authorisation, bundle), draft=draft)
        await apart(desk, campaign, step)


async def _plan_one(desk: Desk, campaign: str, rests: tuple[str, str], *, draft: bool) -> None:
    """`rests` are the digests of the vote and of the bundle."""
    facts = await asyncio.to_thread(facts_of, desk, *rests)
    # Workers seal and encrypt to the keys that the plan names: there is no plan before them.
    if draft and facts.with_helper and not await helping.engage(desk, campaign):
        return
    if draft and facts.encrypted and not await keyholding.engage(desk, campaign, facts):
        return
    # Looked at first on a snapshot: a draft that still waits costs no write.
    if await desk.look("preview-round", lambda tx: _would_change(tx, desk, campaign, facts)):
        await desk.run("plan-round", lambda tx: _plan(tx, desk, campaign, facts))


def worker_facts(tx: Transaction, facts: CampaignFacts) -> list[WorkerFacts]:
    """Every worker as the planner sees it."""
    authorisation = facts.authorisation
    live = consents.live_per_worker(
        tx, authorisation.bundle, authorisation.purpose, authorisation.tables
    )
    rows = tx.session.exec(_WORKERS).all()
    return [
        WorkerFacts(
            worker=WorkerId(row.name),
            operator=member.operator,
            capsules=live.get(row.name, 0),
            last_seen=row.last_seen,
            level=row.level,
            image=images.image_for(row, facts.needs.libraries),
            libraries=tuple(row.libraries.split()),
            contributes=row.contributes,
            draining=row.draining,
            banned=member.banned_at is not None,
            drained=row.drained_at is not None,
        )
        for row, member in rows
    ]


def _look(
    tx: Transaction, desk: Desk, campaign: str, facts: CampaignFacts
) -> tuple[CampaignRow, int, RoundPlan] | None:
    row = tx.session.get(CampaignRow, campaign)
    if row is None or row.following is None or CampaignState(row.state) not in PLANNED:
        return None
    number = 1 + tx.session.exec(_PLANNED_ROUNDS, params={"campaign": campaign}).one()
    seed = f"{campaign}/{number}/".encode()
    needs = replace(facts.needs, keys_end=keys_end(desk, row))
    return row, number, plan_round(worker_facts(tx, facts), needs, tx.now, seed)


def _would_change(tx: Transaction, desk: Desk, campaign: str, facts: CampaignFacts) -> bool:
    found = _look(tx, desk, campaign, facts)
    if found is None:
        return False
    row, _, plan = found
    waits = plan.reason is not Reason.NONE
    return not (waits and (row.reason, row.why) == (plan.reason.value, plan.why)) or (
        tx.now >= row.plan_before
    )


def _plan(tx: Transaction, desk: Desk, campaign: str, facts: CampaignFacts) -> None:
    found = _look(tx, desk, campaign, facts)
    if found is None:
        return
    row, number, plan = found
    assert row.following is not None
    if plan.reason is not Reason.NONE:
        if tx.now >= row.plan_before or plan.reason in _NO_TIME_LEFT:
            why = sentence(Reason.NEVER_PLANNED, what=plan.why)
            endings.end(tx, desk, row, CampaignState.FAILED, reason=Reason.NEVER_PLANNED, why=why)
        else:
            endings.move(tx, row, CampaignState(row.state), plan.reason, plan.why)
        return
    document = Plan(
        territory=desk.territory,
        campaign=CampaignId(row.id),
        round=number,
        bundle=Digest(row.bundle),
        authorisation=AuthorisationId(row.authorisation),
        parameters=Digest(row.following),
        issued_at=tx.now.replace(microsecond=0),
        deadline=plan.deadline.replace(microsecond=0),
        helper=None if row.helper is None else Digest(row.helper),
        epoch=None if row.epoch is None else Digest(row.epoch),
        after=conclusions.envelope_of(tx, row.id, number - 1),
    )
    # The consents that the plan rests on are committed before it is logged.
    committing.commit(tx, desk, committing.CONSENTS, None)
    digest = outbox.publish(tx, desk, Kind.PLAN, signed.sign(document, [desk.orders]), row.id)
    tx.session.add(
        RoundRow(
            campaign=row.id,
            number=number,
            state=RoundState.OPEN.value,
            plan=digest,
            parameters=row.following,
            target=plan.target,
            issued_at=document.issued_at,
            deadline=document.deadline,
            capsules=sum(worker.capsules for worker in plan.chosen),
            reason=Reason.WAITING_FOR_LOG.value,
            why=sentence(Reason.WAITING_FOR_LOG),
            waits_since=tx.now,
        )
    )
    tx.session.flush()
    for worker in plan.chosen:
        tx.session.add(_unit(tx, desk, document, digest, worker))
    row.following = None
    endings.move(tx, row, CampaignState.RUNNING, Reason.NONE, "")


def _unit(tx: Transaction, desk: Desk, plan: Plan, digest: str, worker: WorkerFacts) -> UnitRow:
    return UnitRow(
        id=UnitId.draw(desk.entropy),
        campaign=plan.campaign,
        round=plan.round,
        kind=UnitKind.CONTRIBUTE.value,
        worker=worker.worker,
        state=UnitState.WAITING.value,
        reason=Reason.WAITING_FOR_LOG.value,
        why=sentence(Reason.WAITING_FOR_LOG),
        capsules=worker.capsules,
        deadline=plan.deadline,
        maximum_attempts=desk.limits.maximum_attempts,
        lease_seconds=round(desk.limits.contribute_lease.total_seconds()),
        needs=digest,
        updated_at=tx.now,
        updated_by=tx.name,
    )
