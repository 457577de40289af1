"""An author's campaigns: how far each is, and what its rounds told; no machines and nobody's units.

An author who sees which machine takes how long could time people's data with an algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import select

from scheduler.domain.discretion import discreet
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import CampaignRow
from scheduler.views import runs
from scheduler.views.reach import Reach, bundle_within, campaign_within, page
from scheduler.views.runs import Run
from scheduler.views.slices import Slice
from scheduler.views.stages import Stage, stages
from scheduler.views.units import PlanProof

STAGES = 50
_COLUMNS = ("created_at", "id")


@dataclass(frozen=True)
class OwnRun:
    """A campaign's line."""

    campaign: str
    title: str
    bundle: str
    state: str
    reason: str
    why: str
    round: int
    rounds: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class OwnStage:
    """A round: how far it is in all, what it told and what it cost.

    `participants` and `bytes` as in a Stage, None until the round is opened: while it collects,
    each more is one machine that has just answered.
    """

    number: int
    state: str
    reason: str
    why: str
    issued_at: datetime
    deadline: datetime
    part: float
    participants: int | None
    bytes: int | None
    epsilon: float | None  # of all rounds up to this one, as in a Stage
    told: Mapping[str, float]
    plan: PlanProof


@dataclass(frozen=True)
class OwnRunDetail:
    """A campaign with its rounds, the newest first."""

    run: OwnRun
    authorisation: str  # auth_…
    rho: str  # zCDP of all rounds together, as voted
    release_index: int | None
    stages: tuple[OwnStage, ...]


def own_runs(
    desk: Desk, cut: Slice, reach: Reach, *, state: str = "", bundle: str = ""
) -> list[OwnRun]:
    """Campaigns by age; `bundle` is a digest or its beginning. Raises Unknown, Ambiguous."""

    def gather(tx: Transaction) -> list[OwnRun]:
        query = select(CampaignRow)
        if state:
            query = query.where(CampaignRow.state == state)
        if bundle:
            query = query.where(CampaignRow.bundle == bundle_within(tx, bundle, reach).digest)
        columns = [CampaignRow.__table__.c[name] for name in _COLUMNS]  # type: ignore[attr-defined]
        return run_lines(tx, page(tx, cut, reach, query, columns, author=CampaignRow.author))

    return desk.store.read("view-own-runs", gather)


def own_run(desk: Desk, text: str, reach: Reach) -> OwnRunDetail:
    """The campaign with the id or unique prefix `text`. Raises Unknown, Ambiguous."""
    found = runs.run(desk, _within(desk, text, reach), stages=STAGES)
    return OwnRunDetail(
        run=_own(found.run),
        authorisation=found.authorisation,
        rho=found.epsilon_rho,
        release_index=found.release_index,
        stages=tuple(map(_stage, found.stages)),
    )


def own_stages(desk: Desk, text: str, reach: Reach, cut: Slice) -> tuple[OwnRun, list[OwnStage]]:
    """A campaign, and its rounds by their numbers. Raises Unknown, Ambiguous."""
    campaign = _within(desk, text, reach)
    own = _own(runs.run(desk, campaign, stages=1).run)
    return own, [_stage(one) for one in stages(desk, campaign, cut)]


def run_lines(tx: Transaction, rows: list[CampaignRow]) -> list[OwnRun]:
    """The lines of rows that a query of another view read."""
    return [_own(line) for line in runs.lines_of(tx, rows)]


def _within(desk: Desk, text: str, reach: Reach) -> str:
    return desk.store.read("view-own-run", lambda tx: campaign_within(tx, text, reach).id)


def _own(line: Run) -> OwnRun:
    return OwnRun(
        campaign=line.campaign,
        title=line.title,
        bundle=line.bundle,
        state=line.state,
        reason=line.reason,
        why=discreet(line.why, line.reason),
        round=line.round,
        rounds=line.rounds,
        created_at=line.created_at,
        updated_at=line.updated_at,
    )


def _stage(one: Stage) -> OwnStage:
    return OwnStage(
        number=one.number,
        state=one.state,
        reason=one.reason,
        why=discreet(one.why, one.reason),
        issued_at=one.issued_at,
        deadline=one.deadline,
        part=one.part,
        participants=one.participants if one.opened else None,
        bytes=one.bytes if one.opened else None,
        epsilon=one.epsilon,
        told=one.told,
        plan=one.plan,
    )
