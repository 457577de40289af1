"""A work unit and its attempts: `transition` is the only place where their states change.

Pure and total: an event that does not fit the state changes nothing and says why in its
acknowledgement. What holds after every step:
- at most one attempt of a unit is alive;
- a final attempt never changes again, nor a final unit, but that an operator may have a failed
  one tried once more before its deadline;
- a report counts only with the token of the live attempt, so a late one never overwrites;
- a unit that is leased has a live attempt, one that is waiting has a moment or an input to wait
  for, so that every unit ends by its deadline or after its last attempt that counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scheduler.domain.backoff import BackOff
from scheduler.domain.events import (
    Abandon,
    Acknowledged,
    Cancel,
    Effect,
    Event,
    InputsReady,
    Judged,
    Lease,
    Report,
    Retry,
    Returned,
    Stopped,
    Tick,
)
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.states import FINAL_UNIT, LIVE_ATTEMPT, AttemptState, UnitState
from trust.documents.campaign import UnitKind
from trust.ids import AttemptId, Digest, FencingToken, UnitId, WorkerId

# A refusal is a judgement, not an accident: repeating it more than once changes nothing.
MAXIMUM_REFUSALS = 2


@dataclass(frozen=True)
class Unit:
    """What one worker has to do in one round. `worker` is None when any fitting one may."""

    id: UnitId
    kind: UnitKind
    state: UnitState
    worker: WorkerId | None
    deadline: datetime
    maximum_attempts: int
    lease: timedelta
    not_before: datetime | None = None  # when back-off ends; None while an input is missing
    reason: Reason = Reason.NONE
    why: str = ""


@dataclass(frozen=True)
class Attempt:
    """One lease of a unit."""

    id: AttemptId
    number: int
    token: FencingToken
    worker: WorkerId
    state: AttemptState
    leased_at: datetime
    expires_at: datetime
    statement: Digest | None = None
    reason: Reason = Reason.NONE
    why: str = ""


@dataclass(frozen=True)
class Step:
    """The unit and its attempts afterwards, and what the edge has to do."""

    unit: Unit
    attempts: tuple[Attempt, ...]
    effects: tuple[Effect, ...] = ()


def live(attempts: tuple[Attempt, ...]) -> Attempt | None:
    """The attempt that is alive, if any."""
    return next((attempt for attempt in attempts if attempt.state in LIVE_ATTEMPT), None)


def transition(
    unit: Unit,
    attempts: tuple[Attempt, ...],
    event: Event,
    now: datetime,
    *,
    back_off: BackOff,
    jitter: float = 0.0,
) -> Step:
    """What `event` makes of a unit at `now`. Never raises."""
    match event:
        case InputsReady():
            if unit.state is UnitState.WAITING and unit.not_before is None:
                return Step(_ready(unit), attempts)
        case Lease():
            return _lease(unit, attempts, event, now)
        case Report():
            return _report(unit, attempts, event, now, back_off=back_off, jitter=jitter)
        case Abandon():
            alive = live(attempts)
            if alive is not None and alive.id == event.attempt:
                # The machine restarted or its keeper took it back: nothing to punish.
                ended = _end(alive, AttemptState.ABANDONED, event.reason)
                return _after_failure(
                    unit, attempts, ended, now, back_off=back_off, jitter=jitter, judged=False
                )
        case Tick():
            return _tick(unit, attempts, now, back_off, jitter)
        case Cancel():
            return _cancel(unit, attempts, event)
        case Retry():
            return _retry(unit, attempts, now)
    return Step(unit, attempts)


def _ready(unit: Unit) -> Unit:
    # What keeps its worker from taking it is derived when somebody reads it (domain.unleased).
    reason = Reason.WAITING_FOR_CONCLUDER if unit.worker is None else Reason.WAITING_FOR_REQUEST
    return replace(
        unit, state=UnitState.READY, not_before=None, reason=reason, why=sentence(reason)
    )


def _lease(unit: Unit, attempts: tuple[Attempt, ...], event: Lease, now: datetime) -> Step:
    mine = unit.worker is None or unit.worker == event.worker
    if unit.state is not UnitState.READY or not mine or now >= unit.deadline:
        return Step(unit, attempts)
    fresh = Attempt(
        id=event.attempt,
        number=len(attempts) + 1,
        token=event.token,
        worker=event.worker,
        state=AttemptState.LEASED,
        leased_at=now,
        expires_at=min(now + unit.lease, unit.deadline),
    )
    leased = replace(unit, state=UnitState.LEASED, reason=Reason.NONE, why="")
    return Step(leased, (*attempts, fresh))


def _report(
    unit: Unit,
    attempts: tuple[Attempt, ...],
    event: Report,
    now: datetime,
    *,
    back_off: BackOff,
    jitter: float,
) -> Step:
    def refuse(reason: Reason) -> Step:
        answer = Acknowledged(event.attempt, accepted=False, reason=reason, statement=None)
        return Step(unit, attempts, (answer,))

    known = next((attempt for attempt in attempts if attempt.id == event.attempt), None)
    if known is None or known.worker != event.worker:
        return refuse(Reason.UNKNOWN_ATTEMPT)
    if known.token != event.token:
        return refuse(Reason.STALE_TOKEN)
    if known.state is AttemptState.ACCEPTED:
        if known.statement != event.statement:
            return refuse(Reason.ALREADY_REPORTED)
        again = Acknowledged(known.id, accepted=True, reason=Reason.NONE, statement=event.statement)
        return Step(unit, attempts, (again,))
    if known.state is AttemptState.REJECTED:
        return refuse(known.reason)
    if known.state not in LIVE_ATTEMPT:
        # The reason for which it ended (expired, cancelled, lost) is what its worker must hear.
        return refuse(known.reason)
    if now >= known.expires_at:
        expired = _tick(unit, attempts, now, back_off, jitter)
        late = Acknowledged(known.id, accepted=False, reason=Reason.LEASE_EXPIRED, statement=None)
        return replace(expired, effects=(*expired.effects, late))
    reported = replace(known, state=AttemptState.REPORTED, statement=event.statement)
    if event.refusal is not Reason.NONE:
        ended = replace(
            _end(reported, AttemptState.REJECTED, event.refusal), why=event.why, statement=None
        )
        # A worker that refuses what it was ordered does its duty: its quota stays.
        judged = event.refusal not in {Reason.ATTEMPT_REFUSED, Reason.WORKER_NOT_READY}
        step = _after_failure(
            unit, attempts, ended, now, back_off=back_off, jitter=jitter, judged=judged
        )
        answer = Acknowledged(known.id, accepted=False, reason=event.refusal, statement=None)
        return replace(step, effects=(*step.effects, answer))
    accepted = replace(reported, state=AttemptState.ACCEPTED)
    return Step(
        replace(unit, state=UnitState.SATISFIED, not_before=None, reason=Reason.NONE, why=""),
        _with(attempts, accepted),
        (
            Judged(known.worker, good=True),
            Acknowledged(known.id, accepted=True, reason=Reason.NONE, statement=event.statement),
        ),
    )


def _tick(
    unit: Unit, attempts: tuple[Attempt, ...], now: datetime, back_off: BackOff, jitter: float
) -> Step:
    if unit.state in FINAL_UNIT:
        return Step(unit, attempts)
    alive = live(attempts)
    if alive is not None and now >= alive.expires_at:
        ended = _end(alive, AttemptState.EXPIRED, Reason.LEASE_EXPIRED)
        return _after_failure(
            unit, attempts, ended, now, back_off=back_off, jitter=jitter, judged=True
        )
    if now >= unit.deadline:
        return Step(_failed(unit, attempts, unit.why), attempts)
    if unit.state is UnitState.WAITING and unit.not_before is not None and now >= unit.not_before:
        return Step(_ready(unit), attempts)
    return Step(unit, attempts)


def _after_failure(
    unit: Unit,
    attempts: tuple[Attempt, ...],
    ended: Attempt,
    now: datetime,
    *,
    back_off: BackOff,
    jitter: float,
    judged: bool,
) -> Step:
    after = _with(attempts, ended)
    effects: tuple[Effect, ...] = (Judged(ended.worker, good=False),) if judged else ()
    if ended.reason is Reason.WORKER_NOT_READY:
        effects = (Returned(ended.worker),)
    counted = _counted(after)
    refusals = sum(1 for attempt in counted if attempt.reason is Reason.ATTEMPT_REFUSED)
    tried = len(counted) >= unit.maximum_attempts or refusals >= MAXIMUM_REFUSALS
    delay = back_off.delay(len(after), jitter)
    if tried or now + delay >= unit.deadline:
        return Step(_failed(unit, after, ended.why), after, effects)
    waiting = replace(
        unit,
        state=UnitState.WAITING,
        not_before=now + delay,
        reason=Reason.WAITING_FOR_BACK_OFF,
        why=sentence(Reason.WAITING_FOR_BACK_OFF, seconds=round(delay.total_seconds())),
    )
    return Step(waiting, after, effects)


def _failed(unit: Unit, attempts: tuple[Attempt, ...], what: str) -> Unit:
    why = sentence(Reason.ATTEMPTS_EXHAUSTED, used=len(attempts), what=what or "none")
    return replace(
        unit, state=UnitState.FAILED, not_before=None, reason=Reason.ATTEMPTS_EXHAUSTED, why=why
    )


def _cancel(unit: Unit, attempts: tuple[Attempt, ...], event: Cancel) -> Step:
    if unit.state in FINAL_UNIT:
        return Step(unit, attempts)
    cancelled = replace(
        unit, state=UnitState.CANCELLED, not_before=None, reason=event.reason, why=event.why
    )
    alive = live(attempts)
    if alive is None:
        return Step(cancelled, attempts)
    ended = replace(_end(alive, AttemptState.CANCELLED, event.reason), why=event.why)
    return Step(cancelled, _with(attempts, ended), (Stopped(alive.worker, alive.id, event.reason),))


def _retry(unit: Unit, attempts: tuple[Attempt, ...], now: datetime) -> Step:
    """A failed unit gets one attempt more, a waiting one does not wait for its back-off."""
    failed = unit.state is UnitState.FAILED
    backing_off = unit.state is UnitState.WAITING and unit.not_before is not None
    if not (failed or backing_off) or now >= unit.deadline:
        return Step(unit, attempts)
    most = max(unit.maximum_attempts, len(_counted(attempts)) + 1)
    return Step(replace(_ready(unit), maximum_attempts=most), attempts)


def _counted(attempts: tuple[Attempt, ...]) -> list[Attempt]:
    # An outage of others is no failure of the unit: it ends by its deadline, not by being patient.
    return [attempt for attempt in attempts if attempt.reason is not Reason.WORKER_NOT_READY]


def _end(attempt: Attempt, state: AttemptState, reason: Reason) -> Attempt:
    return replace(attempt, state=state, reason=reason, why=sentence(reason))


def _with(attempts: tuple[Attempt, ...], changed: Attempt) -> tuple[Attempt, ...]:
    return tuple(changed if attempt.id == changed.id else attempt for attempt in attempts)
