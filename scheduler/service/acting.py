"""An operator's deeds, as pages, programs and the command line ask for them.

Each is one transaction: what was done before by the same request, whether it is allowed now, the
deed, its entry in the log. Asked again, it answers with what was done the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from scheduler.domain.allowing import (
    SENTENCES,
    Obstacle,
    Retried,
    against_cancel,
    against_drain,
    against_exclusion,
    against_resume,
    against_retry,
)
from scheduler.domain.events import Retry
from scheduler.domain.states import CampaignState, RoundState, UnitState
from scheduler.errors import ActionRefused, InputRefused, Unknown
from scheduler.service import actions, starting
from scheduler.service.actions import Actor, Deed
from scheduler.service.bell import for_worker
from scheduler.service.campaigns import stop_campaign
from scheduler.service.desk import Desk
from scheduler.service.exclusion import deny
from scheduler.service.finding import campaign_by, unit_by, worker_by
from scheduler.service.units import apply
from scheduler.store.store import Transaction
from scheduler.store.tables import ActionRow, CampaignRow, MemberRow, RoundRow, UnitRow, WorkerRow
from trust.documents.actions import Act
from trust.documents.campaign import UnitKind


async def act(
    desk: Desk, actor: Actor, deed: Act, subject: str, reason: str, *, request: str = ""
) -> ActionRow:
    """Do `deed` to the campaign, unit or worker called `subject` (an id, or a prefix of one).

    Raises Unknown, Ambiguous, InputRefused, Conflict; ActionRefused where it is not allowed now.
    """
    why = actions.require_reason(reason)
    actions.require_request(request)

    def work(tx: Transaction) -> ActionRow:
        return _DEEDS[deed](tx, desk, actor, subject, Deed(deed, why, request=request))

    match deed:
        case Act.CANCEL_CAMPAIGN:
            return await desk.run("cancel-campaign", work)
        case Act.RETRY_UNIT:
            return await desk.run("retry-unit", work)
        case Act.DRAIN_WORKER:
            return await desk.run("drain-worker", work)
        case Act.RESUME_WORKER:
            return await desk.run("resume-worker", work)
        case Act.EXCLUDE_WORKER:
            return await desk.run("ban-member", work)
    raise InputRefused(
        f"{deed.value} is not done to something that is there",
        remedy="start a campaign of a bundle",
    )


async def start(
    desk: Desk, actor: Actor, bundle: str, values: bytes, *, reason: str, request: str
) -> ActionRow:
    """Start a campaign as `starting.start` does. Raises what that raises, and InputRefused."""
    why = actions.require_reason(reason)
    view = await starting.start(desk, None, bundle, values, request, reason=why, actor=actor)
    deed = Deed(Act.START_CAMPAIGN, why, campaign=view.row.id, request=request)
    found = await desk.look("find-action", lambda tx: actions.known(tx, actor, deed))
    assert found is not None, "a start from here is logged with its request"
    return found


def obstacle(tx: Transaction, deed: Act, subject: str) -> Obstacle | None:
    """What keeps `deed` from being done to `subject` now. Raises Unknown, Ambiguous."""
    match deed:
        case Act.CANCEL_CAMPAIGN:
            return against_cancel(CampaignState(campaign_by(tx, subject).state))
        case Act.RETRY_UNIT:
            return against_retry(_retried(tx, unit_by(tx, subject)), tx.now)
        case Act.START_CAMPAIGN:
            return None
    worker = worker_by(tx, subject)
    excluded = _member(tx, worker.name).banned_at is not None
    drained = worker.drained_at is not None
    if deed is Act.DRAIN_WORKER:
        return against_drain(excluded=excluded, drained=drained)
    if deed is Act.RESUME_WORKER:
        return against_resume(excluded=excluded, drained=drained)
    return against_exclusion(excluded=excluded)


def _cancel(tx: Transaction, desk: Desk, actor: Actor, subject: str, deed: Deed) -> ActionRow:
    row = campaign_by(tx, subject)
    deed = replace(deed, campaign=row.id)
    done = _before(tx, actor, deed, row.id)
    return done or stop_campaign(tx, desk, row, actor, deed)


def _retry(tx: Transaction, desk: Desk, actor: Actor, subject: str, deed: Deed) -> ActionRow:
    row = unit_by(tx, subject)
    deed = replace(deed, campaign=row.campaign, unit=row.id)
    if done := _before(tx, actor, deed, row.id):
        return done
    apply(tx, desk, row, Retry())
    return actions.record(tx, desk, actor, deed)


def _drain(tx: Transaction, desk: Desk, actor: Actor, subject: str, deed: Deed) -> ActionRow:
    """It finishes what it has; from the next exchange on, and in plans, it gets nothing new."""
    row = worker_by(tx, subject)
    deed = replace(deed, worker=row.name)
    if done := _before(tx, actor, deed, row.name):
        return done
    row.drained_at = tx.now
    tx.rings.add(for_worker(row.name))
    return actions.record(tx, desk, actor, deed)


def _resume(tx: Transaction, desk: Desk, actor: Actor, subject: str, deed: Deed) -> ActionRow:
    row = worker_by(tx, subject)
    deed = replace(deed, worker=row.name)
    if done := _before(tx, actor, deed, row.name):
        return done
    row.drained_at = None
    tx.rings.add(for_worker(row.name))
    return actions.record(tx, desk, actor, deed)


def _exclude(tx: Transaction, desk: Desk, actor: Actor, subject: str, deed: Deed) -> ActionRow:
    row = worker_by(tx, subject)
    deed = replace(deed, worker=row.name)
    if done := _before(tx, actor, deed, row.name):
        return done
    deny(tx, desk, row.name, deed.reason, actor=actor, request=deed.request)
    found = actions.newest(tx, Act.EXCLUDE_WORKER, row.name)
    assert found is not None
    return found


_DEEDS: Mapping[Act, Callable[[Transaction, Desk, Actor, str, Deed], ActionRow]] = {
    Act.CANCEL_CAMPAIGN: _cancel,
    Act.RETRY_UNIT: _retry,
    Act.DRAIN_WORKER: _drain,
    Act.RESUME_WORKER: _resume,
    Act.EXCLUDE_WORKER: _exclude,
}


def _before(tx: Transaction, actor: Actor, deed: Deed, subject: str) -> ActionRow | None:
    """What this request did before; None when it is to be done now. Raises ActionRefused."""
    done = actions.known(tx, actor, deed)
    if done is None and (found := obstacle(tx, deed.act, subject)) is not None:
        raise ActionRefused(found, SENTENCES[found])
    return done


def _retried(tx: Transaction, row: UnitRow) -> Retried:
    campaign = tx.session.get(CampaignRow, row.campaign)
    entry = tx.session.get(RoundRow, (row.campaign, row.round))
    assert campaign is not None
    assert entry is not None
    worker = None if row.worker is None else tx.session.get(WorkerRow, row.worker)
    return Retried(
        kind=UnitKind(row.kind),
        unit=UnitState(row.state),
        backing_off=row.not_before is not None,
        deadline=row.deadline,
        campaign=CampaignState(campaign.state),
        round=RoundState(entry.state),
        worker_excluded=worker is not None and _member(tx, worker.name).banned_at is not None,
        worker_drained=worker is not None and worker.drained_at is not None,
    )


def _member(tx: Transaction, name: str) -> MemberRow:
    row = tx.session.get(MemberRow, name)
    if row is None:
        raise Unknown(f"no member {name[:80]!r}")
    return row
