"""Rounds that follow rounds: what each starts with, whom it asks, when it is the last."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from jobs import state
from protection import accounting
from scheduler.domain.states import CampaignState
from scheduler.rpc import views
from scheduler.views import stages
from scheduler.views.slices import Slice
from tests.scheduler.conftest import LOSS
from trust import parameters
from trust.certificates import Role
from trust.documents import signed
from trust.documents.campaign import Plan, Release
from trust.ids import Digest


async def gathered(world, rounds="maximum = 3\n", workers=2, report=""):
    """Workers with consents, one that concludes, and a campaign that was started."""
    world.follow(rounds)
    world.manifest += report
    await world.authorised()
    members = [await world.worker(f"o{n}", capsules=4) for n in range(workers)]
    judge = await world.worker("judge", concludes=True)
    for worker in [*members, judge]:
        await worker.exchange()
    return members, judge, await world.start()


async def one_round(world, members, judge):
    """Everybody who was asked answers, the judge concludes; how many were asked."""
    await world.turn()
    asked = 0
    for worker in members:
        await worker.exchange()
        for order in list(worker.held):
            asked += 1
            batch = await worker.exchange([worker.report(order)])
            assert batch.acknowledgements[0].accepted, batch.acknowledgements[0]
    await world.turn()
    await judge.exchange()
    (order,) = judge.held
    batch = await judge.exchange([judge.report(order)])
    assert batch.acknowledgements[0].accepted, batch.acknowledgements[0]
    await world.turn()
    return asked


async def plans_of(world, campaign):
    view = await world.view(campaign)
    key = {world.desk.orders.public}
    return [
        signed.verify(Plan, world.desk.blobs.get(Digest(found.row.plan)), key).document
        for found in view.rounds
    ]


def test_each_round_starts_with_what_the_one_before_left(world, run):
    async def story():
        members, judge, campaign = await gathered(world)
        for number in (1, 2, 3):
            assert (await world.view(campaign)).row.state in {"draft", "running"}
            assert await one_round(world, members, judge) == 2
            assert len((await world.view(campaign)).rounds) == min(number + 1, 3)
        plans = await plans_of(world, campaign)
        manifest, settings = world.bundle.manifest, b'{"zones":3}'
        expected = [
            state.first(manifest, settings),
            state.following(settings, 2, {"walked": np.array([1.0])}),
            state.following(settings, 3, {"walked": np.array([2.0])}),
        ]
        assert [world.desk.blobs.get(plan.parameters) for plan in plans] == expected
        assert [plan.round for plan in plans] == [1, 2, 3]
        assert plans[0].after is None
        assert len({plan.after for plan in plans}) == 3
        view = await world.view(campaign)
        assert view.row.state == CampaignState.RELEASED.value
        release = world.desk.blobs.get(Digest(view.row.release))
        document = signed.verify(Release, release, {world.desk.orders.public}).document
        assert len(document.openings) == 3
        assert document.rho == "0.1"

    run(story())


def test_a_campaign_that_stops_early_costs_what_it_ran(world, run):
    async def story():
        world.enough = 2
        members, judge, campaign = await gathered(world)
        await one_round(world, members, judge)
        await one_round(world, members, judge)
        view = await world.view(campaign)
        assert view.row.state == CampaignState.RELEASED.value
        assert len(view.rounds) == 2
        release = world.desk.blobs.get(Digest(view.row.release))
        document = signed.verify(Release, release, {world.desk.orders.public}).document
        rules = world.bundle.manifest.rules()
        assert document.rho == accounting.spent(rules, 2, 3)
        # Each round tells what all up to it cost together: epsilon does not add up, rho does.
        rho = accounting.rho_of(rules)
        told = [accounting.epsilon(rho * opened / 3) for opened in (1, 2)]
        assert [entry.epsilon for entry in view.rounds] == told
        assert view.epsilon == told[-1] < 2 * told[0]
        assert accounting.decimal(document.rho, "rho") >= Fraction(2, 30)

    run(story())


def test_a_round_that_collects_tells_its_author_no_machine_that_has_answered(world, run):
    async def story():
        members, judge, campaign = await gathered(world, report=LOSS)
        await one_round(world, members, judge)
        await members[0].exchange()
        await members[0].exchange([members[0].report(members[0].held[0])])
        world.deposit()
        view = await world.view(campaign)
        closed, collecting = views.campaign(view, Role.AUTHOR).rounds
        assert (collecting.participants, collecting.bytes) == (0, 0)
        assert not collecting.HasField("epsilon"), "nothing of it was opened yet"
        assert (closed.participants, closed.bytes > 0, closed.epsilon > 0) == (2, True, True)
        assert (dict(closed.metrics), dict(collecting.metrics)) == ({"loss": 1.0}, {})
        for role in (Role.OPERATOR, Role.AUDITOR):
            closed, collecting = views.campaign(view, role).rounds
            assert (closed.participants, collecting.participants) == (2, 1)
            assert collecting.bytes == closed.bytes // 2
        found = stages.stages(world.desk, campaign, Slice(9))
        assert [(one.participants, one.bytes) for one in found] == [
            (2, closed.bytes),
            (1, collecting.bytes),
        ]

    run(story())


def test_public_data_is_told_no_epsilon(world, run):
    async def story():
        world.follow()
        world.manifest = world.manifest.replace('["personal"]', '["public"]').replace(
            '{ mechanism = "discrete_gaussian", rho = "0.1" }', '{ mechanism = "none" }'
        )
        await world.authorised()
        members = [await world.worker(f"o{n}", capsules=4) for n in range(2)]
        judge = await world.worker("judge", concludes=True)
        for worker in [*members, judge]:
            await worker.exchange()
        campaign = await world.start()
        await one_round(world, members, judge)
        view = await world.view(campaign)
        assert view.rounds[0].row.state == "opened"
        assert view.rounds[0].epsilon is None
        assert not views.campaign(view, Role.OPERATOR).rounds[0].HasField("epsilon")
        (stage,) = stages.stages(world.desk, campaign, Slice(1))
        assert (stage.number, stage.participants, stage.epsilon) == (1, 2, None)

    run(story())


def test_a_round_waits_with_its_reason_and_fails_after_its_time(world, run):
    async def story():
        members, judge, campaign = await gathered(world)
        await one_round(world, members, judge)
        # Nobody is seen any more before round 2 is planned anew: its units end, then it aborts.
        view = await world.view(campaign)
        assert [found.row.number for found in view.rounds] == [1, 2]
        world.clock.advance(3600)
        await world.turn()
        view = await world.view(campaign)
        assert view.row.state == CampaignState.FAILED.value
        assert view.row.reason == "quorum-missed"

    run(story())


def test_a_round_that_finds_too_few_workers_says_so_and_is_bounded(world, run):
    async def story():
        members, judge, campaign = await gathered(world)
        await world.turn()
        for worker in members:
            await worker.exchange()
            await worker.exchange([worker.report(worker.held[0])], capacity=worker_leaving(worker))
        await world.turn()
        await judge.exchange()
        await judge.exchange([judge.report(judge.held[0])])
        await world.turn()
        row = (await world.view(campaign)).row
        assert (row.state, row.reason) == ("running", "waiting-for-workers")
        assert row.following is not None
        world.clock.advance(2 * 3600)
        await world.turn()
        row = (await world.view(campaign)).row
        assert (row.state, row.reason) == ("failed", "never-planned")

    run(story())


def worker_leaving(worker):
    from trust.documents.reporting import Capacity

    return Capacity(4, "L3", worker.image, worker.libraries, True, False, True)


def test_a_share_of_the_workers_is_asked_and_each_round_draws_anew(world, run):
    async def story():
        rounds = 'maximum = 3\nshare = "0.5"\n'
        members, judge, campaign = await gathered(world, rounds, workers=6)
        drawn = []
        for _ in range(3):
            assert await one_round(world, members, judge) == 3
            view = await world.view(campaign)
            drawn.append({unit.row.worker for unit in view.rounds[len(drawn)].units} - {None})
        assert [len(found - {judge.name}) for found in drawn] == [3, 3, 3]
        assert len(set(map(frozenset, drawn))) > 1

    run(story())


def test_spare_workers_are_not_waited_for(world, run):
    async def story():
        rounds = 'maximum = 3\nshare = "0.5"\nspare = 1\n'
        members, _, campaign = await gathered(world, rounds, workers=4)
        await world.turn()
        for worker in members:
            await worker.exchange()
        asked = [worker for worker in members if worker.held]
        assert len(asked) == 3
        for worker in asked[:2]:
            await worker.exchange([worker.report(worker.held[0])])
        await world.turn()
        assert (await world.view(campaign)).rounds[0].row.state == "opened"
        late = await asked[2].exchange([asked[2].report(asked[2].held[0])])
        assert not late.acknowledgements[0].accepted
        assert late.acknowledgements[0].reason == "round-closed"

    run(story())


def test_a_scheduler_that_is_killed_between_two_rounds_goes_on_with_the_same_state(world, run):
    async def story():
        members, judge, campaign = await gathered(world)
        await one_round(world, members, judge)
        before = await plans_of(world, campaign)
        world.reopen()
        assert await plans_of(world, campaign) == before
        for worker in members:
            worker.world = world
        await one_round(world, members, judge)
        await one_round(world, members, judge)
        assert (await world.view(campaign)).row.state == CampaignState.RELEASED.value

    run(story())


@pytest.mark.parametrize("number", [1, 2])
def test_a_blob_of_another_round_is_refused_by_the_policy(number):
    from trust.policy.parameters import parse_parameters

    blob = state.following(b"{}", number, {"walked": np.zeros(1)})
    assert parse_parameters(blob).round == number
    assert parameters.parse(blob).encode() == blob
    with pytest.raises(Exception, match="cut short"):
        parse_parameters(blob[:12])
