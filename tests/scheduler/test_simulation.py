"""A territory under any list of mishaps: nothing lost, nothing twice, always an end.

One process, one manual clock, a real store, log and documents. An operation list is plain
Python, so a failing one is copied below as a reproduction.

Failure conditions: a campaign that never ends; a unit with two live attempts; two plans, openings
or releases of one campaign; a released sum with a digit other than 0 or 1 (worker n adds 10^n, so
a lost or doubled partial shows); a partial that was acknowledged as accepted and is not in the
released sum; a log that does not verify whole. Not failures: a campaign that fails because too
few workers answered in time, or because somebody cancelled it.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from scheduler.domain.states import FINAL_CAMPAIGN, LIVE_ATTEMPT
from scheduler.errors import AlreadyEnded, MessageExpired, StoreFailed
from scheduler.service import campaigns, consents
from scheduler.store.tables import AttemptRow, CampaignRow
from trust.documents.consent import Decision
from trust.documents.reporting import Outcome
from trust.log.replay import check_log

WORKERS = 3  # the first ones contribute, the last one concludes


class Shaky:
    """The next commit fails: before it is stored (`lost`) or after (`kept`)."""

    def __init__(self) -> None:
        self.next = ""

    def before_commit(self, names) -> None:
        if self.next == "lost":
            self.next = ""
            raise StoreFailed("injected")

    def after_commit(self, names) -> None:
        if self.next == "kept":
            self.next = ""
            raise StoreFailed("injected")


class Simulation:
    """The territory and what its workers were promised."""

    def __init__(self, builder, folder: Path) -> None:
        self.faults = Shaky()
        self.world = builder(folder, faults=self.faults)
        self.workers = []
        self.pending = {}  # worker -> batch that it must repeat until it is answered
        self.promised = {}  # campaign -> marks whose partials were acknowledged
        self.requests = 0

    async def prepare(self) -> None:
        await self.world.authorised()
        for number in range(WORKERS):
            worker = await self.world.worker(f"o{number}", capsules=4)
            worker.mark = 10**number
            self.workers.append(worker)
        self.workers.append(await self.world.worker("judge", concludes=True))
        for worker in self.workers:
            await worker.exchange()

    async def apply(self, operation: tuple) -> None:
        name, *rest = operation
        try:
            await getattr(self, name)(*rest)
        except StoreFailed:
            pass  # the injected one: whoever asked will ask again
        finally:
            await asyncio.sleep(0)

    async def start(self) -> None:
        await self.world.start(f"request {self.requests}")
        self.requests += 1

    async def advance(self, seconds: int) -> None:
        self.world.clock.advance(seconds)

    async def turn(self) -> None:
        await self.world.turn()

    async def fail(self, how: str) -> None:
        self.faults.next = how

    async def kill(self) -> None:
        self.faults.next = ""  # it died with the process
        self.world.reopen()

    async def exchange(self, index: int, fate: str) -> None:
        """One exchange; `fate`: ok, request (lost on the way), response (lost on the way back)."""
        worker = self.workers[index]
        raw = self.pending.get(index)
        if raw is None:
            reports = [worker.report(order) for order in worker.held]
            worker.held = []
            raw = self.pending[index] = worker.batch(reports)
        if fate == "request":
            return
        try:
            batch = await worker.send(raw)
        except StoreFailed:
            return
        except MessageExpired:
            # Over a day old after a long partition: signed again under the next number.
            del self.pending[index]
            return
        if fate == "response":
            worker.held = [order for order in worker.held if order not in batch.orders]
            return
        del self.pending[index]
        if index < WORKERS:
            for item in batch.acknowledgements:
                if item.accepted:
                    campaign = await self._campaign_of(item.attempt)
                    self.promised.setdefault(campaign, set()).add(worker.mark)

    async def refuse(self, index: int) -> None:
        worker = self.workers[index]
        if index not in self.pending and worker.held:
            reports = [worker.refusal(order, Outcome.FAILED) for order in worker.held]
            worker.held = []
            self.pending[index] = worker.batch(reports)

    async def forget(self, index: int) -> None:
        """The machine was set up again from its journal without the orders it held."""
        if index not in self.pending:
            self.workers[index].held = []

    async def revoke(self, index: int, capsule: int) -> None:
        worker = self.workers[index]
        self.requests += 1
        await consents.submit(
            self.world.desk,
            [worker.consent(capsule, serial=1 + self.requests, decision=Decision.REVOKE)],
        )

    async def cancel(self) -> None:
        for view in await campaigns.list_all(self.world.desk, None, 1, ""):
            with suppress(AlreadyEnded):
                await campaigns.cancel(self.world.desk, view.row.id, "simulated")

    async def heal(self) -> None:
        """Everybody is reachable from now on; every campaign must end."""
        self.faults.next = ""
        for _ in range(400):
            for index in range(len(self.workers)):
                await self.exchange(index, "ok")
            await self.turn()
            rows = await self.world.desk.look(
                "all", lambda tx: [row.state for row in tx.session.exec(select(CampaignRow))]
            )
            if all(state in FINAL_CAMPAIGN for state in rows):
                return
            self.world.clock.advance(20)
        raise AssertionError(f"campaigns do not end: {rows}")

    async def check(self) -> None:
        desk = self.world.desk
        alive = await desk.look(
            "live",
            lambda tx: [
                row.unit for row in tx.session.exec(select(AttemptRow)) if row.state in LIVE_ATTEMPT
            ],
        )
        assert alive == []
        entries = check_log(desk.log.fetch, desk.policy).entries
        released = [
            view.row
            for view in await campaigns.list_all(desk, None, 0, "")
            if view.row.state == "released"
        ]
        assert sum(b" release " in entry for entry in entries) == len(released)
        for row in released:
            _, report = await campaigns.report(desk, row.id)
            total, count, tens = json.loads(report)["arrays"]["counts"]["cells"]
            digits = [int(digit) for digit in str(total)]
            assert set(digits) <= {0, 1}, total
            assert sum(digits) == count == tens // 10
            for mark in self.promised.get(row.id, ()):
                assert total // mark % 10 == 1, (total, mark)

    async def _campaign_of(self, attempt: str) -> str:
        from scheduler.store.tables import UnitRow

        def find(tx) -> str:
            row = tx.session.get(AttemptRow, str(attempt))
            return tx.session.get(UnitRow, row.unit).campaign

        return await self.world.desk.look("find", find)


index = st.integers(0, WORKERS)
hosts = st.integers(0, WORKERS - 1)
fates = st.sampled_from(["ok", "ok", "ok", "request", "response"])
operation = st.one_of(
    st.just(("start",)),
    st.just(("turn",)),
    st.tuples(st.just("exchange"), index, fates),
    st.tuples(st.just("exchange"), index, fates),
    st.tuples(st.just("exchange"), index, fates),
    st.tuples(st.just("advance"), st.sampled_from([1, 30, 100, 700, 4000, 100_000])),
    st.tuples(st.just("fail"), st.sampled_from(["lost", "kept"])),
    st.just(("kill",)),
    st.tuples(st.just("refuse"), hosts),
    st.tuples(st.just("forget"), index),
    st.tuples(st.just("revoke"), hosts, st.integers(0, 3)),
    st.just(("cancel",)),
)


def simulate(builder, operations) -> None:
    async def scenario(folder: str) -> None:
        simulation = Simulation(builder, Path(folder))
        try:
            await simulation.prepare()
            for each in operations:
                await simulation.apply(each)
            await simulation.heal()
            await simulation.check()
        finally:
            simulation.world.desk.store.close()
            simulation.world.desk.log.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(folder))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(operations=st.lists(operation, min_size=5, max_size=30))
def test_any_list_of_mishaps(builder, operations):
    simulate(builder, [("start",), ("turn",), *operations])


REPRODUCTIONS = {
    "an answer is lost and the scheduler is killed": [
        ("start",), ("turn",), ("exchange", 0, "response"), ("kill",), ("exchange", 0, "ok"),
        ("exchange", 0, "response"), ("kill",), ("turn",),
    ],
    "a commit is lost while the round opens": [
        ("start",), ("turn",), ("exchange", 0, "ok"), ("exchange", 1, "ok"), ("exchange", 2, "ok"),
        ("exchange", 0, "ok"), ("exchange", 1, "ok"), ("exchange", 2, "ok"), ("fail", "kept"),
        ("turn",), ("kill",), ("fail", "lost"), ("turn",),
    ],
    "everybody is away for more than a day": [
        ("start",), ("turn",), ("exchange", 0, "ok"), ("exchange", 1, "request"),
        ("advance", 100_000), ("turn",), ("start",),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_a_saved_history(builder, name):
    simulate(builder, REPRODUCTIONS[name])
