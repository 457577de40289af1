"""The agent: exchanges with the scheduler, one unit at a time, until it is told to stop.

Four loops under one roof: exchange, governance's status, certificate renewal, territory root.
None of them may end the others; each failure waits with back-off and is shown by
`cadastre worker status`. Durations count on the boot clock, so a wall clock that jumps neither
ends nor lengthens a lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from capsule_runtime.broker.messages import Ready
from trust import certificates, schema
from trust import clock as clocks
from trust.clock import Clock
from trust.documents import signed
from trust.documents.campaign import Order
from trust.documents.governance import Authorisation
from trust.documents.membership import BundleStatement
from trust.documents.reporting import Capacity, Progress, ReportBatch
from trust.dsse import Envelope
from trust.entropy import Entropy
from trust.errors import TrustError
from trust.ids import AttemptId, Digest
from trust.policy import Exhibit, verify_orders
from trust.problem import Problem
from worker import exchange
from worker.exchange import BackOff, Desk, Step
from worker.governance import Standing
from worker.hosting import Hosting
from worker.identity import Identity
from worker.journal import Journal
from worker.ports import Answer, Broker, Scheduler
from worker.undertaking import Received, Workshop, undertake

_LOG = logging.getLogger("cadastre.worker")
# A suspension or withdrawal should act within minutes, not within the 24 h that are tolerated.
STATUS_SECONDS = 60.0
# Roots change a few times a year; certificates at half of 24 h.
ROOT_SECONDS = 3600.0
RENEWAL_CHECK_SECONDS = 300.0
# What a running unit's progress is read at, and never in between: finer steps in time would let
# a hostile scheduler and author read how long single capsules took.
PROGRESS_SECONDS = 3.0
# Even a scheduler that answers at once and says nothing is not asked more often.
MINIMUM_SPACING_SECONDS = 0.05
# How long a batch from before a crash is waited for before it is overtaken.
RESUME_SECONDS = 1.0
# What the scheduler answers to a batch that it neither took in before nor ever will.
NEVER_TAKEN = frozenset({"message-expired", "message-early"})
# After these the level that this machine advertised no longer stands for the broker it has.
UNPROVEN = frozenset({"broker-lost", "sandbox-unavailable"})
# SIGTERM to exit within a second (issue 2): the parting word gets half of it.
PARTING_SECONDS = 0.5


@dataclass
class Ports:
    """What an agent is wired to; tests put fakes behind the same shapes."""

    scheduler: Scheduler
    fetch_status: Callable[[str], Awaitable[bytes]]
    fetch_root: Callable[[str, int], Awaitable[bytes | None]]
    clock: Clock
    entropy: Entropy


@dataclass(frozen=True)
class Condition:
    """What `cadastre worker status` shows: facts of this machine, for its keeper."""

    worker: str
    level: str
    level_reasons: tuple[str, ...]  # why it is not higher
    capsules: int
    sequence: int
    running: str
    done: int
    total: int
    status_number: int
    waiting: tuple[str, ...]
    problem: str


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
        self.desk = Desk()
        self._ready: Ready | None = None
        self._news = asyncio.Event()
        self._received: dict[AttemptId, Received] = {}
        self._units: dict[AttemptId, asyncio.Task[None]] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._delivered: set[Digest] = set()
        self._overtaking = False
        self._waiting: tuple[str, ...] = ()
        self._problem = ""
        self._progress: tuple[Progress, ...] = ()
        self._shown: Condition | None = None

    async def run(self) -> None:
        """Work until `stop` is set; then finish nothing new and leave the journal intact."""
        self.standing.recall(self.identity.root)
        self._announce_withdrawals()
        loops = [
            asyncio.create_task(self._status_loop()),
            asyncio.create_task(self._exchange_loop()),
            asyncio.create_task(self._renewal_loop()),
            asyncio.create_task(self._root_loop()),
            asyncio.create_task(self._progress_loop()),
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
        everything = [*tasks, *self._units.values(), *self._late]
        for task in everything:
            task.cancel()
        await asyncio.gather(*everything, return_exceptions=True)
        self._units.clear()
        with contextlib.suppress(TimeoutError):
            await self.broker.stop()
        self.desk = replace(self.desk, leases=())
        with contextlib.suppress(Problem, TimeoutError):
            # The scheduler may hand our leases to others at once; nothing depends on it.
            async with asyncio.timeout(PARTING_SECONDS):
                await self.ports.scheduler.exchange(self._compose()[1])
        await self.ports.scheduler.close()
        self.hosting.close()

    # --- exchange ---

    async def _exchange_loop(self) -> None:
        back_off = BackOff(minimum=1.0, maximum=300.0)
        # Nothing may be leased before the self-test has said what this machine may run.
        while True:
            started = self.ports.clock.boottime()
            try:
                if self._ready is None:
                    self._ready = await self.broker.ready()
                    if self.journal.outgoing() is not None:
                        # It names leases that the crash ended. Answered before the crash, its
                        # answer comes at once; else the next batch says what is held now.
                        loop = asyncio.get_running_loop()
                        loop.call_later(RESUME_SECONDS, self._news.set)
                await self._exchange()
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

    async def _exchange(self) -> None:
        """One report batch out, its answer in; ends early when there is fresh news to report."""
        await self._deliver()
        self._apply(exchange.starting(self.desk, self.ports.clock.boottime()))
        sequence, raw = self._compose()
        call = asyncio.create_task(self.ports.scheduler.exchange(raw))
        news = asyncio.create_task(self._news.wait())
        try:
            await asyncio.wait({call, news}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            call.cancel()
            raise
        finally:
            news.cancel()
        if call.done():
            try:
                answer = call.result()
            except Problem as problem:
                # It was never taken in, so nothing was given in answer to it: the next batch
                # says the same with today's date. Repeating it would be refused for ever.
                self._overtaking |= problem.code in NEVER_TAKEN
                raise
            self._take(sequence, answer, current=True)
        else:
            # The next batch supersedes this poll. What it still brings must not be lost:
            # the scheduler believes consents delivered once a later batch arrives.
            self._overtaking = True
            late = asyncio.create_task(self._take_late(sequence, call))
            self._late.add(late)
            late.add_done_callback(self._late.discard)

    async def _take_late(self, sequence: int, call: asyncio.Task[Answer]) -> None:
        try:
            self._take(sequence, await call, current=False)
        except asyncio.CancelledError:
            call.cancel()
            raise
        except Problem as problem:
            _LOG.debug("a superseded exchange ended: %s", problem.code)

    def _compose(self) -> tuple[int, bytes]:
        """The next batch, or the last one again while its answer is missing.

        A batch whose call failed, or was cut by a crash, is repeated byte for byte until it is
        answered: what it was given (orders, consents) would otherwise be lost. It is only
        overtaken while its call is still under way, and then its answer is still listened for.
        """
        outgoing = self.journal.outgoing()
        if outgoing is not None and not self._overtaking and not self.desk.draining:
            return self.journal.sequence(), outgoing
        self._overtaking = False
        self._news.clear()
        sequence = self.journal.sequence() + 1
        reports = self.journal.pending_reports(exchange.MAXIMUM_REPORTS)
        deliverable = tuple(
            report
            for report in reports
            if report.statement is None or Digest.of(report.statement) in self._delivered
        )
        held = set(self.desk.held)
        batch = ReportBatch(
            territory=self.identity.names.territory,
            worker=self.identity.worker,
            sequence=sequence,
            sent_at=clocks.from_text(clocks.to_text(self.ports.clock.now())),
            held=self.desk.held,
            reports=deliverable,
            # As of the last tick of the progress loop, whatever made this batch leave now.
            progress=tuple(item for item in self._progress if item.attempt in held),
            capacity=self._capacity(),
        )
        raw = signed.sign(batch, [self.identity.keys.node]).envelope.raw
        self.journal.begin_exchange(sequence, raw)
        return sequence, raw

    def _capacity(self) -> Capacity:
        ready, capsules = self._ready, self.hosting.capsules()
        runs = ready is not None and ready.level != "L0"
        return Capacity(
            slots=self.desk.slots if runs else 0,
            level=ready.level if ready else "L0",
            image=ready.image if ready else Digest.of(b""),
            libraries=ready.libraries if ready else (),
            contributes=capsules > 0,
            concludes=capsules == 0 if self.concludes is None else self.concludes,
            draining=self.desk.draining,
        )

    async def _deliver(self) -> None:
        """Put every pending statement's blob before the report that names it."""
        for report in self.journal.pending_reports(exchange.MAXIMUM_REPORTS):
            if report.statement is None or Digest.of(report.statement) in self._delivered:
                continue
            await self.ports.scheduler.put(self.journal.content(Digest.of(report.statement)))
            self._delivered.add(Digest.of(report.statement))

    def _take(self, sequence: int, answer: Answer, *, current: bool) -> None:
        """Verify an answer and do what it says. Raises RunRefused on a forged one."""
        batch = verify_orders(
            self.identity.root, answer.orders, self.identity.worker, sequence
        ).document
        # Withdrawals first: nothing that follows may run without knowing them.
        self.hosting.take(answer.consents)
        if answer.consents:
            self._announce_withdrawals()
        self.journal.end_exchange(sequence, answer.orders, batch.acknowledgements)
        if not current:
            # Its orders are not in the later batch's `held`: the scheduler gave them up already.
            batch = replace(batch, orders=(), cancellations=())
        self._waiting = batch.waiting
        boottime = self.ports.clock.boottime()
        self._file(answer, batch.orders, sequence, boottime)
        self._apply(exchange.answered(self.desk, batch, boottime))

    def _file(
        self, answer: Answer, orders: tuple[Order, ...], sequence: int, boottime: float
    ) -> None:
        """Keep with each order what it rests on; all of it is verified when the unit starts."""
        if not orders:
            return
        by_digest = {Digest.of(exhibit.envelope): exhibit for exhibit in answer.exhibits}
        authorisations: dict[str, Exhibit] = {}
        statements: dict[Digest, bytes] = {}
        for exhibit in answer.exhibits:
            # What an exhibit claims to be only decides where it is looked up.
            with contextlib.suppress(TrustError):
                envelope = Envelope.parse(exhibit.envelope)
                if envelope.payload_type == Authorisation.TYPE:
                    vote = schema.decode(Authorisation, envelope.payload)
                    authorisations[vote.id] = exhibit
                elif envelope.payload_type == BundleStatement.TYPE:
                    statement = schema.decode(BundleStatement, envelope.payload)
                    statements[statement.bundle] = exhibit.envelope
        for order in orders:
            self._received[order.attempt] = Received(
                order=order,
                orders=answer.orders,
                answers=sequence,
                received_at=boottime,
                exhibits=by_digest,
                authorisations=authorisations,
                statements=statements,
            )

    def _apply(self, step: Step) -> None:
        self.desk = step.desk
        for attempt in step.stop:
            self._stop_unit(attempt)
        for order in step.start:
            received = self._received.get(order.attempt)
            assert received is not None
            self._units[order.attempt] = asyncio.create_task(self._work(received))
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
            clock=self.ports.clock,
            entropy=self.ports.entropy,
        )

        def progress(done: int, total: int) -> None:
            self.desk = exchange.advanced(self.desk, attempt, done, total)

        try:
            report = await undertake(workshop, received, progress)
            _LOG.info("attempt %s: %s %s", attempt, report.outcome.value, report.reason or "signed")
            if report.reason in UNPROVEN:
                self._ready = None  # the next broker proves its sandbox before more is leased
        finally:
            self._units.pop(attempt, None)
            self._apply(exchange.finished(self.desk, attempt, self.ports.clock.boottime()))
            self._news.set()

    def _stop_unit(self, attempt: AttemptId) -> None:
        """The lease is over: stop before anything leaves; what is journalled stays journalled."""
        task = self._units.get(attempt)
        if task is not None:
            _LOG.info("attempt %s is stopped", attempt)
            task.cancel()

    # --- the other loops ---

    async def _status_loop(self) -> None:
        back_off = BackOff(minimum=2.0, maximum=STATUS_SECONDS)
        while True:
            try:
                raw = await self.ports.fetch_status(self.identity.root.document.status_url)
                if self.standing.accept(self.identity.root, raw):
                    self._announce_withdrawals()
                    self._stop_suspended()
                back_off = back_off.succeeded()
                await asyncio.sleep(STATUS_SECONDS)
            except Problem as problem:
                back_off = back_off.failed()
                _LOG.warning("governance's status: %s", problem)
                await asyncio.sleep(back_off.delay(self.ports.entropy))

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

    async def _renewal_loop(self) -> None:
        back_off = BackOff(minimum=30.0, maximum=1800.0)
        while True:
            due = certificates.renew_after(self.identity.certificate)
            if self.ports.clock.now() < due:
                await asyncio.sleep(RENEWAL_CHECK_SECONDS)
                continue
            try:
                await self._renew()
                back_off = back_off.succeeded()
            except Problem as problem:
                back_off = back_off.failed()
                _LOG.warning("the certificate could not be renewed: %s", problem)
                await asyncio.sleep(back_off.delay(self.ports.entropy))

    async def _renew(self) -> None:
        fresh = await self.ports.scheduler.renew(self.identity, self.ports.clock)
        self.identity = self.identity.renewed(fresh)
        await self.ports.scheduler.adopt(self.identity)
        _LOG.info("certificate renewed until %s", fresh.not_valid_after_utc)

    async def _root_loop(self) -> None:
        while True:
            try:
                following = self.identity.root.document.version + 1
                raw = await self.ports.fetch_root(self.identity.names.site_url, following)
                if raw is not None:
                    self.identity = self.identity.rotated(raw)
                    _LOG.info("territory root version %d is in force", following)
                    continue
            except Problem as problem:
                _LOG.warning("the next territory root: %s", problem)
            await asyncio.sleep(ROOT_SECONDS)

    async def _progress_loop(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            self._apply(exchange.starting(self.desk, self.ports.clock.boottime()))
            progress = self.desk.progress()
            if progress != self._progress:
                self._progress = progress
                self._news.set()
            self._show()

    # --- showing ---

    def _set_problem(self, text: str) -> None:
        self._problem = text
        self._show()

    def _show(self) -> None:
        running = next(iter(self.desk.leases), None)
        condition = Condition(
            worker=self.identity.worker,
            level=self._ready.level if self._ready else "",
            level_reasons=self._ready.reasons if self._ready else (),
            capsules=self.hosting.capsules(),
            sequence=self.journal.sequence(),
            running=str(running.order.campaign) if running else "",
            done=running.done if running else 0,
            total=running.total if running else 0,
            status_number=self.journal.status_number(),
            waiting=self._waiting,
            problem=self._problem,
        )
        if condition != self._shown:
            self._shown = condition
            self.on_condition(condition)
