"""A bundle goes to workers that have its runtime, in an image of that runtime that was voted."""

from __future__ import annotations

import asyncio

import pytest

from scheduler.errors import InputRefused
from scheduler.service import images
from scheduler.store.tables import WorkerRow
from trust.ids import Digest

IMAGE = Digest.of(b"an image with numpy")
TORCH = Digest.of(b"an image with torch")


def row(**columns):
    return WorkerRow(name="w", level="L3", quota_daily=1, quota_day=1, **columns)


def test_the_image_is_that_of_the_bundles_runtime():
    worker = row(libraries="numpy torch", image=str(IMAGE), images=f"torch={TORCH}")
    assert images.image_for(worker, ("numpy",)) == IMAGE
    assert images.image_for(worker, ("numpy", "tenseal")) == IMAGE
    assert images.image_for(worker, ("numpy", "torch")) == TORCH
    assert images.image_for(worker, ("numpy", "torch", "torch_geometric")) is None
    assert images.image_for(row(libraries="", image=None, images=""), ("numpy",)) is None


def test_what_a_worker_claims_is_kept_and_bounded(world):
    async def scenario():
        worker = await world.worker("ville", capsules=4)
        worker.image, worker.images = IMAGE, {"torch": TORCH}
        await worker.exchange()
        kept = await world.desk.look("row", lambda tx: tx.session.get(WorkerRow, worker.name))
        assert (kept.image, kept.images) == (str(IMAGE), f"torch={TORCH}")
        worker.images = {"another": TORCH}
        with pytest.raises(InputRefused, match="runtimes"):
            await worker.exchange()

    asyncio.run(scenario())


def test_a_conclusion_waits_for_a_worker_that_can_run_it(world):
    async def scenario():
        await world.authorised()
        workers = [await world.worker(f"operator{n}", capsules=5) for n in range(2)]
        judge = await world.worker("ville", concludes=True)
        for worker in (*workers, judge):
            await worker.exchange()
        await world.start()
        await world.turn()
        for worker in workers:
            (order,) = (await worker.exchange()).orders
            await worker.exchange([worker.report(order)])
        await world.turn()
        for changed in ({"image": TORCH}, {"libraries": ()}):
            kept = {name: getattr(judge, name) for name in changed}
            vars(judge).update(changed)
            assert (await judge.exchange()).orders == ()
            vars(judge).update(kept)
        (order,) = (await judge.exchange()).orders
        assert order.kind == "conclude"

    asyncio.run(scenario())
