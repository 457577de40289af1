"""The agent: exchanges with the scheduler, one unit at a time, until it is told to stop.

It wires the rooms of a worker together. Loops under one roof: exchange, progress, readiness of
the sandbox, and the upkeep of status, certificate, root and journal. None of them may end the
others; each failure waits with back-off and is shown by `cadastre worker status`. Durations count
on the boot clock, so a wall clock that jumps neither ends nor lengthens a lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from trust.clock import Clock
from trust.documents.reporting import Capacity, Progress
from trust.entropy import Entropy
from trust.ids import Digest
from trust.problem import Problem
from worker import upkeep
from worker.attempts import Attempts
from worker.checkpoints import Checkpoints, Post
from worker.condition import Condition
from worker.conversation import Conversation, Heard, Saying, Turn
from worker.exchange import BackOff
from worker.governance import Standing
from worker.hosting import Hosting
from worker.identity import Identity
from worker.journal import Journal
from worker.last_bundle import LastBundle
from worker.ports import Broker, Scheduler
from worker.readiness import Readiness
from worker.workshop import Workshop

_LOG = logging.getLogger("cadastre.worker")
# What a running unit's progress is read at, and never in between: finer steps in time would let
# a hostile scheduler and author read how long single capsules took.
PROGRESS_SECONDS = 3.0
# Even a scheduler that answers at once and says nothing is not asked more often.
MINIMUM_SPACING_SECONDS = 0.05
# One that says something at once is: a unit ends with two such turns, a question and its report.
# But nothing that it says makes the agent spin.
MAXIMUM_QUICK_TURNS = 8
# After new orders the next poll, which only waits for cancellations, may begin this much later.
UNASKED_SECONDS = 0.25
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
        self.attempts = Attempts(
            self._workshop,
            self.readiness,
            self.ports.clock,
            ended=self.conversation.notify,
        )
        self._bundle = LastBundle()
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
        self.attempts.drain()
        everything = [*tasks, *self.attempts.running.values(), *self.conversation.late]
        for task in everything:
            task.cancel()
        await asyncio.gather(*everything, return_exceptions=True)
        self.attempts.release()
        self._show()  # what a keeper reads of it from now on
        with contextlib.suppress(TimeoutError):
            await self.broker.stop()
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
        quick = 0
        while True:
            started = self.ports.clock.boottime()
            try:
                turn = await self.exchange()
                back_off = back_off.succeeded()
                self._set_problem("")
                spent = self.ports.clock.boottime() - started
                quick = quick + 1 if spent < MINIMUM_SPACING_SECONDS else 0
                if turn.orders:
                    # It has work and nothing to ask: a short unit ends before this.
                    await self.conversation.until_news(UNASKED_SECONDS)
                elif quick and (turn.idle or quick > MAXIMUM_QUICK_TURNS):
                    quick = 0
                    await asyncio.sleep(MINIMUM_SPACING_SECONDS)
            except Problem as problem:
                back_off = back_off.failed()
                delay = back_off.delay(self.ports.entropy)
                self._set_problem(str(problem))
                _LOG.warning("exchange failed, next in %.0f s: %s", delay, problem)
                await asyncio.sleep(delay)

    async def exchange(self) -> Turn:
        """One turn of the talk with the scheduler. Raises what it raises."""
        self.attempts.tick()
        try:
            return await self.conversation.turn()
        finally:
            # A refused life starts nothing more.
            self.attempts.resume(alive=self.conversation.alive)

    def saying(self) -> Saying:
        """What the next batch says of this worker; progress is as of the last tick."""
        held = self.attempts.desk.held
        progress = tuple(item for item in self._progress if item.attempt in held)
        return Saying(held, progress, self._capacity())

    def _capacity(self) -> Capacity:
        readiness, capsules, desk = self.readiness, self.hosting.capsules(), self.attempts.desk
        return Capacity(
            slots=desk.slots if readiness.runs else 0,
            level=readiness.level,
            image=readiness.image,
            libraries=readiness.libraries,
            # An old copy of a ledger contributes nothing until its keeper has seen to it.
            contributes=capsules > 0 and not self.checkpoints.rolled_back,
            concludes=capsules == 0 if self.concludes is None else self.concludes,
            draining=desk.draining,
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
        self.attempts.resume(alive=self.conversation.alive)
        self.attempts.take(heard)

    def hear_status(self, raw: bytes) -> None:
        """Take a fetched governance status. Raises StatusForged, StatusReplayed, StorageFailed."""
        if self.standing.accept(self.identity.root, raw, self.ports.clock.boottime()):
            self._announce_withdrawals()
            self._stop_suspended()

    # --- units ---

    def _workshop(self) -> Workshop:
        return Workshop(
            identity=self.identity,
            journal=self.journal,
            broker=self.broker,
            standing=self.standing,
            fetch=self.ports.scheduler.fetch,
            fetch_bundle=self._fetch_bundle,
            checkpoint=self.checkpoints.require,
            clock=self.ports.clock,
            entropy=self.ports.entropy,
            doubt=self.readiness.doubt,
        )

    async def _fetch_bundle(self, digest: Digest) -> bytes:
        return await self._bundle.fetch(digest, self.ports.scheduler.fetch)

    def _announce_withdrawals(self) -> None:
        self.broker.withdraw(self.standing.tokens() + self.hosting.withdrawn())

    def _stop_suspended(self) -> None:
        """A suspension ends a running unit before its sum leaves."""
        status = self.standing.status
        if status is None:
            return
        suspended = {line.authorisation for line in status.document.suspensions}
        for lease in self.attempts.desk.leases:
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
            self.attempts.tick()
            progress = self.attempts.desk.progress()
            if progress != self._progress:
                self._progress = progress
                self.conversation.notify()
            self._show()

    def _readiness_changed(self) -> None:
        self.conversation.notify()
        self._show()

    def _set_problem(self, text: str) -> None:
        # Orders are at hand when a turn went well, and a report when a unit ended: what else
        # changed is shown by the next tick.
        if text != self._problem:
            self._problem = text
            self._show()

    def _show(self) -> None:
        # A disk that cannot be read is told by what needs it, not by a snapshot.
        with contextlib.suppress(Problem):
            self._show_now()

    def _show_now(self) -> None:
        running = next(iter(self.attempts.desk.leases), None)
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
