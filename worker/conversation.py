"""The talk with the scheduler: one numbered report batch out, its signed answer in.

A batch whose call failed, or was cut by a crash, is repeated byte for byte until it is answered:
what it was given (orders, consents) would otherwise be lost. It is only overtaken while its call
is still under way, and then its answer is still listened for. What may be said at all, and when,
is `worker.freshness`'s to decide.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from trust import clock as clocks
from trust import schema
from trust.clock import Clock
from trust.documents import signed
from trust.documents.campaign import OrderBatch
from trust.documents.reporting import (
    AttemptReport,
    Capacity,
    Conclusion,
    Partial,
    Progress,
    ReportBatch,
)
from trust.dsse import Envelope
from trust.entropy import Entropy
from trust.ids import AttemptId, Digest
from trust.policy import verify_orders
from trust.problem import Problem
from wire.limits import INLINE_BYTES
from worker.exchange import MAXIMUM_REPORTS
from worker.exhibits import Received, sort_exhibits
from worker.freshness import Freshness
from worker.identity import Identity
from worker.journal import Journal
from worker.ports import Answer, Scheduler

_LOG = logging.getLogger("cadastre.worker.conversation")
# How long a batch from before a crash is waited for before it is overtaken. Answered before the
# crash, its answer comes at once; else the next batch says what is held now.
RESUME_SECONDS = 1.0
# What the scheduler answers to a batch that it neither took in before nor ever will.
NEVER_TAKEN = frozenset({"message-expired", "message-early"})
# What it answers to a blob for which this worker has no live attempt any more.
NOT_DUE = "values-not-due"
# Another machine, or an earlier life of this one, was answered under our number.
SHARED = "identity-shared"


@dataclass(frozen=True)
class Saying:
    """What the next batch says about this worker, besides its reports."""

    held: tuple[AttemptId, ...]
    progress: tuple[Progress, ...]
    capacity: Capacity


@dataclass(frozen=True)
class Heard:
    """A verified answer; `received` are its orders with their exhibits."""

    batch: OrderBatch
    received: dict[AttemptId, Received]
    boottime: float


@dataclass(frozen=True)
class Turn:
    """What came of one turn."""

    orders: bool = False  # new orders were taken
    idle: bool = False  # nothing was settled, received or brought: the next turn is not urgent


class Member(Protocol):
    """The agent, as far as it takes part in the talk."""

    identity: Identity

    def saying(self) -> Saying:
        """What is true of this worker now."""
        ...

    def hear_consents(self, raws: Sequence[bytes]) -> None:
        """Consents that came with an answer; nothing that follows may run without them."""
        ...

    def hear(self, heard: Heard) -> None:
        """Do what a verified answer says."""
        ...


class Conversation:
    """One worker's exchanges, in order."""

    def __init__(
        self,
        member: Member,
        journal: Journal,
        scheduler: Scheduler,
        *,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._member = member
        self._journal = journal
        self._scheduler = scheduler
        self._clock = clock
        self._entropy = entropy
        self._news = asyncio.Event()
        self._late: set[asyncio.Task[None]] = set()
        self._delivered: set[Digest] = set()
        self._overtaking = False
        # A batch of an earlier life: its answer may be an old one, and confirms nothing.
        self._resuming = journal.outgoing() is not None
        self.freshness = Freshness()

    @property
    def alive(self) -> bool:
        """Whether the scheduler has answered this life: then units may start."""
        return self.freshness.alive

    @property
    def late(self) -> Collection[asyncio.Task[None]]:
        """Overtaken calls that are still under way."""
        return frozenset(self._late)

    def notify(self) -> None:
        """There is something to say that should not wait for the heartbeat."""
        self._news.set()

    async def until_news(self, seconds: float) -> None:
        """Return when there is something to say, at the latest after `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)

    async def turn(self) -> Turn:
        """One report batch out, its answer in; ends early when there is fresh news to report.

        Raises what the scheduler or the wire refuses, RunRefused on a forged answer, and
        StorageFailed.
        """
        await self._deliver()
        sequence, raw, reports = self._compose()
        call = asyncio.create_task(self._scheduler.exchange(raw, self._attached(reports)))
        try:
            answered = await self._wait_for(call)
        except asyncio.CancelledError:
            call.cancel()
            raise
        if answered:
            return self._conclude(sequence, call)
        # The next batch supersedes this poll. What it still brings must not be lost:
        # the scheduler believes consents delivered once a later batch arrives.
        self._resuming, self._overtaking = False, True
        late = asyncio.create_task(self._take_late(sequence, call))
        self._late.add(late)
        late.add_done_callback(self._late.discard)
        return Turn()

    async def part(self) -> None:
        """Say that nothing is held any more: the scheduler may hand our leases to others at once.

        A life that was never answered says nothing: a copy must not number past the original.
        """
        if self.alive:
            await self._scheduler.exchange(self._next_batch()[1])

    # --- out ---

    def _compose(self) -> tuple[int, bytes, tuple[AttemptReport, ...]]:
        """The next batch and its reports, or the last one again while its answer is missing."""
        outgoing = self._journal.outgoing()
        if outgoing is not None and not self._overtaking:
            again = schema.decode(ReportBatch, Envelope.parse(outgoing).payload)
            return self._journal.sequence(), outgoing, again.reports
        return self._next_batch()

    def _next_batch(self) -> tuple[int, bytes, tuple[AttemptReport, ...]]:
        self._overtaking = self._resuming = False
        self._news.clear()
        sequence = self._journal.sequence() + 1
        pending = self._journal.pending_reports(MAXIMUM_REPORTS)
        saying = self._member.saying()
        held = saying.held
        asking = self.freshness.asks(report.attempt for report in pending)
        if asking or not self.alive:
            probe = AttemptId.draw(self._entropy)
            self.freshness = self.freshness.asked(sequence, probe, asking)
            # Finished, but not yet said: they are held, or the scheduler would give them up.
            held = (*held, *sorted(asking - set(held)), probe)
        if saying.capacity.draining:
            held = ()
        batch = ReportBatch(
            territory=self._member.identity.names.territory,
            worker=self._member.identity.worker,
            sequence=sequence,
            sent_at=clocks.from_text(clocks.to_text(self._clock.now())),
            held=held,
            reports=tuple(report for report in pending if self._may_leave(report)),
            progress=tuple(item for item in saying.progress if item.attempt in held),
            capacity=saying.capacity,
        )
        raw = signed.sign(batch, [self._member.identity.keys.node]).envelope.raw
        self._journal.begin_exchange(sequence, raw)
        return sequence, raw, batch.reports

    def _may_leave(self, report: AttemptReport) -> bool:
        """Settled, and its blob is where the scheduler will look for it (or not wanted)."""
        if report.attempt not in self.freshness.settled:
            return False
        if report.statement is None or report.attempt in self.freshness.ended:
            return True
        return Digest.of(report.statement) in self._delivered

    async def _deliver(self) -> None:
        """Put every settled statement's blob before the report that names it."""
        for report in self._journal.pending_reports(MAXIMUM_REPORTS):
            if report.statement is None:
                continue
            if report.attempt not in self.freshness.settled and self._priceless(report.statement):
                self.freshness = self.freshness.free(report.attempt)
            if report.attempt not in self.freshness.settled:
                continue
            digest = Digest.of(report.statement)
            # Of an attempt that ended the blob is of no use; its next attempt delivers it.
            if digest not in self._delivered and report.attempt not in self.freshness.ended:
                content = self._journal.content(digest)
                if len(content) <= INLINE_BYTES:
                    self._delivered.add(digest)  # it goes with the report: `_attached`
                    continue
                try:
                    await self._scheduler.put(content)
                except Problem as problem:
                    if problem.code != NOT_DUE:
                        raise
                    # The lease ended since it was asked about. The report goes alone, and its
                    # answer says why; raising here would repeat the same refusal for ever.
                    _LOG.warning("attempt %s is reported alone: %s", report.attempt, problem)
                    self.freshness = self.freshness.unwanted(report.attempt)
                else:
                    self._delivered.add(digest)

    def _priceless(self, statement: bytes) -> bool:
        """Whether what was stated had no price: see `worker.freshness`."""
        envelope = Envelope.parse(statement)
        if envelope.payload_type == Conclusion.TYPE:
            return True
        partial = schema.decode(Partial, envelope.payload)
        return self._journal.uncharged(partial.campaign, partial.round)

    def _attached(self, reports: Sequence[AttemptReport]) -> tuple[bytes, ...]:
        """The small blobs that the reports name; a repeated batch has the same ones."""
        wanted = (
            report.statement for report in reports if report.attempt not in self.freshness.ended
        )
        blobs = (
            self._journal.small_content(Digest.of(said), INLINE_BYTES)
            for said in wanted
            if said is not None
        )
        return tuple(blob for blob in blobs if blob is not None)

    # --- in ---

    async def _wait_for(self, call: asyncio.Task[Answer]) -> bool:
        """Whether the answer came before news that is worth overtaking it."""
        if self._resuming:
            await asyncio.wait({call}, timeout=RESUME_SECONDS)
            return call.done()
        if not self.alive:
            # The probe makes it short, and a copy must not overtake what it is refused.
            await asyncio.wait({call})
            return True
        news = asyncio.create_task(self._news.wait())
        try:
            await asyncio.wait({call, news}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        return call.done()

    def _conclude(self, sequence: int, call: asyncio.Task[Answer]) -> Turn:
        try:
            answer = call.result()
        except Problem as problem:
            # It was never taken in, so nothing was given in answer to it: the next batch
            # says the same with today's date. Repeating it would be refused for ever.
            self._overtaking |= problem.code in NEVER_TAKEN
            if problem.code == SHARED:
                self.freshness = self.freshness.refused()
            raise
        return self._take(sequence, answer, current=True)

    async def _take_late(self, sequence: int, call: asyncio.Task[Answer]) -> None:
        try:
            self._take(sequence, await call, current=False)
        except asyncio.CancelledError:
            call.cancel()
            raise
        except Problem as problem:
            _LOG.debug("a superseded exchange ended: %s", problem.code)

    def _take(self, sequence: int, answer: Answer, *, current: bool) -> Turn:
        """Verify an answer and do what it says. Raises RunRefused on a forged one."""
        identity = self._member.identity
        batch = verify_orders(identity.root, answer.orders, identity.worker, sequence).document
        # Withdrawals first: nothing that follows may run without knowing them.
        self._member.hear_consents(answer.consents)
        self._journal.end_exchange(sequence, answer.orders, batch.acknowledgements)
        cancelled = frozenset(item.attempt for item in batch.cancellations)
        probes = self.freshness.probes(sequence)
        before = self.freshness
        self.freshness = self.freshness.answered(sequence, cancelled).forgotten(
            [receipt.attempt for receipt in batch.acknowledgements]
        )
        self._resuming = False
        batch = replace(
            batch,
            cancellations=tuple(c for c in batch.cancellations if c.attempt not in probes),
        )
        if not current:
            # Its orders are not in the later batch's `held`: the scheduler gave them up already.
            batch = replace(batch, orders=(), cancellations=())
        boottime = self._clock.boottime()
        received = sort_exhibits(answer, batch, sequence, boottime)
        self._member.hear(Heard(batch, received, boottime))
        said = batch.acknowledgements or batch.cancellations or answer.consents
        return Turn(bool(batch.orders), idle=not said and self.freshness.settled == before.settled)
