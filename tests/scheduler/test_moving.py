"""One question tells which steps of a turn are due: what it leaves out has nothing to do."""

from __future__ import annotations

from scheduler.service import moving
from scheduler.service.moving import Step
from scheduler.service.pace import STEPS
from tests.scheduler.test_durable_writes import rows
from tests.scheduler.test_following import gathered


async def require_idle_steps_idle(world):
    """Taking the steps that are not due changes no row."""
    due = await moving.steps(world.desk)
    before = rows(world)
    for step in set(Step) - due:
        await STEPS[step](world.desk)
        assert rows(world) == before, step
    return due


def test_an_empty_scheduler_has_nothing_to_do(world, run):
    async def story():
        assert await moving.steps(world.desk) == frozenset()

    run(story())


def test_steps_that_are_not_due_change_nothing_at_any_point_of_a_campaign(world, run):
    async def story():
        seen = set()
        members, judge, campaign = await gathered(world, rounds="maximum = 2\n")
        seen |= await require_idle_steps_idle(world)
        for _ in range(2):
            await world.turn()
            for worker in members:
                await worker.exchange()
                seen |= await require_idle_steps_idle(world)
                for order in list(worker.held):
                    await worker.exchange([worker.report(order)])
                    seen |= await require_idle_steps_idle(world)
            await world.turn()
            await judge.exchange()
            await judge.exchange([judge.report(judge.held[0])])
            seen |= await require_idle_steps_idle(world)
            await world.turn()
        assert (await world.view(campaign)).row.state == "released"
        assert seen >= {Step.PLANS, Step.ROUNDS, Step.CONCLUSIONS}
        assert not await require_idle_steps_idle(world) & {Step.PLANS, Step.ROUNDS, Step.LOG}

    run(story())


def test_time_is_due_when_a_lease_has_run_out(world, run):
    async def story():
        members, _, _ = await gathered(world)
        await world.turn()
        await members[0].exchange()
        assert Step.TIME not in await require_idle_steps_idle(world)
        world.clock.advance(3600)
        assert Step.TIME in await moving.steps(world.desk)

    run(story())
