"""Which steps of a turn have anything to do: one question for all of them.

Most turns find nothing. A step may find nothing more than is asked for here (a draft that still
waits for workers is asked about at every turn); what a step acts on is never missing here, for
each condition is the step's own without what only narrows it.
"""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, exists
from sqlalchemy.orm import aliased
from sqlmodel import col, or_, select

from scheduler.domain.states import (
    FINAL_CAMPAIGN,
    FINAL_UNIT,
    LIVE_ATTEMPT,
    CampaignState,
    RoundState,
    UnitState,
)
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, CampaignRow, LogRow, RoundRow, UnitRow
from scheduler.store.types import Moment
from trust.documents.campaign import UnitKind

_NOW: ColumnElement[datetime] = bindparam("now", type_=Moment())


class Step(enum.Enum):
    """The steps of a turn, in their order."""

    TIME = "time"
    PLANS = "plans"
    LOG = "log"
    INPUTS = "inputs"
    ROUNDS = "rounds"
    CONCLUSIONS = "conclusions"
    HELPER = "helper"
    KEYHOLDER = "keyholder"


def _in(column: object, *states: enum.Enum) -> ColumnElement[bool]:
    return col(column).in_([state.value for state in states])


_LATER = aliased(RoundRow)
_FINAL = _in(CampaignRow.state, *FINAL_CAMPAIGN)
_CONDITIONS: dict[Step, ColumnElement[bool]] = {
    Step.TIME: or_(
        exists().where(
            _in(UnitRow.state, UnitState.WAITING, UnitState.READY, UnitState.LEASED),
            or_(col(UnitRow.deadline) <= _NOW, col(UnitRow.not_before) <= _NOW),
        ),
        exists().where(_in(AttemptRow.state, *LIVE_ATTEMPT), col(AttemptRow.expires_at) <= _NOW),
    ),
    Step.PLANS: exists().where(
        _in(CampaignRow.state, CampaignState.DRAFT, CampaignState.RUNNING),
        col(CampaignRow.following).is_not(None),
    ),
    Step.LOG: exists().where(col(LogRow.proof).is_(None)),
    Step.INPUTS: exists().where(
        _in(UnitRow.state, UnitState.WAITING), col(UnitRow.not_before).is_(None)
    ),
    # An open round closes, and says how many partials it has, when a unit or its time ends.
    Step.ROUNDS: or_(
        exists().where(_in(RoundRow.state, RoundState.PREPARING)),
        exists().where(
            _in(RoundRow.state, RoundState.OPEN),
            or_(
                col(RoundRow.deadline) <= _NOW,
                exists().where(
                    col(UnitRow.campaign) == col(RoundRow.campaign),
                    _in(UnitRow.state, *FINAL_UNIT),
                    col(UnitRow.round) == col(RoundRow.number),
                ),
            ),
        ),
    ),
    Step.CONCLUSIONS: exists().where(
        _in(CampaignRow.state, CampaignState.RUNNING, CampaignState.CONCLUDING),
        col(CampaignRow.following).is_(None),
        col(UnitRow.campaign) == col(CampaignRow.id),
        col(UnitRow.kind) == UnitKind.CONCLUDE.value,
        _in(UnitRow.state, UnitState.SATISFIED, UnitState.FAILED),
        # Of the newest round: earlier ones were followed by it.
        ~exists().where(
            col(_LATER.campaign) == col(UnitRow.campaign), col(_LATER.number) > col(UnitRow.round)
        ),
    ),
    Step.HELPER: exists().where(
        _FINAL, col(CampaignRow.helper).is_not(None), col(CampaignRow.destroyed).is_(None)
    ),
    Step.KEYHOLDER: exists().where(
        _FINAL, col(CampaignRow.epoch).is_not(None), col(CampaignRow.retired).is_(None)
    ),
}
_QUESTION = select(*(condition.label(step.value) for step, condition in _CONDITIONS.items()))


async def steps(desk: Desk) -> frozenset[Step]:
    """The steps that may have something to do now."""

    def look(tx: Transaction) -> frozenset[Step]:
        row = tx.session.execute(_QUESTION, {"now": tx.now}).one()
        return frozenset(step for step, found in zip(_CONDITIONS, row, strict=True) if found)

    found = await desk.look("list-moving", look)
    # Drafts that ended before their keys were made are known to this process alone.
    return found | {Step.KEYHOLDER} if desk.asked else found
