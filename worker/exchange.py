"""The pure core of the agent: what it holds, what to say next, what an answer changes.

No clock, no network, no disk: the agent passes in the boot clock's seconds and carries out the
effects. Invariants (property-tested): at most `SLOTS` units run; a unit is started once per
attempt; an attempt that ended is never started again; a lease past its time is let go.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from trust.documents.campaign import Acknowledgement, Order, OrderBatch
from trust.documents.reporting import Progress
from trust.entropy import Entropy
from trust.ids import AttemptId

# One unit at a time: one owner's data at a time in memory, one core busy (sandbox.md 8.4).
SLOTS = 1
# Orders waiting behind the running one; more would let leases run out in a queue.
MAXIMUM_LEASES = 8
# Reports in one batch: BOINC reports at 64 results at the latest (volunteer.md 6.5).
MAXIMUM_REPORTS = 64


# What leaves of a unit's progress: tenths, each of which stands for at least ten capsules. A
# scheduler that works with the bundle's author would otherwise read from it how long each
# capsule took (docs/threat-model.md, duration).
PROGRESS_STEPS = 10
MINIMUM_CAPSULES_PER_STEP = 10


class Stage(enum.Enum):
    """Where one lease stands on this worker."""

    WAITING = "waiting"
    RUNNING = "running"


@dataclass(frozen=True)
class Lease:
    """One order held; `received_at` counts on the boot clock."""

    order: Order
    received_at: float
    stage: Stage = Stage.WAITING
    done: int = 0
    total: int = 0

    def expired(self, boottime: float) -> bool:
        """Whether its duration is over."""
        return not 0 <= boottime - self.received_at < self.order.lease_seconds


@dataclass(frozen=True)
class Desk:
    """Everything held now, and the attempts that ended (so that none starts twice)."""

    leases: tuple[Lease, ...] = ()
    ended: frozenset[AttemptId] = frozenset()
    draining: bool = False
    resuming: bool = False  # the scheduler has not answered this life yet: orders wait

    @property
    def held(self) -> tuple[AttemptId, ...]:
        """The attempts to name in the next batch."""
        return tuple(lease.order.attempt for lease in self.leases)

    @property
    def slots(self) -> int:
        """How many attempts it could start now."""
        if self.draining:
            return 0
        return max(0, SLOTS - len(self.leases))

    def progress(self) -> tuple[Progress, ...]:
        """How far the running attempts are, as coarse as it may leave this machine."""
        return tuple(
            Progress(
                lease.order.unit,
                lease.order.attempt,
                tenths(lease.done, lease.total),
                PROGRESS_STEPS,
            )
            for lease in self.leases
            if lease.stage is Stage.RUNNING and lease.total
        )

    def find(self, attempt: AttemptId) -> Lease | None:
        """The lease of an attempt, if held."""
        return next((lease for lease in self.leases if lease.order.attempt == attempt), None)


@dataclass(frozen=True)
class Step:
    """The desk afterwards; orders to start now, attempts to stop, receipts to keep."""

    desk: Desk
    start: tuple[Order, ...] = ()
    stop: tuple[AttemptId, ...] = ()
    receipts: tuple[Acknowledgement, ...] = ()


@dataclass(frozen=True)
class BackOff:
    """x = min(maximum, minimum * 2^n) * U(0.5, 1), in seconds (BOINC's form, volunteer.md 6.5)."""

    minimum: float = 1.0
    maximum: float = 300.0
    failures: int = field(default=0)

    def delay(self, entropy: Entropy) -> float:
        """How long to wait after `failures` failures in a row; 0 after none."""
        if self.failures == 0:
            return 0.0
        ceiling = min(self.maximum, self.minimum * 2.0 ** min(self.failures - 1, 64))
        share = int.from_bytes(entropy(8), "big") / 2.0**64
        return ceiling * (0.5 + share / 2)

    def failed(self) -> BackOff:
        """After one more failure."""
        return replace(self, failures=self.failures + 1)

    def succeeded(self) -> BackOff:
        """Start afresh."""
        return replace(self, failures=0)


def tenths(done: int, total: int) -> int:
    """`done` of `total` capsules, rounded down to tenths; 0 to 10.

    A small cohort has fewer steps, under ten capsules none: no step is ever one capsule's.
    """
    steps = min(PROGRESS_STEPS, total // MINIMUM_CAPSULES_PER_STEP)
    if steps == 0:
        return 0
    return PROGRESS_STEPS * (max(0, min(done, total)) * steps // total) // steps


def answered(desk: Desk, batch: OrderBatch, boottime: float) -> Step:
    """What a verified answer changes. Its orders count from `boottime`."""
    cancelled = {cancellation.attempt for cancellation in batch.cancellations}
    stop = tuple(
        lease.order.attempt
        for lease in desk.leases
        if lease.order.attempt in cancelled and lease.stage is Stage.RUNNING
    )
    kept = tuple(lease for lease in desk.leases if lease.order.attempt not in cancelled)
    # Names that were never ours to hold are not worth remembering.
    stopped = frozenset(desk.held) & cancelled
    known = {*desk.ended, *(lease.order.attempt for lease in kept), *cancelled}
    fresh: list[Lease] = []
    for order in batch.orders:
        if order.attempt not in known and len(kept) + len(fresh) < MAXIMUM_LEASES:
            known.add(order.attempt)
            fresh.append(Lease(order, boottime))
    following = replace(desk, leases=(*kept, *fresh), ended=desk.ended | stopped)
    step = starting(following, boottime)
    return replace(step, stop=stop, receipts=batch.acknowledgements)


def starting(desk: Desk, boottime: float) -> Step:
    """Let expired leases go and start what fits into the free slots."""
    expired = tuple(lease for lease in desk.leases if lease.expired(boottime))
    stop = tuple(lease.order.attempt for lease in expired if lease.stage is Stage.RUNNING)
    alive = [lease for lease in desk.leases if lease not in expired]
    running = sum(lease.stage is Stage.RUNNING for lease in alive)
    start: list[Order] = []
    for index, lease in enumerate(alive):
        if desk.draining or desk.resuming or running + len(start) >= SLOTS:
            break
        if lease.stage is Stage.WAITING:
            start.append(lease.order)
            alive[index] = replace(lease, stage=Stage.RUNNING)
    ended = desk.ended | {lease.order.attempt for lease in expired}
    return Step(replace(desk, leases=tuple(alive), ended=ended), tuple(start), stop)


def finished(desk: Desk, attempt: AttemptId, boottime: float) -> Step:
    """An attempt ended here, whatever way; its report is in the journal already."""
    leases = tuple(lease for lease in desk.leases if lease.order.attempt != attempt)
    return starting(replace(desk, leases=leases, ended=desk.ended | {attempt}), boottime)


def advanced(desk: Desk, attempt: AttemptId, done: int, total: int) -> Desk:
    """Progress of a running attempt."""
    leases = tuple(
        replace(lease, done=done, total=total) if lease.order.attempt == attempt else lease
        for lease in desk.leases
    )
    return replace(desk, leases=leases)


def forgotten(desk: Desk, receipts: Collection[AttemptId]) -> Desk:
    """Ended attempts whose receipts are kept need not be remembered here."""
    return replace(desk, ended=desk.ended - frozenset(receipts))
