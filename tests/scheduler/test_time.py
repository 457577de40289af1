"""The steady clock: never backwards, not fooled by one leap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.time import LEAP, PATIENCE, SteadyClock
from trust.clock import ManualClock

START = datetime(2026, 11, 22, tzinfo=UTC)


@given(st.lists(st.tuples(st.booleans(), st.floats(-1e6, 1e6)), max_size=30))
def test_it_never_runs_backwards(moves):
    source = ManualClock(START)
    clock = SteadyClock(source)
    last = clock.now()
    for jumps, seconds in moves:
        source.jump(seconds) if jumps else source.advance(abs(seconds))
        assert clock.now() >= last
        last = clock.now()


def test_it_goes_on_while_the_wall_clock_is_set_back():
    source = ManualClock(START)
    clock = SteadyClock(source)
    source.jump(-86_400)
    source.advance(300)
    assert clock.now() == START + timedelta(seconds=300)


def test_one_leap_ahead_expires_nothing_and_is_named():
    source = ManualClock(START)
    clock = SteadyClock(source)
    source.jump(10 * 86_400)
    source.advance(30)
    assert clock.now() == START + timedelta(seconds=30)
    assert clock.leaping
    source.jump(-10 * 86_400)
    source.advance(30)
    assert clock.now() == START + timedelta(seconds=60)
    assert not clock.leaping


def test_a_leap_that_lasts_is_believed():
    source = ManualClock(START)
    clock = SteadyClock(source)
    source.jump(2 * LEAP.total_seconds())
    clock.now()
    source.advance(PATIENCE.total_seconds())
    assert clock.now() == source.now()


def test_it_starts_no_earlier_than_its_mark():
    source = ManualClock(START)
    clock = SteadyClock(source, START + timedelta(seconds=50))
    assert clock.now() == START + timedelta(seconds=50)
