"""The agent's loop against a scheduler that loses answers, forges them and changes its mind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fake_registry import FakeRegistry
from fakes import FakeBroker, FakeScheduler
from scene import Scene

from capsule_runtime.broker.errors import BrokerLost, ConsentWithdrawn
from trust.clock import Clock
from trust.documents import signed
from trust.documents.budget import LedgerCheckpoint
from trust.documents.campaign import Cancellation
from trust.documents.consent import Decision, revocation_token
from trust.documents.reporting import Outcome, Partial
from trust.entropy import SYSTEM
from trust.ids import Digest
from wire.errors import Unreachable
from worker import readiness
from worker.agent import Agent, Ports
from worker.condition import Condition
from worker.exchange import BackOff, advanced
from worker.hosting import Hosting
from worker.journal import Journal
from worker.undertaking import MAXIMUM_BROKER_LOSSES


@dataclass
class ShiftedClock:
    """The machine's clocks, with a wall clock that can be set."""

    inner: Clock
    shift: timedelta = timedelta(0)

    def now(self) -> datetime:
        return self.inner.now() + self.shift

    def boottime(self) -> float:
        return self.inner.boottime()


@dataclass
class Stage:
    """One agent with fakes around it, restartable on the same state directory."""

    scene: Scene
    scheduler: FakeScheduler = field(init=False)
    broker: FakeBroker = field(init=False)
    status: bytes = b""
    statuses: int = 0
    roots: dict[int, bytes] = field(default_factory=dict)
    conditions: list[Condition] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = ShiftedClock(self.scene.clock)
        self.status = self.scene.territory.status()
        self.registry = FakeRegistry(self.scene.territory.status_key)

    async def _fetch_status(self, url: str) -> bytes:
        self.statuses += 1
        if not self.status:
            raise Unreachable("no status is served")
        return self.status

    async def _fetch_root(self, site: str, version: int) -> bytes | None:
        return self.roots.get(version)

    def agent(self) -> Agent:
        journal = Journal(self.scene.identity.state)
        agent = Agent(
            identity=self.scene.identity,
            journal=journal,
            hosting=Hosting(self.scene.identity, self.clock),
            broker=self.broker,
            ports=Ports(
                scheduler=self.scheduler,
                fetch_status=self._fetch_status,
                fetch_root=self._fetch_root,
                post_checkpoint=self.registry,
                clock=self.clock,
                entropy=SYSTEM,
            ),
            on_condition=self.conditions.append,
        )
        agent.standing.accept(
            self.scene.identity.root,
            self.status or self.scene.territory.status(),
            self.clock.boottime(),
        )
        return agent

    def play(self, plot: Callable[[Agent], Awaitable[None]]) -> Journal:
        """Run an agent while `plot` happens, then stop it; its journal, reopened."""

        async def whole() -> None:
            self.scheduler = FakeScheduler(self.scene)
            self.broker = FakeBroker(self.scene)
            agent = self.agent()
            running = asyncio.create_task(agent.run())
            try:
                async with asyncio.timeout(40):
                    await plot(agent)
            finally:
                agent.stop.set()
                started = self.clock.boottime()
                await running
                assert self.clock.boottime() - started < 1.5, "a clean stop takes a second"
                agent.journal.close()

        asyncio.run(whole())
        return Journal(self.scene.identity.state)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(Scene(tmp_path, 2))


def test_a_turn_that_went_well_writes_no_snapshot_before_its_orders_begin(stage: Stage) -> None:
    """Each one was a durable file in the way of the unit that the turn had just brought."""

    async def plot(agent: Agent) -> None:
        agent._show()
        shown = len(stage.conditions)
        for _ in range(3):
            agent._set_problem("")
        agent._set_problem("the line is down")
        assert len(stage.conditions) == shown + 1
        agent._set_problem("")
        assert stage.conditions[-1].problem == ""

    stage.play(plot)


def test_progress_leaves_at_fixed_ticks_only(stage: Stage) -> None:
    """A batch in between must not carry how far the unit is: its moment can be provoked."""
    order = stage.scene.territory.order(stage.scene.plan)

    async def plot(agent: Agent) -> None:
        async def during() -> None:
            agent.attempts.desk = advanced(agent.attempts.desk, order.attempt, 50, 100)
            before = len(stage.scheduler.batches)
            agent.conversation.notify()  # what a withdrawal or a finished unit does
            await stage.scheduler.until(lambda: len(stage.scheduler.batches) > before)
            assert stage.scheduler.batches[-1].held == (order.attempt,)
            assert not stage.scheduler.batches[-1].progress
            # The next tick may say it, in tenths.
            await stage.scheduler.until(lambda: bool(stage.scheduler.batches[-1].progress))
            said = stage.scheduler.batches[-1].progress
            assert [(item.done, item.total) for item in said] == [(5, 10)]

        stage.broker.during = during
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)

    stage.play(plot)


def test_an_order_is_worked_off_reported_and_receipted(stage: Stage) -> None:
    order = stage.scene.territory.order(stage.scene.plan)

    async def plot(agent: Agent) -> None:
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)
        # The batch after the one with the report: its receipt is in the journal.
        await stage.scheduler.until(lambda: not stage.scheduler.batches[-1].reports)

    journal = stage.play(plot)
    report = stage.scheduler.reports[order.attempt]
    assert report.outcome is Outcome.CONTRIBUTED
    assert report.token == order.token
    assert report.statement is not None
    key = stage.scene.identity.keys.node.public
    partial = signed.verify(Partial, report.statement, {key}).document
    assert stage.scheduler.stored[partial.values] == b"noise of run 1"
    assert [receipt.attempt for receipt in journal.receipts()] == [order.attempt]
    assert journal.pending_reports(9) == ()
    assert [batch.sequence for batch in stage.scheduler.batches] == list(
        range(1, len(stage.scheduler.batches) + 1)
    )
    assert stage.scheduler.closed
    assert stage.broker.stopped


def test_a_lost_answer_is_asked_for_again_with_the_same_bytes(stage: Stage) -> None:
    order = stage.scene.territory.order(stage.scene.plan)

    async def plot(agent: Agent) -> None:
        stage.scheduler.lose_answers = 1
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)

    stage.play(plot)
    assert stage.scheduler.raws[0] == stage.scheduler.raws[1]
    assert stage.broker.runs == 1


def test_a_batch_from_before_a_crash_is_repeated_then_overtaken(stage: Stage) -> None:
    # kill -9 in the middle of a unit: the journal still has the batch that named its lease.
    order = stage.scene.territory.order(stage.scene.plan)
    journal = Journal(stage.scene.identity.state)
    crashed = replace(stage.scene.batch(1), held=(order.attempt,), sequence=journal.sequence() + 1)
    raw = signed.sign(crashed, [stage.scene.identity.keys.node]).envelope.raw
    journal.begin_exchange(crashed.sequence, raw)
    journal.close()

    async def plot(agent: Agent) -> None:
        await stage.scheduler.until(lambda: len(stage.scheduler.raws) >= 2)

    stage.play(plot)
    assert stage.scheduler.raws[0] == raw
    assert order.attempt not in stage.scheduler.batches[1].held


def test_a_second_attempt_gets_the_first_statement_across_a_restart(stage: Stage) -> None:
    first, second = (stage.scene.territory.order(stage.scene.plan) for _ in range(2))
    said: list[bytes | None] = []
    for order in (first, second):

        async def plot(agent: Agent, order=order) -> None:  # type: ignore[no-untyped-def]
            await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
            await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)

        stage.play(plot)
        said.append(stage.scheduler.reports[order.attempt].statement)
    assert said[0] == said[1]
    assert stage.broker.runs == 0, "the second agent's broker drew no noise"


def test_a_forged_answer_changes_nothing(stage: Stage) -> None:
    order = stage.scene.territory.order(stage.scene.plan)

    async def plot(agent: Agent) -> None:
        stage.scheduler.forge_answers = 1
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: len(stage.scheduler.raws) >= 2)

    journal = stage.play(plot)
    assert stage.broker.runs == 0
    assert journal.pending_reports(9) == ()
    assert any("order-forged" in condition.problem for condition in stage.conditions)


def test_a_withdrawal_reaches_the_broker_at_once(stage: Stage) -> None:
    owner, scene = stage.scene.owners[0], stage.scene
    target = scene.bundle.digest
    revoke = owner.decide(scene.card, target, scene.clock.now(), Decision.REVOKE, 2)
    token = revocation_token(owner.capsule, target)

    async def plot(agent: Agent) -> None:
        await stage.scheduler.until(lambda: bool(stage.scheduler.batches))
        await stage.scheduler.say(lambda: stage.scheduler.consents.append(revoke))
        await stage.scheduler.until(lambda: len(stage.scheduler.batches) >= 2)

    stage.play(plot)
    assert stage.broker.withdrawn == token.raw


def test_a_withdrawal_in_governances_status_reaches_the_broker(stage: Stage) -> None:
    token = Digest.of(b"somebody")
    stage.status = stage.scene.territory.status(2, revoked=(token,))

    async def plot(agent: Agent) -> None:
        await stage.scheduler.until(lambda: bool(stage.scheduler.batches))

    journal = stage.play(plot)
    assert stage.broker.withdrawn == token.raw
    assert journal.status_number() == 2


def test_a_withdrawal_mid_unit_starts_the_unit_again(stage: Stage) -> None:
    order = stage.scene.territory.order(stage.scene.plan)

    async def plot(agent: Agent) -> None:
        stage.broker.failures = [ConsentWithdrawn("an owner withdrew")] * 2
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)

    stage.play(plot)
    assert stage.scheduler.reports[order.attempt].outcome is Outcome.CONTRIBUTED
    assert stage.broker.runs == 3


def test_a_lost_broker_is_replaced_within_the_attempt(stage: Stage) -> None:
    order = stage.scene.territory.order(stage.scene.plan)

    async def plot(agent: Agent) -> None:
        stage.broker.failures = [BrokerLost("it died")] * MAXIMUM_BROKER_LOSSES
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)

    stage.play(plot)
    report = stage.scheduler.reports[order.attempt]
    assert (report.outcome, report.reason) == (Outcome.CONTRIBUTED, "")
    assert stage.broker.runs == 1 + MAXIMUM_BROKER_LOSSES


def test_a_unit_that_loses_every_broker_is_a_failed_attempt_with_its_code(stage: Stage) -> None:
    order = stage.scene.territory.order(stage.scene.plan)

    async def plot(agent: Agent) -> None:
        stage.broker.failures = [BrokerLost("it died")] * (1 + MAXIMUM_BROKER_LOSSES)
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)

    stage.play(plot)
    report = stage.scheduler.reports[order.attempt]
    assert (report.outcome, report.reason) == (Outcome.FAILED, "broker-lost")


def test_a_sandbox_that_failed_its_self_test_is_tried_again_and_says_when(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "RETRY", BackOff(minimum=0.2, maximum=0.4))
    order = stage.scene.territory.order(stage.scene.plan)

    async def plot(agent: Agent) -> None:
        stage.broker.level = "L0"
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: stage.broker.starts >= 2)
        assert stage.scheduler.batches[-1].capacity.slots == 0
        stage.broker.level = "L2"  # the keeper repaired what was named
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)

    stage.play(plot)
    said = [reason for seen in stage.conditions for reason in seen.level_reasons]
    assert any("the self-test is tried again" in reason for reason in said)
    assert stage.conditions[-1].level == "L2"
    assert not any("tried again" in reason for reason in stage.conditions[-1].level_reasons)


def test_a_broker_that_cannot_start_does_not_silence_the_worker(stage: Stage) -> None:
    """Found by review: it exchanged nothing, so that its consents and reports waited too."""
    order = stage.scene.territory.order(stage.scene.plan)

    async def plot(agent: Agent) -> None:
        stage.broker.ready_failures = [BrokerLost("no such file")]
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: bool(stage.scheduler.batches))

    stage.play(plot)
    capacity = stage.scheduler.batches[0].capacity
    assert (capacity.slots, capacity.level) == (0, "L0")
    said = [reason for seen in stage.conditions for reason in seen.level_reasons]
    assert any("no such file" in reason for reason in said)


def test_a_cancelled_unit_is_stopped_and_says_nothing(stage: Stage) -> None:
    order = stage.scene.territory.order(stage.scene.plan)
    cancellation = Cancellation(order.unit, order.attempt, "campaign-cancelled")

    async def plot(agent: Agent) -> None:
        begun, never = asyncio.Event(), asyncio.Event()

        async def during() -> None:
            begun.set()
            await never.wait()

        stage.broker.during = during
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await begun.wait()
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.batches[-1].held)
        await stage.scheduler.say(lambda: stage.scheduler.cancellations.append(cancellation))
        await stage.scheduler.until(lambda: not stage.scheduler.batches[-1].held)

    journal = stage.play(plot)
    assert order.attempt not in stage.scheduler.reports
    assert journal.statement(order.campaign, order.round, order.kind) is None


def test_a_suspension_mid_unit_stops_it_and_is_the_reason(stage: Stage) -> None:
    order = stage.scene.territory.order(stage.scene.plan)
    suspended = stage.scene.territory.status(2, suspended=(order.authorisation,))

    async def plot(agent: Agent) -> None:
        async def during() -> None:
            # What the status loop does when it fetches this one.
            agent.standing.accept(agent.identity.root, suspended, 0.0)
            agent._stop_suspended()

        stage.broker.during = during
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)

    journal = stage.play(plot)
    report = stage.scheduler.reports[order.attempt]
    assert (report.outcome, report.reason) == (Outcome.REFUSED, "authorisation-suspended")
    assert stage.broker.cancelled == 1
    assert journal.statement(order.campaign, order.round, order.kind) is None


def test_a_stop_in_the_middle_of_a_unit_leaves_nothing_behind(stage: Stage) -> None:
    order = stage.scene.territory.order(stage.scene.plan)

    async def plot(agent: Agent) -> None:
        begun, never = asyncio.Event(), asyncio.Event()

        async def during() -> None:
            begun.set()
            await never.wait()

        stage.broker.during = during
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await begun.wait()

    journal = stage.play(plot)
    assert journal.statement(order.campaign, order.round, order.kind) is None
    assert journal.pending_reports(9) == ()
    parting = stage.scheduler.batches[-1]
    assert (parting.held, parting.capacity.draining, parting.capacity.slots) == ((), True, 0)


@pytest.mark.parametrize("level", ["L0", "L2"])
def test_a_machine_without_a_sandbox_offers_no_slot(stage: Stage, level: str) -> None:
    async def plot(agent: Agent) -> None:
        stage.broker.level = level
        await stage.scheduler.until(lambda: bool(stage.scheduler.batches))

    stage.play(plot)
    capacity = stage.scheduler.batches[0].capacity
    assert capacity.slots == (0 if level == "L0" else 1)
    assert (capacity.contributes, capacity.concludes) == (True, False)


def test_without_a_fresh_status_every_order_is_refused(stage: Stage) -> None:
    stage.status = stage.scene.territory.status(age=timedelta(hours=25))
    order = stage.scene.territory.order(stage.scene.plan)

    async def plot(agent: Agent) -> None:
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)

    stage.play(plot)
    report = stage.scheduler.reports[order.attempt]
    assert (report.outcome, report.reason) == (Outcome.NOT_READY, "status-stale")
    assert stage.broker.runs == 0


@pytest.mark.parametrize(("hours", "reason"), [(-2, "status-early"), (25, "plan-expired")])
def test_a_wall_clock_that_jumps_refuses_until_it_is_right(
    stage: Stage, hours: int, reason: str
) -> None:
    order = stage.scene.territory.order(stage.scene.plan)
    again = stage.scene.territory.order(stage.scene.plan)

    async def plot(agent: Agent) -> None:
        stage.clock.shift = timedelta(hours=hours)
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)
        stage.clock.shift = timedelta(0)
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(again))
        await stage.scheduler.until(lambda: again.attempt in stage.scheduler.reports)

    stage.play(plot)
    assert stage.scheduler.reports[order.attempt].reason in {reason, "authorisation-not-yet"}
    assert stage.scheduler.reports[again.attempt].outcome is Outcome.CONTRIBUTED


def test_a_certificate_is_renewed_at_half_of_its_life(stage: Stage) -> None:
    stage.clock.shift = timedelta(hours=13)

    async def plot(agent: Agent) -> None:
        old = agent.identity.certificate.serial_number
        await stage.scheduler.until(lambda: stage.scheduler.renewals == 1)
        await stage.scheduler.until(lambda: agent.identity.certificate.serial_number != old)

    stage.play(plot)
    pem = (stage.scene.identity.state / "certificate.pem").read_bytes()
    assert b"BEGIN CERTIFICATE" in pem


def test_the_next_root_is_walked_to_and_a_forged_one_is_not(stage: Stage) -> None:
    territory = stage.scene.territory
    stage.roots = {2: territory.sign_root(version=2), 3: territory.sign_root(version=9)}

    async def plot(agent: Agent) -> None:
        await stage.scheduler.until(lambda: agent.identity.root.document.version == 2)

    stage.play(plot)
    roots = sorted(path.name for path in (stage.scene.identity.state / "roots").iterdir())
    assert roots == ["1.json", "2.json"]


def test_the_status_kept_on_disk_counts_after_a_restart(stage: Stage) -> None:
    stage.status = stage.scene.territory.status(5)

    async def plot(agent: Agent) -> None:
        await stage.scheduler.until(lambda: bool(stage.scheduler.batches))

    stage.play(plot)
    stage.status = stage.scene.territory.status(5)
    agent = stage.agent()
    agent.standing.status = None
    agent.standing.recall(stage.scene.identity.root, 0.0)
    assert agent.standing.status is not None
    assert agent.standing.status.document.number == 5
    agent.journal.keep_status_number(6)
    agent.standing.recall(stage.scene.identity.root, 0.0)
    assert agent.standing.status is None


def test_a_rolled_back_ledger_is_shown_and_no_round_is_planned_for_it(stage: Stage) -> None:
    identity = stage.scene.identity
    stage.registry.furthest[identity.worker] = LedgerCheckpoint(
        territory=identity.names.territory,
        worker=identity.worker,
        key=identity.keys.node.public,
        counter=70,
        head=Digest.of(b"the newest copy"),
        nonce=bytes(16),
        made_at=stage.scene.territory.now,
    )
    order = stage.scene.territory.order(stage.scene.plan)

    async def plot(agent: Agent) -> None:
        await stage.scheduler.say(lambda: stage.scheduler.orders.append(order))
        await stage.scheduler.until(lambda: order.attempt in stage.scheduler.reports)
        await stage.scheduler.until(lambda: not stage.scheduler.batches[-1].capacity.contributes)

    stage.play(plot).close()
    report = stage.scheduler.reports[order.attempt]
    assert (report.outcome, report.reason) == (Outcome.REFUSED, "ledger-rolled-back")
    assert stage.broker.runs == 0
    assert "[ledger-rolled-back]" in stage.conditions[-1].ledger
