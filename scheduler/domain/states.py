"""The names of every state; the same words stand in SQL, protos, diagrams and the glossary."""

from __future__ import annotations

import enum


class CampaignState(enum.StrEnum):
    """draft -> running -> concluding -> released | failed | cancelled."""

    DRAFT = "draft"  # created, first round not planned yet
    RUNNING = "running"  # rounds are collected
    CONCLUDING = "concluding"  # the last aggregate is being turned into a report
    RELEASED = "released"  # the release is signed and queued for the log
    FAILED = "failed"  # it cannot reach a release; the reason says why
    CANCELLED = "cancelled"  # an operator stopped it


class RoundState(enum.StrEnum):
    """open -> preparing -> opened | aborted."""

    OPEN = "open"  # partials are accepted
    PREPARING = "preparing"  # the batch is frozen, checked against the rules
    OPENED = "opened"  # the batch was opened, once
    ABORTED = "aborted"  # no batch will be opened


class UnitState(enum.StrEnum):
    """waiting -> ready -> leased -> satisfied | failed | cancelled."""

    WAITING = "waiting"  # not before its input exists or its back-off ends
    READY = "ready"  # may be leased
    LEASED = "leased"  # an attempt is alive
    SATISFIED = "satisfied"  # an attempt was accepted
    FAILED = "failed"  # no attempt is left
    CANCELLED = "cancelled"


class AttemptState(enum.StrEnum):
    """leased -> reported -> accepted | rejected; leased -> expired | abandoned | cancelled."""

    LEASED = "leased"
    REPORTED = "reported"  # the worker answered, the answer is being checked
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EXPIRED = "expired"  # the lease ran out by the scheduler's clock
    ABANDONED = "abandoned"  # the worker gave it back
    CANCELLED = "cancelled"


FINAL_CAMPAIGN = frozenset({CampaignState.RELEASED, CampaignState.FAILED, CampaignState.CANCELLED})
FINAL_ROUND = frozenset({RoundState.OPENED, RoundState.ABORTED})
FINAL_UNIT = frozenset({UnitState.SATISFIED, UnitState.FAILED, UnitState.CANCELLED})
LIVE_ATTEMPT = frozenset({AttemptState.LEASED, AttemptState.REPORTED})

CAMPAIGN_STEPS: dict[CampaignState, frozenset[CampaignState]] = {
    CampaignState.DRAFT: frozenset(
        {CampaignState.RUNNING, CampaignState.FAILED, CampaignState.CANCELLED}
    ),
    CampaignState.RUNNING: frozenset(
        {CampaignState.CONCLUDING, CampaignState.FAILED, CampaignState.CANCELLED}
    ),
    CampaignState.CONCLUDING: frozenset(
        {CampaignState.RELEASED, CampaignState.FAILED, CampaignState.CANCELLED}
    ),
    CampaignState.RELEASED: frozenset(),
    CampaignState.FAILED: frozenset(),
    CampaignState.CANCELLED: frozenset(),
}
ROUND_STEPS: dict[RoundState, frozenset[RoundState]] = {
    RoundState.OPEN: frozenset({RoundState.PREPARING, RoundState.ABORTED}),
    RoundState.PREPARING: frozenset({RoundState.OPENED, RoundState.ABORTED}),
    RoundState.OPENED: frozenset(),
    RoundState.ABORTED: frozenset(),
}
