"""Once a minute: how the queue stands, and the sums of what has ended since.

Pages read these few rows instead of a million attempts. Sample and sums are written together, and
a sample says up to which moment it counted, so an attempt is counted once whatever crashes here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, ColumnElement, literal_column, type_coerce
from sqlmodel import col, delete, func, select
from sqlmodel.sql.expression import SelectOfScalar

from scheduler.domain.states import AttemptState
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, EffortRow, SampleRow, UnitRow

KEPT = timedelta(days=8)  # of samples; efforts stay
# Who ended an attempt by an answer worked until then; of the others nobody knows how long.
ANSWERED = (AttemptState.ACCEPTED, AttemptState.REJECTED, AttemptState.ABANDONED)
_FAILED = (AttemptState.REJECTED, AttemptState.EXPIRED, AttemptState.ABANDONED)
_DAY = 86_400_000_000  # microseconds
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# As the indexes over some rows alone spell their conditions.
_MOVING: ColumnElement[bool] = literal_column("unit.state IN ('waiting', 'ready', 'leased')")
_READY: ColumnElement[bool] = literal_column("unit.state = 'ready'")
_LIVE: ColumnElement[bool] = literal_column("attempt.state IN ('leased', 'reported')")


@dataclass(frozen=True)
class Queue:
    """How many units stand where; each unit that is leased has one live attempt."""

    waiting: int
    ready: int
    leased: int


@dataclass(frozen=True)
class _Ended:
    campaign: str
    day: int
    state: AttemptState
    attempts: int
    busy: int  # milliseconds


async def sample(desk: Desk) -> None:
    """Take the sample of this moment. Asking again in the same moment changes nothing."""
    await desk.run("sample-queue", take)


def take(tx: Transaction) -> None:
    """As `sample`, inside a transaction."""
    last = tx.session.exec(select(SampleRow.at).order_by(col(SampleRow.at).desc()).limit(1)).first()
    since = _BEGINNING if last is None else last
    if since >= tx.now:
        return
    ended = _ended(tx, since)
    for one in ended:
        _add(tx, one)
    queue = queue_of(tx)
    tx.session.add(
        SampleRow(
            at=tx.now,
            waiting=queue.waiting,
            ready=queue.ready,
            leased=queue.leased,
            accepted=sum(one.attempts for one in ended if one.state is AttemptState.ACCEPTED),
            failed=sum(one.attempts for one in ended if one.state in _FAILED),
        )
    )
    tx.session.exec(delete(SampleRow).where(col(SampleRow.at) < tx.now - KEPT))


def queue_of(tx: Transaction) -> Queue:
    """The queue now, counted in indexes over what moves; what has ended is not looked at."""
    moving, ready, leased = (tx.session.exec(query).one() for query in counts())
    return Queue(waiting=max(0, moving - ready - leased), ready=ready, leased=leased)


def counts() -> tuple[SelectOfScalar[int], SelectOfScalar[int], SelectOfScalar[int]]:
    """The queries for what moves, what is ready, what is at work.

    Each counts a column that is never NULL and stands in the index over its rows alone: of whole
    rows, an index over every unit would be read from end to end.
    """
    return (
        select(func.count(col(UnitRow.deadline))).where(_MOVING),
        select(func.count(col(UnitRow.kind))).where(_READY),
        select(func.count(col(AttemptRow.worker))).where(_LIVE),
    )


def ended_since(since: datetime, now: datetime) -> Any:
    """The query for what ended from `since` on and before `now`: what ends now is the next one's.

    Its rows: campaign, day, state, attempts, milliseconds between lease and end.
    """
    end, begin = (
        type_coerce(column, BigInteger)
        for column in (col(AttemptRow.ended_at), col(AttemptRow.leased_at))
    )
    day = (end // _DAY).label("day")
    return (
        sqlalchemy.select(  # sqlmodel's takes four columns at most
            col(UnitRow.campaign),
            day,
            col(AttemptRow.state),
            func.count(),
            func.sum((end - begin) // 1000),
        )
        .join(UnitRow, col(UnitRow.id) == col(AttemptRow.unit))
        .where(col(AttemptRow.ended_at) >= since, col(AttemptRow.ended_at) < now)
        .group_by(UnitRow.campaign, day, AttemptRow.state)
    )


def _ended(tx: Transaction, since: datetime) -> list[_Ended]:
    return [
        _Ended(campaign, day, AttemptState(state), count, int(busy or 0))
        for campaign, day, state, count, busy in tx.session.exec(ended_since(since, tx.now))
    ]


def _add(tx: Transaction, ended: _Ended) -> None:
    row = tx.session.get(EffortRow, (ended.campaign, ended.day))
    if row is None:
        row = EffortRow(campaign=ended.campaign, day=ended.day, attempts=0, answered=0, busy=0)
        tx.session.add(row)
    row.attempts += ended.attempts
    if ended.state in ANSWERED:
        row.answered += ended.attempts
        row.busy += ended.busy
