"""Why a ready unit is not at work: what is true now, in one order, on every way to ask."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select

from scheduler.domain.backoff import Quota
from scheduler.domain.planning import LOST_AFTER
from scheduler.domain.reasons import Reason
from scheduler.domain.unleased import Asker, unleased
from scheduler.rpc import views
from scheduler.service import acting
from scheduler.service.actions import Actor
from scheduler.store.tables import UnitRow, WorkerRow
from tests.scheduler.test_actions import running
from trust.certificates import Role
from trust.documents.actions import Act, Means

NOW = datetime(2026, 11, 30, 14, 2, tzinfo=UTC)
FREE = Asker(
    last_seen=NOW - timedelta(seconds=5),
    slots=12,
    quota=Quota(64, 3, 0),
    contributes=True,
    draining=False,
    drained=False,
    banned=False,
)
# In the order in which they are told: whatever is further down may hold as well.
OBSTACLES = [
    ({"banned": True}, Reason.WORKER_BANNED, "the worker was excluded"),
    ({"last_seen": None}, Reason.WORKER_NEVER_SEEN, "the worker has never been heard of"),
    (
        {"last_seen": NOW - timedelta(seconds=417)},
        Reason.WORKER_LOST,
        "the worker has not been heard of for 417 s",
    ),
    (
        {"draining": True},
        Reason.WORKER_DRAINING,
        "the worker's keeper asked it to take nothing new",
    ),
    ({"drained": True}, Reason.WORKER_DRAINED, "an operator lets the worker take nothing new"),
    ({"contributes": False}, Reason.WORKER_DOES_NOT_CONTRIBUTE, "the worker hosts no capsules"),
    (
        {"quota": Quota(64, 64, 0)},
        Reason.WORKER_QUOTA,
        "the worker used its 64 attempts of today",
    ),
    ({"slots": 0}, Reason.WAITING_FOR_SLOT, "the worker has no free slot"),
    ({}, Reason.WAITING_FOR_REQUEST, "waits until its worker asks for work"),
]


@pytest.mark.parametrize("place", range(len(OBSTACLES)))
def test_the_first_obstacle_is_told_and_the_others_are_not(place: int) -> None:
    changes, reason, why = OBSTACLES[place]
    assert unleased(replace(FREE, **changes), NOW) == (reason, why)  # type: ignore[arg-type]
    further: dict[str, object] = {}
    for others, *_ in reversed(OBSTACLES[place:]):
        further |= others  # type: ignore[arg-type]
    assert unleased(replace(FREE, **further), NOW) == (reason, why)  # type: ignore[arg-type]


def test_a_worker_is_lost_after_three_heartbeats_and_not_before() -> None:
    late = replace(FREE, last_seen=NOW - LOST_AFTER)
    assert unleased(late, NOW)[0] is Reason.WAITING_FOR_REQUEST
    assert unleased(late, NOW + timedelta(seconds=1))[0] is Reason.WORKER_LOST


def test_a_unit_of_nobody_waits_for_one_that_concludes() -> None:
    assert unleased(None, NOW)[0] is Reason.WAITING_FOR_CONCLUDER


def test_the_command_line_hears_what_keeps_a_unit_now(world) -> None:
    """Of three units that became ready alike, each says what its own worker is about."""

    async def scenario() -> None:
        campaign, workers, _ = await running(world)
        ada = Actor("local:ada", Means.PROGRAM)

        def change(tx) -> None:
            row = tx.session.get(WorkerRow, workers[1].name)
            row.quota_used, row.quota_day = row.quota_daily, int(tx.now.timestamp()) // 86_400

        async def told() -> dict[str, str]:
            view = views.campaign(await world.view(campaign), Role.OPERATOR)
            return {unit.worker: unit.reason_code for unit in view.rounds[0].units}

        assert set((await told()).values()) == {"waiting-for-request"}
        await acting.act(world.desk, ada, Act.DRAIN_WORKER, workers[0].name, "a new disk")
        await world.desk.run("spend", change)
        assert await told() == {
            workers[0].name: "worker-drained",
            workers[1].name: "worker-quota",
            workers[2].name: "waiting-for-request",
        }
        world.clock.advance(100)
        assert set((await told()).values()) == {"worker-lost"}
        await acting.act(world.desk, ada, Act.EXCLUDE_WORKER, workers[2].name, "it was stolen")
        assert (await told())[workers[2].name] == "worker-banned"

    asyncio.run(scenario())


def test_a_unit_that_waits_for_a_repair_says_so_unless_its_worker_would_not_take_it(world) -> None:
    async def scenario() -> None:
        campaign, *_ = await running(world)

        def harm(tx) -> None:
            for row in tx.session.exec(select(UnitRow)):
                row.reason, row.why = "waiting-for-repair", "waiting until"

        await world.desk.run("harm", harm)
        told = {unit.reason for unit in (await world.view(campaign)).rounds[0].units}
        assert told == {"waiting-for-repair"}
        world.clock.advance(100)
        told = {unit.reason for unit in (await world.view(campaign)).rounds[0].units}
        assert told == {"worker-lost"}

    asyncio.run(scenario())
