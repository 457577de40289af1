"""What operators did by hand: each deed sound, and the grid did as it says.

The scheduler signs these; no operator does. So they bind the scheduler to what it says was asked
of it, and to having obeyed. That a person asked for it, and which one, no file can show.
"""

from __future__ import annotations

from datetime import datetime

from audit.checks.orders import Ordered
from audit.errors import AuditFailure
from audit.records import Logged, Records
from trust.documents.actions import Act, OperatorAction, flaw
from trust.documents.campaign import Plan
from trust.ids import CampaignId, WorkerId


def formed(records: Records) -> str:
    """Every deed names what its kind is done to, and no two have one name."""
    seen = set()
    for logged in records.actions:
        deed = logged.document
        if wrong := flaw(deed):
            raise AuditFailure(f"the action in entry {logged.index} is no sound one: {wrong}")
        if deed.id in seen:
            raise AuditFailure(f"two entries say that they are the action {deed.id}")
        seen.add(deed.id)
    actors = {logged.document.actor for logged in records.actions}
    return f"{len(records.actions)} actions of {len(actors)} operators"


def campaigns(records: Records) -> str:
    """A campaign is started once, before its first plan, and nothing follows its cancellation."""
    first = {plan.document.campaign: plan for plan in reversed(records.plans)}
    started: set[CampaignId] = set()
    cancelled: dict[CampaignId, int] = {}
    for logged in records.actions:
        deed = logged.document
        if deed.campaign is None:
            continue
        if deed.campaign in cancelled:
            raise AuditFailure(
                f"{deed.act.value} of {deed.campaign} in entry {logged.index} follows its "
                "cancellation"
            )
        planned = first.get(deed.campaign)
        match deed.act:
            case Act.START_CAMPAIGN:
                if deed.campaign in started:
                    raise AuditFailure(f"{deed.campaign} was started twice")
                started.add(deed.campaign)
                _require_first(logged, planned)
            case Act.CANCEL_CAMPAIGN:
                cancelled[deed.campaign] = logged.index
            case _ if planned is None or planned.index > logged.index:
                raise AuditFailure(f"a unit of {deed.campaign} was retried before it was planned")
    for what, campaign, index in _moves(records):
        if index > cancelled.get(campaign, index):
            raise AuditFailure(f"a {what} of {campaign} follows its cancellation in the log")
    return f"{len(started)} starts, {len(cancelled)} cancellations that hold"


def workers(records: Records) -> str:
    """Drained and let to work again in turn; excluded where the exclusion itself is logged."""
    drained: set[WorkerId] = set()
    excluded: set[WorkerId] = set()
    banned = {logged.document.worker: logged.index for logged in records.exclusions}
    for logged in records.actions:
        deed = logged.document
        if deed.worker is None:
            continue
        records.enrolment(deed.worker, logged.index)
        if deed.worker in excluded:
            raise AuditFailure(f"{deed.act.value} of {deed.worker} follows its exclusion")
        match deed.act:
            case Act.EXCLUDE_WORKER:
                excluded.add(deed.worker)
                if banned.get(deed.worker, logged.index) >= logged.index:
                    raise AuditFailure(
                        f"an operator excluded {deed.worker}, and the log does not before"
                    )
            case Act.DRAIN_WORKER if deed.worker not in drained:
                drained.add(deed.worker)
            case Act.RESUME_WORKER if deed.worker in drained:
                drained.remove(deed.worker)
            case _:
                raise AuditFailure(f"{deed.act.value} of {deed.worker} changes nothing")
    since = records.actions[0].index if records.actions else None
    for worker, index in banned.items():
        if since is not None and index > since and worker not in excluded:
            raise AuditFailure(f"{worker} was excluded in entry {index}, by no logged action")
    return f"{len(excluded)} exclusions, {len(drained)} workers drained at the end"


def obeyed(records: Records, ordered: Ordered) -> str:
    """No order was given to a drained worker, nor of a campaign that was cancelled."""
    cancelled = {
        logged.document.campaign: logged.document.acted_at
        for logged in records.actions
        if logged.document.act is Act.CANCEL_CAMPAIGN
    }
    closed = _closed(records)
    for attempt, (worker, order) in ordered.orders.items():
        given = ordered.given_at[attempt]
        stop = cancelled.get(order.campaign)
        if stop is not None and given > stop:
            raise AuditFailure(f"order {attempt} was given after {order.campaign} was cancelled")
        # Documents tell moments to the second: within one, either may have been first.
        for since, until in closed.get(worker, []):
            if given > since and (until is None or given < until):
                raise AuditFailure(f"order {attempt} was given to {worker}, which was drained")
    return f"{len(ordered.orders)} orders, none against an action"


def unstarted(records: Records) -> list[CampaignId]:
    """Campaigns with a plan in a log that holds actions, and without their start in it."""
    started = {
        logged.document.campaign
        for logged in records.actions
        if logged.document.act is Act.START_CAMPAIGN
    }
    if not records.actions:
        return []
    return sorted({plan.document.campaign for plan in records.plans} - started)


def _require_first(start: Logged[OperatorAction], planned: Logged[Plan] | None) -> None:
    if planned is None:
        return
    campaign = planned.document.campaign
    if planned.index < start.index:
        raise AuditFailure(f"{campaign} was planned before it was started")
    if planned.document.bundle != start.document.bundle:
        raise AuditFailure(f"{campaign} runs another bundle than was started")


def _closed(records: Records) -> dict[WorkerId, list[tuple[datetime, datetime | None]]]:
    """From when to when each worker was drained."""
    found: dict[WorkerId, list[tuple[datetime, datetime | None]]] = {}
    for deed in (logged.document for logged in records.actions):
        if deed.worker is None:
            continue
        spans = found.setdefault(deed.worker, [])
        if deed.act is Act.DRAIN_WORKER:
            spans.append((deed.acted_at, None))
        elif deed.act is Act.RESUME_WORKER and spans:
            spans[-1] = (spans[-1][0], deed.acted_at)
    return found


def _moves(records: Records) -> list[tuple[str, CampaignId, int]]:
    """What the scheduler logs of a campaign that goes on."""
    found = [("plan", one.document.campaign, one.index) for one in records.plans]
    found += [("batch", one.document.campaign, one.index) for one in records.batches]
    found += [("opening", one.document.campaign, one.index) for one in records.openings]
    found += [("release", one.document.campaign, one.index) for one in records.releases]
    return found
