"""Whether an operator's deed is allowed as things stand, and why not. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from scheduler.domain.states import FINAL_CAMPAIGN, CampaignState, RoundState, UnitState
from trust.documents.campaign import UnitKind


class Obstacle(enum.StrEnum):
    """Why not."""

    CAMPAIGN_ENDED = "campaign-ended"
    ALREADY_DRAINED = "already-drained"
    NOT_DRAINED = "not-drained"
    ALREADY_EXCLUDED = "already-excluded"
    UNIT_CONCLUDES = "unit-concludes"
    UNIT_SATISFIED = "unit-satisfied"
    UNIT_CANCELLED = "unit-cancelled"
    UNIT_AT_WORK = "unit-at-work"
    UNIT_READY = "unit-ready"
    UNIT_WAITS_FOR_LOG = "unit-waits-for-log"
    BATCH_FIXED = "batch-fixed"
    DEADLINE_PAST = "deadline-past"
    WORKER_EXCLUDED = "worker-excluded"
    WORKER_DRAINED = "worker-drained"


SENTENCES: dict[Obstacle, str] = {
    Obstacle.CAMPAIGN_ENDED: "the campaign has ended",
    Obstacle.ALREADY_DRAINED: "the worker takes nothing new already",
    Obstacle.NOT_DRAINED: "no operator keeps the worker from new work",
    Obstacle.ALREADY_EXCLUDED: "the worker is excluded already, for good",
    Obstacle.UNIT_CONCLUDES: (
        "a conclusion that failed has failed its campaign: what it reads was opened once"
    ),
    Obstacle.UNIT_SATISFIED: "the unit is done: its report was accepted, and capsules paid for it",
    Obstacle.UNIT_CANCELLED: "the unit was cancelled with its round or its campaign",
    Obstacle.UNIT_AT_WORK: "an attempt is alive: it reports, or its lease ends by itself",
    Obstacle.UNIT_READY: "the unit is ready already: another try would change nothing",
    Obstacle.UNIT_WAITS_FOR_LOG: "the unit waits until its plan is proven in the log",
    Obstacle.BATCH_FIXED: "the round's batch is fixed: no report can enter it any more",
    Obstacle.DEADLINE_PAST: "the unit's deadline has passed",
    Obstacle.WORKER_EXCLUDED: "the unit's worker is excluded: no other one has its capsules",
    Obstacle.WORKER_DRAINED: "the unit's worker takes nothing new: let it work again first",
}


@dataclass(frozen=True)
class Retried:
    """A unit and what it depends on, as they stand."""

    kind: UnitKind
    unit: UnitState
    backing_off: bool  # it waits for the end of its back-off, not for an input
    deadline: datetime
    campaign: CampaignState
    round: RoundState
    worker_excluded: bool
    worker_drained: bool


_OF_UNITS = {
    UnitState.SATISFIED: Obstacle.UNIT_SATISFIED,
    UnitState.CANCELLED: Obstacle.UNIT_CANCELLED,
    UnitState.LEASED: Obstacle.UNIT_AT_WORK,
    UnitState.READY: Obstacle.UNIT_READY,
}


def against_cancel(campaign: CampaignState) -> Obstacle | None:
    """What keeps a campaign from being cancelled."""
    return Obstacle.CAMPAIGN_ENDED if campaign in FINAL_CAMPAIGN else None


def against_drain(*, excluded: bool, drained: bool) -> Obstacle | None:
    """What keeps a worker from being drained."""
    if excluded:
        return Obstacle.ALREADY_EXCLUDED
    return Obstacle.ALREADY_DRAINED if drained else None


def against_resume(*, excluded: bool, drained: bool) -> Obstacle | None:
    """What keeps a drained worker from being let to work again."""
    if excluded:
        return Obstacle.ALREADY_EXCLUDED
    return None if drained else Obstacle.NOT_DRAINED


def against_exclusion(*, excluded: bool) -> Obstacle | None:
    """What keeps a worker from being excluded."""
    return Obstacle.ALREADY_EXCLUDED if excluded else None


def against_retry(found: Retried, now: datetime) -> Obstacle | None:
    """What keeps a unit from being tried once more.

    A further attempt charges no capsule again: its worker keeps what it made, and hands in the
    same bytes. It is of use only while its round still collects.
    """
    if found.campaign in FINAL_CAMPAIGN:
        return Obstacle.CAMPAIGN_ENDED
    if found.kind is not UnitKind.CONTRIBUTE:
        return Obstacle.UNIT_CONCLUDES
    if found.unit is UnitState.READY and (kept := _of_worker(found)) is not None:
        return kept
    if found.unit in _OF_UNITS:
        return _OF_UNITS[found.unit]
    if found.round is not RoundState.OPEN:
        return Obstacle.BATCH_FIXED
    if found.unit is UnitState.WAITING and not found.backing_off:
        return Obstacle.UNIT_WAITS_FOR_LOG
    if now >= found.deadline:
        return Obstacle.DEADLINE_PAST
    return _of_worker(found)


def _of_worker(found: Retried) -> Obstacle | None:
    if found.worker_excluded:
        return Obstacle.WORKER_EXCLUDED
    return Obstacle.WORKER_DRAINED if found.worker_drained else None
