"""Since when a campaign waits for the same: other words of whom it waits for begin nothing anew."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from scheduler.domain.reasons import Reason
from scheduler.domain.states import CampaignState, RoundState
from scheduler.service import endings
from scheduler.service.waiting import wait
from scheduler.store.tables import CampaignRow, RoundRow
from scheduler.views import health
from scheduler.views.alerts import AlertKind, Thresholds
from scheduler.views.voted import Documents
from scheduler.views.watching import Watch
from tests.scheduler.test_actions import running
from trust.clock import to_text

ANSWERS = ("below-minimum (17 of 20)", "it was not reached")


def row_of(world, campaign: str) -> CampaignRow:
    return world.desk.store.read("row", lambda tx: tx.session.get(CampaignRow, campaign))


def alerts(world) -> dict[AlertKind, datetime | None]:
    watch = Watch(world.desk, Documents(world.desk), tuple, Thresholds(disk_free_share=0))
    return {one.kind: one.since for one in watch.alerts()}


def test_a_helper_that_answers_now_this_and_now_that_is_one_wait(world) -> None:
    """Or its alert, due after ten minutes, would never come."""

    async def scenario() -> None:
        campaign, *_ = await running(world)
        world.clock.advance(30)
        began = world.clock.now()
        for turn in range(5):
            answer = ANSWERS[turn % 2]
            await wait(world.desk, campaign, Reason.WAITING_FOR_HELPER, answer)
            row = row_of(world, campaign)
            said = f"waiting for the helper since {to_text(began)}; last answer: {answer}"
            assert (row.waits_since, row.why) == (began, said)
            assert row.updated_at == world.clock.now()
            (line,) = health.health(world.desk, tuple).moving
            assert line.waits_since == began
            due = world.clock.now() - began > timedelta(minutes=10)
            assert (AlertKind.HELPER_SILENT in alerts(world)) == due
            world.clock.advance(180)
        assert alerts(world)[AlertKind.HELPER_SILENT] == began + timedelta(minutes=10)

    asyncio.run(scenario())


def test_to_wait_for_somebody_else_or_to_go_on_is_another_wait(world) -> None:
    async def scenario() -> None:
        campaign, *_ = await running(world)
        for reason, said in (
            (Reason.WAITING_FOR_KEYHOLDER, "waiting for the keyholder since "),
            (Reason.WAITING_FOR_TRUSTEES, "waiting for trustees since "),
            (Reason.WAITING_FOR_CEREMONY, "waiting for the key ceremony since "),
            (Reason.WAITING_FOR_WITNESSES, "waiting since "),
        ):
            world.clock.advance(5)
            await wait(world.desk, campaign, reason, "2 of 3 came")
            row = row_of(world, campaign)
            assert row.waits_since == world.clock.now()
            assert row.why.startswith(said + to_text(world.clock.now()))
        world.clock.advance(5)

        def go_on(tx) -> None:
            row = tx.session.get(CampaignRow, campaign)
            endings.move(tx, row, CampaignState.RUNNING, Reason.NONE, "")

        await world.desk.run("go-on", go_on)
        assert row_of(world, campaign).waits_since == world.clock.now()

    asyncio.run(scenario())


def test_a_round_waits_since_its_state_or_reason_changed(world) -> None:
    async def scenario() -> None:
        campaign, workers, _ = await running(world)

        def stage() -> RoundRow:
            return world.desk.store.read(
                "stage", lambda tx: tx.session.get(RoundRow, (campaign, 1))
            )

        began = stage().waits_since
        assert stage().reason == "waiting-for-partials"
        world.clock.advance(20)
        (order,) = (await workers[0].exchange()).orders
        await workers[0].exchange([workers[0].report(order)])
        await world.turn()
        assert "1 of 3" in stage().why
        assert stage().waits_since == began
        for worker in workers[1:]:
            (order,) = (await worker.exchange()).orders
            await worker.exchange([worker.report(order)])
        await world.turn()
        assert stage().state == RoundState.OPENED
        assert stage().waits_since == world.clock.now()

    asyncio.run(scenario())
