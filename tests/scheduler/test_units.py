"""The unit machine under any history: nothing lost, nothing twice, always an end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.backoff import BackOff, Quota
from scheduler.domain.events import (
    Abandon,
    Acknowledged,
    Cancel,
    InputsReady,
    Lease,
    Report,
    Retry,
    Tick,
)
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.states import FINAL_UNIT, LIVE_ATTEMPT, AttemptState, UnitState
from scheduler.domain.units import Unit, live, transition
from trust.documents.campaign import UnitKind
from trust.entropy import seeded
from trust.ids import AttemptId, Digest, FencingToken, UnitId, WorkerId

START = datetime(2026, 11, 22, tzinfo=UTC)
ENTROPY = seeded(b"units")
WORKERS = [WorkerId.draw(ENTROPY) for _ in range(2)]
BACK_OFF = BackOff(timedelta(seconds=10), timedelta(minutes=2))
LEASE = timedelta(minutes=5)


def fresh(*, deadline: timedelta = timedelta(hours=2), attempts: int = 4) -> Unit:
    return Unit(
        UnitId.draw(ENTROPY),
        UnitKind.CONTRIBUTE,
        UnitState.WAITING,
        None,
        START + deadline,
        attempts,
        LEASE,
    )


events = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "ready",
                "lease",
                "good",
                "bad",
                "refuse",
                "stale",
                "foreign",
                "old",
                "abandon",
                "tick",
                "cancel",
                "retry",
            ]
        ),
        st.integers(0, 900),
        st.integers(0, 1),
    ),
    max_size=60,
)


@given(events, st.floats(0, 0.999))
def test_no_history_loses_a_unit_or_counts_it_twice(history, jitter):  # noqa: C901
    unit, attempts, now = fresh(), (), START
    accepted: list[Digest] = []
    for name, seconds, who in history:
        now += timedelta(seconds=seconds)
        before, alive = (unit, attempts), live(attempts)
        event = _event(name, attempts, WORKERS[who])
        step = transition(unit, attempts, event, now, back_off=BACK_OFF, jitter=jitter)
        unit, attempts = step.unit, step.attempts
        # At most one attempt alive; a leased unit has exactly one.
        living = [attempt for attempt in attempts if attempt.state in LIVE_ATTEMPT]
        assert len(living) == (unit.state is UnitState.LEASED)
        assert len(attempts) <= unit.maximum_attempts
        # Final states stay, but that a failed unit may be tried once more.
        if before[0].state in FINAL_UNIT and unit != before[0]:
            assert isinstance(event, Retry)
            assert before[0].state is UnitState.FAILED
            assert unit.state is UnitState.READY
            assert now < unit.deadline
        for old, new in zip(before[1], attempts, strict=False):
            if old.state not in LIVE_ATTEMPT:
                assert new == old
        # Only the live token's holder is ever accepted, and once.
        for effect in step.effects:
            if isinstance(effect, Acknowledged) and effect.accepted:
                assert isinstance(event, Report)
                assert event.token in {attempt.token for attempt in attempts}
                if before[0].state is not UnitState.SATISFIED:
                    assert alive is not None
                    assert alive.token == event.token
                    assert now < alive.expires_at
                    accepted.append(effect.statement)
        if unit.state is UnitState.SATISFIED:
            assert [a.state for a in attempts].count(AttemptState.ACCEPTED) == 1
        if unit.state is UnitState.WAITING and attempts:
            assert unit.not_before is not None
    assert len(accepted) <= 1
    # Whatever happened, time alone ends it.
    now = max(now, unit.deadline)
    for _ in range(2):
        step = transition(unit, attempts, Tick(), now, back_off=BACK_OFF, jitter=jitter)
        unit, attempts = step.unit, step.attempts
    assert unit.state in FINAL_UNIT
    assert live(attempts) is None


@given(st.floats(0, 0.999), st.integers(1, 6))
def test_a_silent_worker_ends_within_attempts_times_lease_plus_back_off(jitter, attempts_allowed):
    unit, attempts, now = fresh(deadline=timedelta(days=2), attempts=attempts_allowed), (), START
    limit = START + attempts_allowed * (LEASE + BACK_OFF.maximum) + timedelta(seconds=60)

    def happen(event):
        nonlocal unit, attempts
        step = transition(unit, attempts, event, now, back_off=BACK_OFF, jitter=jitter)
        unit, attempts = step.unit, step.attempts

    happen(InputsReady())
    while unit.state not in FINAL_UNIT:
        if unit.state is UnitState.READY:
            happen(Lease(WORKERS[0], AttemptId.draw(ENTROPY), FencingToken.draw(ENTROPY)))
        now += timedelta(seconds=1)
        happen(Tick())
        assert now <= limit
    assert unit.reason is Reason.ATTEMPTS_EXHAUSTED


def test_a_refusal_repeated_ends_the_unit():
    unit, attempts, now = fresh(), (), START
    for event in ("ready", "lease", "refuse", "tick", "lease", "refuse"):
        now += timedelta(seconds=30)
        step = transition(
            unit, attempts, _event(event, attempts, WORKERS[0]), now, back_off=BACK_OFF
        )
        unit, attempts = step.unit, step.attempts
    assert unit.state is UnitState.FAILED
    assert "altered" in unit.why


def test_an_operator_gets_one_attempt_more_and_no_further_wait():
    unit, attempts, now = fresh(attempts=1), (), START

    def happen(name):
        nonlocal unit, attempts
        event = _event(name, attempts, WORKERS[0])
        step = transition(unit, attempts, event, now, back_off=BACK_OFF)
        unit, attempts = step.unit, step.attempts

    for name in ("ready", "lease", "bad"):
        happen(name)
    assert unit.state is UnitState.FAILED
    happen("retry")
    assert (unit.state, unit.maximum_attempts) == (UnitState.READY, 2)
    happen("lease")
    happen("retry")
    assert unit.state is UnitState.LEASED, "an attempt that lives is left alone"
    happen("bad")
    assert unit.state is UnitState.FAILED
    now = unit.deadline
    happen("retry")
    assert unit.state is UnitState.FAILED, "a deadline that has passed stays passed"


@given(st.integers(1, 10_000), st.floats(0, 0.999))
def test_back_off_grows_to_its_maximum_and_no_further(failures, jitter):
    delay = BACK_OFF.delay(failures, jitter)
    assert BACK_OFF.minimum / 2 <= delay <= BACK_OFF.maximum
    assert BACK_OFF.delay(1, 0.0) == BACK_OFF.minimum / 2


def test_quota_halves_to_one_probe_and_grows_by_one():
    quota = Quota.fresh(1)
    for _ in range(20):
        quota = quota.halve()
    assert quota.daily == 1
    assert quota.reward().daily == 2
    assert quota.spend().left == 0
    assert quota.spend().on(2).left == 1
    assert quota.spend().on(0).left == 0  # a day never comes back


def test_every_reason_has_a_sentence_and_foreign_text_is_tamed():
    for reason in Reason:
        assert "{" not in sentence(reason)
    assert "\x1b" not in sentence(Reason.ATTEMPT_FAILED, what="\x1b[2J" + "x" * 1000)
    assert len(sentence(Reason.ATTEMPT_FAILED, what="x" * 1000)) < 300


def _event(name, attempts, worker):  # noqa: C901 - one line per event
    alive = live(attempts)
    last = attempts[-1] if attempts else None
    attempt = (alive or last).id if attempts else AttemptId.draw(ENTROPY)
    token = (alive or last).token if attempts else FencingToken.draw(ENTROPY)
    owner = (alive or last).worker if attempts else worker
    statement = Digest.of(token.encode())
    match name:
        case "ready":
            return InputsReady()
        case "lease":
            return Lease(worker, AttemptId.draw(ENTROPY), FencingToken.draw(ENTROPY))
        case "good":
            return Report(owner, attempt, token, statement)
        case "bad":
            return Report(owner, attempt, token, statement, Reason.STATEMENT_REFUSED, "no")
        case "refuse":
            return Report(owner, attempt, token, None, Reason.ATTEMPT_REFUSED, "altered")
        case "stale":
            return Report(owner, attempt, FencingToken.draw(ENTROPY), statement)
        case "foreign":
            return Report(WorkerId.draw(ENTROPY), attempt, token, statement)
        case "old":
            old = attempts[0] if attempts else None
            return Report(
                old.worker if old else worker,
                old.id if old else attempt,
                old.token if old else token,
                Digest.of(b"another"),
            )
        case "abandon":
            return Abandon(attempt)
        case "retry":
            return Retry()
        case "cancel":
            return Cancel(Reason.CAMPAIGN_CANCELLED, "stop")
    return Tick()
