"""Every durable write of a campaign fails once, stored or not; the result never changes.

Each worker's partial is unlike any sum of others, so a lost or a doubled one would show.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from scheduler.errors import StoreFailed
from scheduler.service import campaigns
from trust.documents.campaign import OrderBatch
from trust.log.replay import check_log
from trust.problem import Problem


class Once:
    """Fails the first commit that holds the transaction `name`, before or after it is stored."""

    def __init__(self, name: str, *, stored: bool) -> None:
        self.name, self.stored, self.fired = name, stored, False
        self.armed = False

    def before_commit(self, names: Sequence[str]) -> None:
        if not self.stored:
            self._fail(names)

    def after_commit(self, names: Sequence[str]) -> None:
        if self.stored:
            self._fail(names)

    def _fail(self, names: Sequence[str]) -> None:
        if self.armed and not self.fired and self.name in names:
            self.fired = True
            raise StoreFailed("injected")


async def insist(action):
    """What every caller does after a retryable failure: the same again."""
    for _ in range(3):
        try:
            return await action()
        except StoreFailed:
            continue
    raise AssertionError("failed three times")


async def campaign_to_the_end(world, *, restart: bool):  # noqa: C901 - a story, told in order
    async def turns():
        for _ in range(3):
            try:
                await world.turn()
            except Problem:
                if restart:
                    world.reopen()

    async def say(worker, reports=()):
        reported = {report.attempt for report in reports}
        worker.held = [order for order in worker.held if order.attempt not in reported]
        raw = worker.batch(reports)
        batch: OrderBatch = await insist(lambda: worker.send(raw))
        return batch

    workers = [await world.worker(f"o{n}", capsules=4 + n) for n in range(3)]
    judge = await world.worker("judge", concludes=True)
    if world.faults is not None:
        world.faults.armed = True
    await insist(world.authorised)
    for worker in [*workers, judge]:
        await say(worker)
    campaign = await insist(world.start)
    await turns()
    for worker in workers:
        await say(worker)
        for order in tuple(worker.held):
            batch = await say(worker, [worker.report(order)])
            assert all(item.accepted for item in batch.acknowledgements)
    await turns()
    await say(judge)
    for order in tuple(judge.held):
        batch = await say(judge, [judge.report(order)])
        assert all(item.accepted for item in batch.acknowledgements)
    await turns()
    return campaign


WRITES = [
    "submit-bundle",
    "authorise-bundle",
    "accept-reports",
    "answer-exchange",
    "start-campaign",
    "plan-round",
    "settle-outbox",
    "release-inputs",
    "prepare-round",
    "open-round",
    "release-campaign",
]


@pytest.mark.parametrize(
    ("stored", "restart"), [(False, False), (True, True)], ids=["not-stored", "stored-restarted"]
)
@pytest.mark.parametrize("name", WRITES)
def test_a_failed_write_changes_nothing_in_the_end(tmp_path, builder, name, stored, restart):
    faults = Once(name, stored=stored)
    world = builder(tmp_path, faults=faults)

    async def scenario():
        campaign = await campaign_to_the_end(world, restart=restart)
        assert faults.fired
        view = await world.view(campaign)
        assert view.row.state == "released", view
        _, report = await campaigns.report(world.desk, campaign)
        assert json.loads(report)["arrays"]["counts"]["cells"] == [4 + 5 + 6, 3, 30]
        listed = await campaigns.list_all(world.desk, None, 0, "")
        assert len(listed) == 1

    try:
        asyncio.run(scenario())
        _, entries = check(world)
        assert sum(b" plan " in entry for entry in entries) == 1
        assert sum(b" opening " in entry for entry in entries) == 1
        assert sum(b" release " in entry for entry in entries) == 1
        assert sum(b" orders " in entry for entry in entries) == 2  # orders and partials
    finally:
        world.desk.store.close()
        world.desk.log.close()


def check(world):
    """The whole log, verified from outside."""
    found = check_log(world.desk.log.fetch, world.desk.policy)
    return found if isinstance(found, tuple) else (found, list(found.entries))


def test_a_crash_between_the_outbox_and_the_log_is_made_good(world):
    async def scenario():
        await world.authorised()
        # The envelope and the outbox row are stored, the log knows nothing yet.
        assert world.desk.log.size == 0
        world.reopen()
        await world.turn()
        assert world.desk.log.size == 1

        # The log has it, the row does not: appended again, the index is the same.
        def forget(tx):
            from sqlmodel import select

            from scheduler.store.tables import LogRow

            for row in tx.session.exec(select(LogRow)):
                row.position = row.proof = None

        await world.desk.run("forget", forget)
        await world.turn()
        assert world.desk.log.size == 1

    asyncio.run(scenario())


def test_a_sleeping_witness_keeps_orders_back_and_says_so(world):
    async def scenario():
        world.witness.asleep = True
        await world.authorised()
        workers = [await world.worker(f"o{n}", capsules=4) for n in range(2)]
        for worker in workers:
            await worker.exchange()
        campaign = await world.start()
        await world.turn()
        batch = await workers[0].exchange()
        assert batch.orders == ()
        assert "waiting until the plan stands in the log" in batch.waiting
        world.witness.asleep = False
        world.clock.advance(60)
        await world.turn()
        for worker in workers:
            await worker.exchange()
        assert len(workers[0].held) == 1
        assert (await world.view(campaign)).rounds[0].row.reason == "waiting-for-partials"

    asyncio.run(scenario())
