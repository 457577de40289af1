"""A campaign from start to release, in one process, with workers that speak signed documents."""

from __future__ import annotations

import asyncio
import json

import pytest

from protection.batch import Batch
from scheduler.errors import InputRefused
from scheduler.service import campaigns, starting
from trust.documents import signed
from trust.documents.campaign import Opening, Release
from trust.ids import Digest
from trust.log.entry import Kind, LogEntry
from trust.log.proof import verify_proof
from trust.parameters import MAXIMUM_SETTINGS_BYTES


def test_a_campaign_runs_from_start_to_release(world):
    async def scenario():
        await world.authorised()
        first = await world.worker("ville", capsules=4)
        second = await world.worker("agglo", capsules=5)
        judge = await world.worker("ville", concludes=True)
        for worker in (first, second, judge):
            batch = await worker.exchange()
            assert batch.orders == ()
        assert len(first.delivered) == 4
        campaign = await world.start()
        await world.turn()
        assert (await world.view(campaign)).row.state == "running"
        for worker in (first, second):
            (order,) = (await worker.exchange()).orders
            assert order.kind == "contribute"
            assert len(worker.exhibits) == 3
            batch = await worker.exchange([worker.report(order)])
            (receipt,) = batch.acknowledgements
            assert receipt.accepted, receipt
        await world.turn()
        view = await world.view(campaign)
        assert view.row.state == "concluding", view
        (order,) = (await judge.exchange()).orders
        (receipt,) = (await judge.exchange([judge.report(order)])).acknowledgements
        assert receipt.accepted, receipt
        await world.turn()
        view = await world.view(campaign)
        assert view.row.state == "released", view
        raw, report = await campaigns.report(world.desk, campaign)
        assert json.loads(report)["arrays"]["counts"]["cells"] == [9, 2, 20]
        release = signed.verify(Release, raw, {world.desk.orders.public}).document
        opening = signed.verify(
            Opening, world.desk.blobs.get(release.openings[0]), {world.desk.orders.public}
        ).document
        assert opening.partials == 2
        assert opening.contributors_rounded == 0
        lines = world.desk.blobs.get(opening.batch)
        assert Digest.of(lines) == opening.batch
        assert Batch.decode(lines).reports == 2
        index = world.desk.log.append([LogEntry.of(Kind.RELEASE, raw).emit()])[0]
        verify_proof(
            world.desk.log.prove(index), LogEntry.of(Kind.RELEASE, raw).emit(), world.desk.policy
        )

    asyncio.run(scenario())


def test_parameters_are_bounded_as_workers_bound_them(world):
    """A campaign that every worker would refuse does not start."""

    async def scenario():
        await world.authorised()
        spaces = b" " * (MAXIMUM_SETTINGS_BYTES - len(b'{"zones":3}'))
        with pytest.raises(InputRefused, match=str(MAXIMUM_SETTINGS_BYTES)):
            await starting.start(
                world.desk, "ana", world.bundle.digest, b'{"zones":3} ' + spaces, "over"
            )
        view = await starting.start(
            world.desk, "ana", world.bundle.digest, b'{"zones":3}' + spaces, "just"
        )
        assert view.row.state == "draft"

    asyncio.run(scenario())
