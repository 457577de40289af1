"""The attempts that this worker holds: which order waits, which unit runs, which one must stop.

The pure core (`worker.exchange`) decides, here its decisions become tasks. If we crash, every
task is gone and its lease runs out; what a unit had kept in the journal is said by the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from capsule_runtime.errors import SandboxStartFailed, SandboxUnavailable
from trust.clock import Clock
from trust.ids import AttemptId
from trust.problem import Problem
from worker import exchange
from worker.conversation import Heard
from worker.exchange import Desk, Step
from worker.exhibits import Received
from worker.readiness import Readiness
from worker.undertaking import undertake
from worker.workshop import Workshop

_LOG = logging.getLogger("cadastre.worker")
# After these the level that this machine advertised no longer stands for the broker it has.
UNPROVEN = frozenset({SandboxUnavailable.code, SandboxStartFailed.code})


class Attempts:
    """The desk and the running units; `desk` and `running` are read by whoever reports on them."""

    def __init__(
        self,
        workshop: Callable[[], Workshop],
        readiness: Readiness,
        clock: Clock,
        *,
        ended: Callable[[], None],
    ) -> None:
        """`ended` is called when a unit is over."""
        self._workshop = workshop
        self._readiness = readiness
        self._clock = clock
        self._ended = ended
        self._received: dict[AttemptId, Received] = {}
        self.desk = Desk(resuming=True)
        self.running: dict[AttemptId, asyncio.Task[None]] = {}

    def tick(self) -> None:
        """Let expired leases go and start what fits into the free slots."""
        self._apply(exchange.starting(self.desk, self._clock.boottime()))

    def resume(self, *, alive: bool) -> None:
        """Orders wait until the scheduler has answered this life; a refused one starts nothing."""
        self.desk = replace(self.desk, resuming=not alive)

    def take(self, heard: Heard) -> None:
        """Do what a verified answer says: start, stop, forget."""
        self._received.update(heard.received)
        self._apply(exchange.answered(self.desk, heard.batch, heard.boottime))

    def drain(self) -> None:
        """Start nothing more; what runs is its caller's to cancel."""
        self.desk = replace(self.desk, draining=True)

    def release(self) -> None:
        """Nothing runs and nothing is held any more."""
        self.running.clear()
        self.desk = replace(self.desk, leases=())

    def _apply(self, step: Step) -> None:
        self.desk = step.desk
        for attempt in step.stop:
            self._stop(attempt)
        for order in step.start:
            received = self._received.get(order.attempt)
            assert received is not None
            self.running[order.attempt] = asyncio.create_task(self._work(received))
        held = set(self.desk.held)
        for attempt in [attempt for attempt in self._received if attempt not in held]:
            del self._received[attempt]
        self.desk = exchange.forgotten(self.desk, {receipt.attempt for receipt in step.receipts})

    async def _work(self, received: Received) -> None:
        attempt = received.order.attempt

        def progress(done: int, total: int) -> None:
            self.desk = exchange.advanced(self.desk, attempt, done, total)

        try:
            report = await undertake(self._workshop(), received, progress)
            _LOG.info("attempt %s: %s %s", attempt, report.outcome.value, report.reason or "signed")
            if report.reason in UNPROVEN:
                self._readiness.doubt(afresh=True)
        except Problem as problem:
            # The report could not be kept (a full disk): the lease is given back unsaid, and the
            # next attempt finds in the journal whatever was kept.
            _LOG.warning("attempt %s ends without a report: %s", attempt, problem)
        finally:
            self.running.pop(attempt, None)
            self._apply(exchange.finished(self.desk, attempt, self._clock.boottime()))
            self._ended()

    def _stop(self, attempt: AttemptId) -> None:
        """The lease is over: stop before anything leaves; what is journalled stays journalled."""
        task = self.running.get(attempt)
        if task is not None:
            _LOG.info("attempt %s is stopped", attempt)
            task.cancel()
