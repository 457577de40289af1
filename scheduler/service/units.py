"""Loading units into the pure state machine and storing what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam
from sqlmodel import col, select

from scheduler.domain.backoff import Quota, draw_jitter
from scheduler.domain.events import Cancel, Effect, Event, Judged, Returned, Stopped
from scheduler.domain.reasons import Reason
from scheduler.domain.states import FINAL_UNIT, LIVE_ATTEMPT, AttemptState, UnitState
from scheduler.domain.units import Attempt, Unit, transition
from scheduler.service.bell import ANY_WORKER, PACE, for_campaign, for_worker
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, RoundRow, UnitRow, WorkerRow
from trust.documents.campaign import UnitKind
from trust.ids import AttemptId, Digest, FencingToken, UnitId, WorkerId

_DAY = 86_400
ITS_ROUND = (col(RoundRow.campaign) == col(UnitRow.campaign)) & (
    col(RoundRow.number) == col(UnitRow.round)
)
_ATTEMPTS = (
    select(AttemptRow).where(AttemptRow.unit == bindparam("unit")).order_by(col(AttemptRow.number))
)


def unit_of(row: UnitRow) -> Unit:
    """The unit in `row`."""
    return Unit(
        id=UnitId(row.id),
        kind=UnitKind(row.kind),
        state=UnitState(row.state),
        worker=None if row.worker is None else WorkerId(row.worker),
        deadline=row.deadline,
        maximum_attempts=row.maximum_attempts,
        lease=timedelta(seconds=row.lease_seconds),
        not_before=row.not_before,
        reason=Reason(row.reason),
        why=row.why,
    )


def attempt_of(row: AttemptRow) -> Attempt:
    """The attempt in `row`."""
    return Attempt(
        id=AttemptId(row.id),
        number=row.number,
        token=FencingToken(row.token),
        worker=WorkerId(row.worker),
        state=AttemptState(row.state),
        leased_at=row.leased_at,
        expires_at=row.expires_at,
        statement=None if row.statement is None else Digest(row.statement),
        reason=Reason(row.reason),
        why=row.why,
    )


def attempts_of(tx: Transaction, unit: str) -> dict[str, AttemptRow]:
    """The attempts of one unit, in order."""
    return {row.id: row for row in tx.session.exec(_ATTEMPTS, params={"unit": unit})}


def apply(tx: Transaction, desk: Desk, row: UnitRow, event: Event) -> tuple[Effect, ...]:
    """Let `event` happen to a unit: states, quotas and whom to wake.

    It reaches the database with the session's next flush, together with what else its caller says.
    """
    stored = attempts_of(tx, row.id)
    before = tuple(attempt_of(entry) for entry in stored.values())
    unit = unit_of(row)
    step = transition(
        unit,
        before,
        event,
        tx.now,
        back_off=desk.limits.back_off,
        jitter=draw_jitter(desk.entropy),
    )
    if step.unit != unit:
        _store_unit(tx, row, step.unit)
    for attempt in step.attempts:
        known = stored.get(attempt.id)
        if known is None:
            tx.session.add(_new_row(row.id, attempt))
        elif attempt_of(known) != attempt:
            _store_attempt(tx, desk, known, attempt)
    for effect in step.effects:
        match effect:
            case Judged():
                _judge(tx, effect)
            case Returned():
                _give_back(tx, effect)
            case Stopped():
                tx.rings.add(for_worker(effect.worker))
    return step.effects


def cancel_all(
    tx: Transaction, desk: Desk, campaign: str, reason: Reason, why: str, *, number: int | None
) -> None:
    """Cancel every unit of a campaign (or of its round `number`) that has not ended."""
    query = select(UnitRow).where(
        UnitRow.campaign == campaign,
        col(UnitRow.state).not_in([state.value for state in FINAL_UNIT]),
    )
    if number is not None:
        query = query.where(UnitRow.round == number)
    for row in tx.session.exec(query).all():
        apply(tx, desk, row, Cancel(reason, why))


def quota_of(row: WorkerRow, now: datetime) -> Quota:
    """The worker's quota as of `now`."""
    return Quota(row.quota_daily, row.quota_used, row.quota_day).on(day_of(now))


def store_quota(row: WorkerRow, quota: Quota) -> None:
    """Write `quota` back."""
    row.quota_daily, row.quota_used, row.quota_day = quota.daily, quota.used, quota.day


def day_of(now: datetime) -> int:
    """Days since 1970."""
    return int(now.timestamp()) // _DAY


def rows_of(tx: Transaction, campaign: str, number: int) -> Sequence[UnitRow]:
    """The units of one round."""
    query = select(UnitRow).where(UnitRow.campaign == campaign, UnitRow.round == number)
    return tx.session.exec(query.order_by(col(UnitRow.kind), col(UnitRow.id))).all()


def _store_unit(tx: Transaction, row: UnitRow, unit: Unit) -> None:
    row.state, row.reason, row.why = unit.state.value, unit.reason.value, unit.why
    row.not_before, row.maximum_attempts = unit.not_before, unit.maximum_attempts
    row.updated_at, row.updated_by = tx.now, tx.name
    tx.rings.add(for_campaign(row.campaign))
    if unit.state is UnitState.READY:
        tx.rings.add(ANY_WORKER if row.worker is None else for_worker(row.worker))
    if unit.state in FINAL_UNIT:
        tx.rings.add(PACE)


def _store_attempt(tx: Transaction, desk: Desk, known: AttemptRow, attempt: Attempt) -> None:
    known.state, known.reason = attempt.state.value, attempt.reason.value
    known.why, known.statement = attempt.why, attempt.statement
    if attempt.state not in LIVE_ATTEMPT:
        known.ended_at = tx.now
    if attempt.state is not AttemptState.LEASED:
        desk.meters.attempts.labels(attempt.state.value).inc()


def _new_row(unit: str, attempt: Attempt) -> AttemptRow:
    return AttemptRow(
        id=attempt.id,
        unit=unit,
        number=attempt.number,
        token=attempt.token,
        worker=attempt.worker,
        state=attempt.state.value,
        reason=attempt.reason.value,
        why=attempt.why,
        leased_at=attempt.leased_at,
        expires_at=attempt.expires_at,
    )


def _give_back(tx: Transaction, effect: Returned) -> None:
    worker = tx.session.get(WorkerRow, effect.worker)
    if worker is not None:
        store_quota(worker, quota_of(worker, tx.now).give_back())


def _judge(tx: Transaction, effect: Judged) -> None:
    worker = tx.session.get(WorkerRow, effect.worker)
    if worker is not None:
        quota = quota_of(worker, tx.now)
        store_quota(worker, quota.reward() if effect.good else quota.halve())
