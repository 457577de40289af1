"""Scheduler and workers under one clock and any list of mishaps.

Failure conditions, checked after every list: a campaign that never ends once everybody is
reachable; a live attempt of an ended campaign; a released sum in which a worker is missing that
its count names, or stands twice (worker n adds 10^n); a worker that ever says two different
things about one round, whatever was lost, killed or leased again in between; a log that does not
verify whole; a grid that cannot carry one more campaign of everybody, a day later.

Explicit non-failures: a campaign that fails because too few workers answered in time, because
its attempts were used up, or because somebody cancelled it; an attempt that is refused because
governance was silent for a day (status-stale); a unit that is computed twice on one worker, as
long as only one result is ever said.

With copies and restored machines in the list two more: a second noised sum of one worker's people
reaching the scheduler, in whatever order the copies are answered; a campaign that never ends. That
one of the copies is refused for good is what they are there for: then no last campaign is asked.

Known gaps of liveness, accepted for now: three or four units failed by one worker on one day use
up what it may lease that day (its quota halves), so `heal` lets a day pass before the last
campaign; a round of which the witness sleeps past the deadline fails though every worker is well.
A lost broker is no such failure any more: the unit is done again within its lease.

Not simulated: TLS and certificates, the broker and its ledger (tests/broker, tests/faults), the
agent's waiting times (its exchange is called when the list says so, never by its own back-off).
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from grid import HOSTS, Grid
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.domain.backoff import Quota

Operation = tuple[Any, ...]

anybody = st.integers(0, HOSTS)
fates = st.sampled_from(["ok", "ok", "ok", "request", "response"])
exchanged = st.tuples(st.just("exchange"), anybody, fates)
operation = st.one_of(
    exchanged,
    exchanged,
    exchanged,
    st.just(("start",)),
    st.just(("turn",)),
    st.tuples(st.just("advance"), st.sampled_from([1, 30, 100, 700, 4000, 100_000])),
    st.tuples(st.just("fail"), st.sampled_from(["lost", "kept"])),
    st.just(("kill_scheduler",)),
    st.tuples(st.just("kill"), anybody),
    st.tuples(st.just("stall"), anybody),
    st.tuples(st.just("go_on"), anybody),
    st.tuples(st.just("lose_broker"), anybody),
    st.tuples(st.just("partition"), anybody),
    st.tuples(st.just("reconnect"), anybody),
    st.sampled_from([("silence",), ("speak",)]),
    st.tuples(st.just("witness"), st.booleans()),
    st.just(("cancel",)),
)
hosts = st.integers(0, HOSTS - 1)
copied = st.one_of(
    operation,
    operation,
    st.tuples(st.just("copy"), hosts),
    st.tuples(st.just("keep_copy"), hosts),
    st.tuples(st.just("restore"), hosts),
    # The copies stand behind the others.
    st.tuples(st.just("exchange"), st.integers(HOSTS + 1, HOSTS + 3), fates),
    st.tuples(st.just("kill"), st.integers(HOSTS + 1, HOSTS + 3)),
)


def simulate(operations: list[Operation]) -> None:
    async def scenario(folder: Path) -> None:
        grid = Grid(folder)
        try:
            await grid.prepare()
            for each in operations:
                await grid.apply(each)
            await grid.heal()
            await grid.check()
        finally:
            grid.close()

    # What survives a power cut is tested elsewhere; here a disk would only be slow.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        asyncio.run(scenario(Path(folder)))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(operations=st.lists(operation, min_size=5, max_size=30))
def test_any_list_of_mishaps_on_both_sides(operations: list[Operation]) -> None:
    simulate([("start",), ("turn",), *operations])


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(operations=st.lists(copied, min_size=8, max_size=40))
def test_any_list_of_mishaps_among_copied_and_restored_machines(
    operations: list[Operation],
) -> None:
    simulate([("start",), ("turn",), *operations])


def everybody(fate: str = "ok") -> list[Operation]:
    return [("exchange", index, fate) for index in range(HOSTS + 1)]


REPRODUCTIONS: dict[str, list[Operation]] = {
    "nothing happens": [],
    "every first answer is lost": [
        ("start",), ("turn",), *everybody("response"), *everybody("response"), *everybody(),
    ],
    "every machine dies after its report left and before the answer came": [
        ("start",), ("turn",), *everybody(), *everybody("response"),
        *[("kill", index) for index in range(HOSTS + 1)], *everybody(),
    ],
    "both sides die in the middle of a unit": [
        ("start",), ("turn",), ("stall", 0), ("exchange", 0, "ok"), ("kill", 0),
        ("kill_scheduler",), ("exchange", 0, "ok"), ("exchange", 0, "ok"),
    ],
    "a lease runs out while the unit runs, and the unit ends after all": [
        ("start",), ("turn",), ("stall", 1), ("exchange", 1, "ok"), ("advance", 4000),
        ("turn",), ("go_on", 1), ("exchange", 1, "ok"), ("exchange", 1, "ok"),
    ],
    "everybody is cut off for more than a day": [
        ("start",), ("turn",), *everybody(), *[("partition", n) for n in range(HOSTS + 1)],
        *everybody(), ("advance", 100_000), *everybody(),
    ],
    "governance is silent for more than a day": [
        ("silence",), ("advance", 100_000), ("turn",), *everybody(), ("start",), ("turn",),
        *everybody(), *everybody(),
    ],
    "a commit is kept though its caller heard of failure": [
        ("start",), ("turn",), *everybody(), ("fail", "kept"), ("exchange", 0, "ok"),
        ("fail", "lost"), ("exchange", 1, "ok"), *everybody(),
    ],
    "a machine restored from a copy hears its old orders again, from before its report": [
        ("start",), ("turn",), ("exchange", 0, "response"), ("keep_copy", 0),
        ("exchange", 0, "ok"), ("exchange", 0, "ok"), ("exchange", 0, "ok"),
        ("restore", 0), ("exchange", 0, "ok"), ("exchange", 0, "ok"), ("exchange", 0, "ok"),
    ],
    "the copy of a machine at work hears the same orders": [
        ("start",), ("turn",), ("stall", 0), ("exchange", 0, "response"), ("copy", 0),
        ("exchange", 0, "ok"), ("exchange", 4, "ok"), ("go_on", 0), ("exchange", 0, "ok"),
        ("exchange", 4, "ok"), ("exchange", 0, "ok"), ("exchange", 4, "ok"),
    ],
    "a copy takes over while the original's unit runs": [
        ("start",), ("turn",), ("stall", 0), ("exchange", 0, "ok"), ("exchange", 0, "ok"),
        ("copy", 0), ("exchange", 4, "ok"), ("turn",), ("advance", 30), ("turn",),
        ("exchange", 4, "ok"), ("exchange", 4, "ok"), ("exchange", 4, "ok"), ("go_on", 0),
        ("exchange", 0, "ok"), ("exchange", 0, "ok"), ("exchange", 4, "ok"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_a_saved_history_of_both_sides(name: str) -> None:
    simulate(REPRODUCTIONS[name])


def test_a_broker_that_comes_back_without_its_sandbox_is_given_no_more_units() -> None:
    """Found by the kills of tests/faults: it went on to lease units, and failed every one."""

    async def scenario(folder: Path) -> None:
        grid = Grid(folder)
        try:
            await grid.prepare()
            await grid.apply(("start",))
            await grid.apply(("turn",))
            broken = grid.machines[0]
            broken.broker.lost, broken.broker.level_after_loss = True, "L0"
            for _ in range(20):
                for machine in grid.machines:
                    await machine.exchange("ok")
                await grid.turn()
                grid.world.clock.advance(20)
            assert broken.broker.runs == 1
        finally:
            grid.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(Path(folder)))


def test_brokers_lost_all_day_cost_a_worker_no_quota() -> None:
    """Found by the kills of tests/faults: after three or four a worker was out until morning."""

    async def scenario(folder: Path) -> None:
        grid = Grid(folder)
        try:
            await grid.prepare()
            for _ in range(6):
                for each in (("start",), ("turn",), ("lose_broker", 0)):
                    await grid.apply(each)
                for _ in range(6):
                    for machine in grid.machines:
                        await machine.exchange("ok")
                    await grid.turn()
            assert set(await grid.states()) == {"released"}
            assert grid.machines[0].broker.runs == 12
            assert await grid.quota(0) >= Quota.START
        finally:
            grid.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(Path(folder)))
