"""Small blobs travel with the orders and reports that name them, by the rules of put and get."""

from __future__ import annotations

import pytest

from protos.cadastre.v1 import work_pb2
from scheduler.errors import InputRefused
from scheduler.service import exchange
from scheduler.store.tables import BlobRow
from tests.scheduler.test_durable_writes import values_of
from tests.scheduler.test_following import gathered
from trust.documents import signed
from trust.documents.campaign import OrderBatch
from trust.ids import Digest
from wire.limits import INLINE_BYTES


async def sent(world, worker, raw, values=()):
    answer = await exchange.exchange(world.desk, world.standing, worker.peer, raw, values)
    response = work_pb2.ExchangeResponse.FromString(answer)
    batch = signed.verify(OrderBatch, response.orders, {world.desk.orders.public}).document
    return batch, response


def test_an_order_brings_its_parameters(world, run):
    async def story():
        (worker, _), _, _ = await gathered(world)
        await world.turn()
        batch, response = await sent(world, worker, worker.batch())
        (order,) = batch.orders
        assert [Digest.of(blob) for blob in response.blobs] == [order.parameters]

    run(story())


def test_a_damaged_blob_keeps_no_order_back(world, run):
    async def story():
        (worker, _), _, campaign = await gathered(world)
        await world.turn()
        view = await world.view(campaign)
        world.desk.blobs.path(Digest(view.rounds[0].row.parameters)).write_bytes(b"other bytes")
        batch, response = await sent(world, worker, worker.batch())
        assert len(batch.orders) == 1
        assert not response.blobs

    run(story())


def test_values_come_with_their_report_and_belong_to_the_worker(world, run):
    async def story():
        (worker, _), _, _ = await gathered(world)
        await world.turn()
        await worker.exchange()
        raw = worker.batch([worker.report(worker.held.pop())])
        values = values_of(world, raw)
        world.desk.blobs.remove(Digest.of(values))
        batch, _ = await sent(world, worker, raw, [values])
        assert batch.acknowledgements[0].accepted
        row = await world.desk.look("x", lambda tx: tx.session.get(BlobRow, Digest.of(values)))
        assert (row.giver, row.public) == (worker.name, False)

    run(story())


def test_values_that_are_not_due_are_left_out_and_their_report_refused(world, run):
    async def story():
        (worker, other), _, _ = await gathered(world)
        await world.turn()
        await worker.exchange()
        report = worker.report(worker.held.pop())
        raw = other.batch([report])  # a worker that holds no unit brings somebody's values
        values = values_of(world, raw)
        world.desk.blobs.remove(Digest.of(values))
        batch, _ = await sent(world, other, raw, [values])
        assert not batch.acknowledgements[0].accepted
        assert not world.desk.blobs.has(Digest.of(values))

    run(story())


def test_a_conclusion_may_come_with_itself_beside_its_report(world, run):
    """It is filed as a blob too: whoever brings it need not know that the scheduler does that."""

    async def story():
        members, judge, _ = await gathered(world)
        await world.turn()
        for worker in members:
            await worker.exchange()
            await worker.exchange([worker.report(order) for order in list(worker.held)])
        await world.turn()
        await judge.exchange()
        report = judge.report(judge.held.pop())
        batch, _ = await sent(world, judge, judge.batch([report]), [report.statement])
        assert batch.acknowledgements[0].accepted
        row = await world.desk.look(
            "x", lambda tx: tx.session.get(BlobRow, Digest.of(report.statement))
        )
        assert row.public

    run(story())


@pytest.mark.parametrize("values", [[b"a", b"b"], [bytes(INLINE_BYTES + 1)]], ids=["many", "large"])
def test_more_than_a_small_blob_for_each_report_is_refused(world, run, values):
    async def story():
        (worker, _), _, _ = await gathered(world)
        await world.turn()
        await worker.exchange()
        raw = worker.batch([worker.report(worker.held.pop())])
        with pytest.raises(InputRefused, match="at most one blob"):
            await sent(world, worker, raw, values)

    run(story())
