"""The agent's pure core: nothing starts twice, nothing outlives its lease."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trust.clock import from_text
from trust.documents.campaign import Cancellation, Order, OrderBatch, UnitKind
from trust.entropy import seeded
from trust.ids import (
    AttemptId,
    AuthorisationId,
    CampaignId,
    Digest,
    FencingToken,
    UnitId,
    WorkerId,
)
from worker.exchange import (
    MAXIMUM_LEASES,
    SLOTS,
    BackOff,
    Desk,
    Stage,
    Step,
    advanced,
    answered,
    finished,
    forgotten,
    starting,
    tenths,
)

pytestmark = pytest.mark.base

WORKER = WorkerId.draw(seeded(b"w"))


def order(number: int, lease: int = 60) -> Order:
    draw = seeded(b"%d" % number)
    digest = Digest.of(b"")
    return Order(
        unit=UnitId.draw(draw),
        attempt=AttemptId.draw(draw),
        number=1,
        token=FencingToken.draw(draw),
        kind=UnitKind.CONTRIBUTE,
        campaign=CampaignId.draw(draw),
        round=1,
        bundle=digest,
        authorisation=AuthorisationId.draw(draw),
        plan=digest,
        parameters=digest,
        aggregate=None,
        lease_seconds=lease,
    )


def batch(*orders: Order, cancelled: tuple[AttemptId, ...] = ()) -> OrderBatch:
    return OrderBatch(
        territory="t",
        worker=WORKER,
        answers=1,
        issued_at=from_text("2026-11-22T12:00:00Z"),
        orders=orders,
        cancellations=tuple(
            Cancellation(UnitId.draw(seeded(b"u")), attempt, "campaign-cancelled")
            for attempt in cancelled
        ),
        acknowledgements=(),
        waiting=(),
    )


def test_one_unit_runs_and_the_others_wait() -> None:
    step = answered(Desk(), batch(order(1), order(2)), 0.0)
    assert [o.attempt for o in step.start] == [order(1).attempt]
    assert step.desk.slots == 0
    after = finished(step.desk, order(1).attempt, 1.0)
    assert [o.attempt for o in after.start] == [order(2).attempt]
    assert finished(after.desk, order(2).attempt, 2.0).desk.slots == SLOTS


def test_an_order_sent_again_is_not_started_again() -> None:
    step = answered(Desk(), batch(order(1)), 0.0)
    assert answered(step.desk, batch(order(1)), 1.0).start == ()
    ended = finished(step.desk, order(1).attempt, 2.0).desk
    assert answered(ended, batch(order(1)), 3.0).start == ()
    # Once the receipt is kept, the scheduler will not send it again either.
    assert forgotten(ended, {order(1).attempt}).ended == frozenset()


def test_a_lease_ends_on_the_boot_clock() -> None:
    step = answered(Desk(), batch(order(1, lease=10)), 100.0)
    assert starting(step.desk, 109.9).stop == ()
    late = starting(step.desk, 110.0)
    assert late.stop == (order(1).attempt,)
    assert late.desk.held == ()
    # A boot clock that seems to run backwards is a restored machine: the lease is not believed.
    assert starting(step.desk, 99.0).stop == (order(1).attempt,)


def test_a_cancellation_stops_what_runs_and_drops_what_waits() -> None:
    step = answered(Desk(), batch(order(1), order(2)), 0.0)
    both = (order(1).attempt, order(2).attempt)
    cancelled = answered(step.desk, batch(cancelled=both), 1.0)
    assert cancelled.stop == (order(1).attempt,)
    assert cancelled.desk.held == ()
    assert cancelled.start == ()


def test_a_draining_desk_starts_nothing() -> None:
    desk = replace(Desk(), draining=True)
    assert desk.slots == 0
    assert answered(desk, batch(order(1)), 0.0).start == ()


def test_a_life_that_was_not_answered_keeps_its_orders_waiting() -> None:
    held = answered(replace(Desk(), resuming=True), batch(order(1)), 0.0)
    assert held.start == ()
    assert held.desk.held == (order(1).attempt,)
    step = starting(replace(held.desk, resuming=False), 1.0)
    assert [o.attempt for o in step.start] == [order(1).attempt]


def test_progress_is_of_running_attempts() -> None:
    step = answered(Desk(), batch(order(1), order(2)), 0.0)
    assert step.desk.progress() == ()
    desk = advanced(step.desk, order(1).attempt, 35, 90)
    assert [(p.done, p.total) for p in desk.progress()] == [(3, 10)]


@given(st.integers(1, 10_000), st.data())
def test_no_step_of_progress_is_one_capsules(total: int, data: st.DataObject) -> None:
    done = data.draw(st.integers(0, total))
    said = tenths(done, total)
    assert 0 <= said <= 10 * done / total
    # What is said stays the same for at least ten capsules in a row, so it names none of them.
    assert sum(tenths(other, total) == said for other in range(total)) >= min(10, total) or (
        done == total
    )


def test_a_small_cohort_has_no_progress() -> None:
    assert {tenths(done, 9) for done in range(10)} == {0}
    assert {tenths(done, 25) for done in range(26)} == {0, 5, 10}


def test_a_flood_of_orders_is_bounded() -> None:
    step = answered(Desk(), batch(*(order(n) for n in range(100))), 0.0)
    assert len(step.desk.leases) == MAXIMUM_LEASES


@given(st.integers(1, 5000), st.binary(min_size=8, max_size=8))
def test_back_off_stays_in_its_band(failures: int, draw: bytes) -> None:
    back_off = BackOff(minimum=1.0, maximum=300.0, failures=failures)
    delay = back_off.delay(lambda size: draw[:size])
    ceiling = min(300.0, 2.0 ** min(failures - 1, 64))
    assert ceiling / 2 <= delay <= ceiling


def test_back_off_grows_and_starts_afresh() -> None:
    back_off = BackOff(minimum=1.0, maximum=300.0)
    assert back_off.delay(seeded(b"")) == 0.0
    once, twice = back_off.failed(), back_off.failed().failed()
    middle = lambda size: b"\x80" + bytes(size - 1)
    assert twice.delay(middle) == 2 * once.delay(middle)
    assert twice.succeeded() == back_off


class DeskMachine(RuleBasedStateMachine):
    """Any sequence of answers, ends, cancellations and passing time."""

    @initialize()
    def begin(self) -> None:
        self.desk = Desk()
        self.now = 0.0
        self.started: list[AttemptId] = []
        self.running: set[AttemptId] = set()
        self.over: set[AttemptId] = set()

    def take(self, step: Step) -> None:
        self.desk = step.desk
        for attempt in step.stop:
            assert attempt in self.running
            self.running.discard(attempt)
            self.over.add(attempt)
        for item in step.start:
            self.started.append(item.attempt)
            self.running.add(item.attempt)

    @rule(numbers=st.lists(st.integers(0, 12), max_size=4), drop=st.lists(st.integers(0, 12)))
    def answer(self, numbers: list[int], drop: list[int]) -> None:
        gone = tuple(order(n).attempt for n in drop)
        # Only what was held can be cancelled: other names are not worth remembering.
        self.over |= set(gone) & set(self.desk.held)
        self.take(answered(self.desk, batch(*map(order, numbers), cancelled=gone), self.now))

    @rule(which=st.integers(0, 12))
    def finish(self, which: int) -> None:
        attempt = order(which).attempt
        if attempt in self.running:
            self.running.discard(attempt)
            self.over.add(attempt)
            self.take(finished(self.desk, attempt, self.now))

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.take(starting(self.desk, self.now))

    @invariant()
    def bounded(self) -> None:
        assert len(self.running) <= SLOTS
        assert len(self.desk.leases) <= MAXIMUM_LEASES
        assert len(set(self.desk.held)) == len(self.desk.held)

    @invariant()
    def nothing_starts_twice(self) -> None:
        assert len(set(self.started)) == len(self.started)

    @invariant()
    def what_is_over_is_not_held(self) -> None:
        assert not self.over & set(self.desk.held)
        held = {lease.order.attempt for lease in self.desk.leases if lease.stage is Stage.RUNNING}
        assert held == self.running


TestDesk = DeskMachine.TestCase
