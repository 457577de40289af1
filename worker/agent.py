"""The agent: exchanges with the scheduler, one unit at a time, until it is told to stop.

It wires the rooms of a worker together and owns its units. Loops under one roof: exchange,
progress, readiness of the sandbox, and the upkeep of status, certificate, root and journal. None
of them may end the others; each failure waits with back-off and is shown by `cadastre worker
status`. Durations count on the boot clock, so a wall clock that jumps neither ends nor lengthens
a lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from capsule_runtime.errors import SandboxStartFailed, SandboxUnavailable
from trust.clock import Clock
from trust.documents.reporting import Capacity, Progress
from trust.entropy import Entropy
from trust.ids import AttemptId
from trust.problem import Problem
from worker import exchange, upkeep
from worker.checkpoints import Checkpoints, Post
from worker.condition import Condition
from worker.conversation import Conversation, Heard, Saying
from worker.exchange import BackOff, Desk, Step
from worker.governance import Standing
from worker.hosting import Hosting
from worker.identity import Identity
from worker.journal import Journal
from worker.ports import Broker, Scheduler
from worker.readiness import Readiness
from worker.undertaking import Received, Workshop, undertake

_LOG = logging.getLogger("cadastre.worker")
# What a running unit's progress is read at, and never in between: finer steps in time would let
# a hostile scheduler and author read how long single capsules took.
PROGRESS_SECONDS = 3.0
# Even a scheduler that answers at once and says nothing is not asked more often.
MINIMUM_SPACING_SECONDS = 0.05
# After these the level that this machine advertised no longer stands for the broker it has.
UNPROVEN = frozenset({SandboxUnavailable.code, SandboxStartFailed.code})
# SIGTERM to exit within a second (issue 2): the parting word gets half of it.
PARTING_SECONDS = 0.5


@dataclass
class Ports:
    """What an agent is wired to; tests put fakes behind the same shapes."""

    scheduler: Scheduler
    fetch_status: Callable[[str], Awaitable[bytes]]
    fetch_root: Callable[[str, int], Awaitable[bytes | None]]
    post_checkpoint: Post
    clock: Clock
    entropy: Entropy


@dataclass
class Agent:
    """One worker's agent. `run` until `stop` is set."""

    identity: Identity
    journal: Journal
    hosting: Hosting
    broker: Broker
    ports: Ports
    concludes: bool | None = None  # None: when it hosts no capsules
    on_condition: Callable[[Condition], None] = lambda _: None
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.standing = Standing(self.identity.state, self.journal)
        self.conversation = Conversation(
            self,
            self.journal,
            self.ports.scheduler,
            clock=self.ports.clock,
            entropy=self.ports.entropy,
        )
        self.checkpoints = Checkpoints(
            self._identity,
            self.journal.ledger,
            self.ports.post_checkpoint,
            clock=self.ports.clock,
            entropy=self.ports.entropy,
        )
        self.readiness = Readiness(self.broker, self.ports.entropy, self._readiness_changed)
        self.desk = Desk(resuming=True)
        self.units: dict[AttemptId, asyncio.Task[None]] = {}
        self._received: dict[AttemptId, Received] = {}
        self._waiting: tuple[str, ...] = ()
        self._problem = ""
        self._progress: tuple[Progress, ...] = ()
        self._shown: Condition | None = None

    async def run(self) -> None:
        """Work until `stop` is set; then finish nothing new and leave the journal intact."""
        self.standing.recall(self.identity.root, self.ports.clock.boottime())
        self._announce_withdrawals()
        ports = self.ports
        loops = [
            asyncio.create_task(work)
            for work in (
                upkeep.follow_status(
                    self._identity, ports.fetch_status, self.hear_status, ports.entropy
                ),
                self.readiness.watch(),
                self._exchange_loop(),
                upkeep.keep_certified(self._identity, self._renew, ports.clock, ports.entropy),
                upkeep.follow_root(self._identity, ports.fetch_root, self._rotate),
                upkeep.keep_journal_small(self.journal, ports.clock),
                self._progress_loop(),
            )
        ]
        stopping = asyncio.create_task(self.stop.wait())
        try:
            done, _ = await asyncio.wait({*loops, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()  # a loop never returns: this is a fault of ours, said aloud
        finally:
            await self._wind_up([*loops, stopping])

    async def _wind_up(self, tasks: list[asyncio.Task[None] | asyncio.Task[bool]]) -> None:
        self.desk = replace(self.desk, draining=True)
        everything = [*tasks, *self.units.values(), *self.conversation.late]
        for task in everything:
            task.cancel()
        await asyncio.gather(*everything, return_exceptions=True)
        self.units.clear()
        with contextlib.suppress(TimeoutError):
            await self.broker.stop()
        self.desk = replace(self.desk, leases=())
        with contextlib.suppress(Problem, TimeoutError):
            async with asyncio.timeout(PARTING_SECONDS):
                await self.conversation.part()
        await self.ports.scheduler.close()
        self.hosting.close()

    # --- exchange ---

    async def _exchange_loop(self) -> None:
        back_off = BackOff(minimum=1.0, maximum=300.0)
        # Nothing may be planned for this machine before the self-test said what it may run.
        await self.readiness.first()
        while True:
            started = self.ports.clock.boottime()
            try:
                await self.exchange()
                back_off = back_off.succeeded()
                self._set_problem("")
                spent = self.ports.clock.boottime() - started
                if spent < MINIMUM_SPACING_SECONDS:
                    await asyncio.sleep(MINIMUM_SPACING_SECONDS)
            except Problem as problem:
                back_off = back_off.failed()
                delay = back_off.delay(self.ports.entropy)
                self._set_problem(str(problem))
                _LOG.warning("exchange failed, next in %.0f s: %s", delay, problem)
                await asyncio.sleep(delay)

    async def exchange(self) -> None:
        """One turn of the talk with the scheduler. Raises what it raises."""
        self._apply(exchange.starting(self.desk, self.ports.clock.boottime()))
        try:
            await self.conversation.turn()
        finally:
            # A refused life starts nothing more.
            self.desk = replace(self.desk, resuming=not self.conversation.alive)

    def saying(self) -> Saying:
        """What the next batch says of this worker; progress is as of the last tick."""
        held = self.desk.held
        progress = tuple(item for item in self._progress if item.attempt in held)
        return Saying(held, progress, self._capacity())

    def _capacity(self) -> Capacity:
        readiness, capsules = self.readiness, self.hosting.capsules()
        return Capacity(
            slots=self.desk.slots if readiness.runs else 0,
            level=readiness.level,
            image=readiness.image,
            libraries=readiness.libraries,
            # An old copy of a ledger contributes nothing until its keeper has seen to it.
            contributes=capsules > 0 and not self.checkpoints.rolled_back,
            concludes=capsules == 0 if self.concludes is None else self.concludes,
            draining=self.desk.draining,
            images=readiness.images,
        )

    def hear_consents(self, raws: Sequence[bytes]) -> None:
        """Keep forwarded consents and tell the broker of withdrawals. Raises StorageFailed."""
        if raws:
            self.hosting.take(raws)
            self._announce_withdrawals()

    def hear(self, heard: Heard) -> None:
        """Do what a verified answer says."""
        self._waiting = heard.batch.waiting
        self._received.update(heard.received)
        self.desk = replace(self.desk, resuming=not self.conversation.alive)
        self._apply(exchange.answered(self.desk, heard.batch, heard.boottime))

    def hear_status(self, raw: bytes) -> None:
        """Take a fetched governance status. Raises StatusForged, StatusReplayed, StorageFailed."""
        if self.standing.accept(self.identity.root, raw, self.ports.clock.boottime()):
            self._announce_withdrawals()
            self._stop_suspended()

    def _apply(self, step: Step) -> None:
        self.desk = step.desk
        for attempt in step.stop:
            self._stop_unit(attempt)
        for order in step.start:
            received = self._received.get(order.attempt)
            assert received is not None
            self.units[order.attempt] = asyncio.create_task(self._work(received))
        held = set(self.desk.held)
        for attempt in [attempt for attempt in self._received if attempt not in held]:
            del self._received[attempt]
        self.desk = exchange.forgotten(self.desk, {receipt.attempt for receipt in step.receipts})
        self._show()

    # --- units ---

    async def _work(self, received: Received) -> None:
        attempt = received.order.attempt
        workshop = Workshop(
            identity=self.identity,
            journal=self.journal,
            broker=self.broker,
            standing=self.standing,
            fetch=self.ports.scheduler.fetch,
            checkpoint=self.checkpoints.require,
            clock=self.ports.clock,
            entropy=self.ports.entropy,
            doubt=self.readiness.doubt,
        )

        def progress(done: int, total: int) -> None:
            self.desk = exchange.advanced(self.desk, attempt, done, total)

        try:
            report = await undertake(workshop, received, progress)
            _LOG.info("attempt %s: %s %s", attempt, report.outcome.value, report.reason or "signed")
            if report.reason in UNPROVEN:
                self.readiness.doubt(afresh=True)
        except Problem as problem:
            # The report could not be kept (a full disk): the lease is given back unsaid, and the
            # next attempt finds in the journal whatever was kept.
            _LOG.warning("attempt %s ends without a report: %s", attempt, problem)
        finally:
            self.units.pop(attempt, None)
            self._apply(exchange.finished(self.desk, attempt, self.ports.clock.boottime()))
            self.conversation.notify()

    def _stop_unit(self, attempt: AttemptId) -> None:
        """The lease is over: stop before anything leaves; what is journalled stays journalled."""
        task = self.units.get(attempt)
        if task is not None:
            _LOG.info("attempt %s is stopped", attempt)
            task.cancel()

    def _announce_withdrawals(self) -> None:
        self.broker.withdraw(self.standing.tokens() + self.hosting.withdrawn())

    def _stop_suspended(self) -> None:
        """A suspension ends a running unit before its sum leaves."""
        status = self.standing.status
        if status is None:
            return
        suspended = {line.authorisation for line in status.document.suspensions}
        for lease in self.desk.leases:
            if lease.order.authorisation in suspended:
                self.broker.cancel()

    # --- identity ---

    def _identity(self) -> Identity:
        return self.identity

    async def _renew(self) -> None:
        fresh = await self.ports.scheduler.renew(self.identity, self.ports.clock)
        self.identity = self.identity.renewed(fresh)
        await self.ports.scheduler.adopt(self.identity)
        _LOG.info("certificate renewed until %s", fresh.not_valid_after_utc)

    def _rotate(self, raw: bytes) -> None:
        self.identity = self.identity.rotated(raw)

    # --- showing ---

    async def _progress_loop(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            self._apply(exchange.starting(self.desk, self.ports.clock.boottime()))
            progress = self.desk.progress()
            if progress != self._progress:
                self._progress = progress
                self.conversation.notify()
            self._show()

    def _readiness_changed(self) -> None:
        self.conversation.notify()
        self._show()

    def _set_problem(self, text: str) -> None:
        self._problem = text
        self._show()

    def _show(self) -> None:
        # A disk that cannot be read is told by what needs it, not by a snapshot.
        with contextlib.suppress(Problem):
            self._show_now()

    def _show_now(self) -> None:
        running = next(iter(self.desk.leases), None)
        condition = Condition(
            worker=self.identity.worker,
            level=self.readiness.level if self.readiness.examined else "",
            level_reasons=self.readiness.reasons,
            capsules=self.hosting.capsules(),
            sequence=self.journal.sequence(),
            running=str(running.order.campaign) if running else "",
            done=running.done if running else 0,
            total=running.total if running else 0,
            status_number=self.journal.status_number(),
            waiting=self._waiting,
            ledger=self.checkpoints.problem,
            problem=self._problem,
        )
        if condition != self._shown:
            self._shown = condition
            self.on_condition(condition)
