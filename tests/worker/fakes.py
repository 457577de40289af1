"""A scheduler and a broker in memory, behind the same ports as the real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from cryptography import x509
from scene import Scene

from capsule_runtime.broker.messages import Contribute, Contributed, Inspected, Ready
from trust import certificates
from trust.clock import Clock
from trust.documents import signed
from trust.documents.campaign import Acknowledgement, Cancellation, Order
from trust.documents.reporting import AttemptReport, ReportBatch
from trust.ids import AttemptId, Digest, UnitId
from trust.policy import Exhibit
from wire.errors import Unreachable
from worker.identity import Identity
from worker.ports import Answer, OnProgress


@dataclass
class FakeScheduler:
    """Answers every batch once it has something to say; keeps what it was told."""

    scene: Scene
    orders: list[Order] = field(default_factory=list)
    cancellations: list[Cancellation] = field(default_factory=list)
    consents: list[bytes] = field(default_factory=list)
    lose_answers: int = 0  # the next answers are computed, and lost on their way
    forge_answers: int = 0
    batches: list[ReportBatch] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)
    reports: dict[str, AttemptReport] = field(default_factory=dict)
    stored: dict[Digest, bytes] = field(default_factory=dict)
    given: set[AttemptId] = field(default_factory=set)
    renewals: int = 0
    closed: bool = False
    along: tuple[bytes, ...] = ()  # blobs that come with orders
    fetched: list[Digest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.changed = asyncio.Condition()
        self._answers: dict[bytes, Answer] = {}

    async def say(self, change: Callable[[], object]) -> None:
        """Change something and wake the long poll."""
        async with self.changed:
            change()
            self.changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the worker has told what makes `condition` true."""
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(condition)

    async def exchange(self, reports: bytes, values: tuple[bytes, ...] = ()) -> Answer:
        key = self.scene.identity.keys.node.public
        batch = signed.verify(ReportBatch, reports, {key}).document
        async with self.changed:
            self.stored |= {Digest.of(blob): blob for blob in values}
            if reports not in self._answers:
                assert not self.batches or batch.sequence > self.batches[-1].sequence
                self.batches.append(batch)
                for report in batch.reports:
                    if report.statement is not None and report.attempt in self.given:
                        assert self.stored, "a report before its blob"
                    self.reports.setdefault(report.attempt, report)
            self.raws.append(reports)
            self.changed.notify_all()
            await self.changed.wait_for(
                lambda: (
                    reports in self._answers
                    or self._news(batch)
                    or batch.sequence != self.batches[-1].sequence
                )
            )
            if reports not in self._answers:
                self._answers[reports] = self._answer(batch)
            answer = self._answers[reports]
            if self.lose_answers:
                self.lose_answers -= 1
                raise Unreachable("the answer was lost")
            return answer

    def _news(self, batch: ReportBatch) -> bool:
        return bool(
            batch.reports
            or (self.orders and batch.capacity.slots)
            or self.consents
            or self.cancellations
            or self._unknown(batch)
            or batch.capacity.draining
        )

    def _unknown(self, batch: ReportBatch) -> tuple[Cancellation, ...]:
        """What the worker believes it holds and was never given here."""
        return tuple(
            Cancellation(UnitId.from_bytes(bytes(16)), attempt, "unknown-attempt")
            for attempt in batch.held
            if attempt not in self.given
        )

    def _answer(self, batch: ReportBatch) -> Answer:
        given = self.orders[: batch.capacity.slots]
        del self.orders[: batch.capacity.slots]
        consents, self.consents = tuple(self.consents), []
        self.given |= {order.attempt for order in given}
        cancellations, self.cancellations = tuple(self.cancellations), []
        cancellations += self._unknown(batch)
        territory, facts = self.scene.territory, self.scene.facts
        forged = bool(self.forge_answers)
        self.forge_answers -= forged
        raw = territory.orders(
            self.scene.identity.worker,
            tuple(given),
            answers=batch.sequence,
            key=territory.author if forged else None,
            cancellations=cancellations,
            acknowledgements=tuple(
                Acknowledgement(
                    report.unit,
                    report.attempt,
                    accepted=True,
                    reason="",
                    statement=Digest.of(report.statement) if report.statement else None,
                )
                for report in batch.reports
            ),
        )
        exhibits = (
            self.scene.plan,
            self.scene.authorisation,
            Exhibit(territory.statement(facts), b""),
        )
        return Answer(raw, exhibits if given else (), consents, self.along if given else ())

    async def fetch(self, digest: Digest) -> bytes:
        self.fetched.append(digest)
        return self.scene.blobs[digest]

    async def put(self, data: bytes) -> None:
        self.stored[Digest.of(data)] = data

    async def renew(self, identity: Identity, clock: Clock) -> x509.Certificate:
        fresh = certificates.issue(
            self.scene.territory.authority_key,
            self.scene.territory.authority,
            certificates.make_request(identity.keys.tls, "renewal"),
            territory=identity.names.territory,
            role=certificates.Role.WORKER,
            name=identity.worker,
            now=clock.now(),
        )
        await self.say(lambda: setattr(self, "renewals", self.renewals + 1))
        return fresh

    async def adopt(self, identity: Identity) -> None:
        assert identity.worker == self.scene.identity.worker

    async def close(self) -> None:
        self.closed = True


async def _at_once() -> None:
    """A unit that takes no time."""


@dataclass
class FakeBroker:
    """Sums without capsules: fresh noise at every run, so that a repetition would show."""

    scene: Scene
    runs: int = 0
    orders: list[Contribute] = field(default_factory=list)
    publics: list[bytes | None] = field(default_factory=list)
    level: str = "L2"
    starts: int = 0
    during: Callable[[], Awaitable[None]] = _at_once  # what happens in the middle of a unit
    withdrawn: bytes = b""
    cancelled: int = 0
    stopped: bool = False
    failures: list[Exception] = field(default_factory=list)
    ready_failures: list[Exception] = field(default_factory=list)

    async def ready(self) -> Ready:
        if self.ready_failures:
            raise self.ready_failures.pop(0)
        return Ready(
            level=self.level,
            reasons=(),
            image=self.scene.image,
            libraries=("numpy",),
            capsules=30,
            ledger_counter=0,
            ledger_hash=bytes(32),
        )

    async def renew(self) -> Ready:
        self.starts += 1
        return await self.ready()

    async def inspect(self, bundle: bytes) -> Inspected:
        facts = self.scene.facts
        return Inspected(
            run=1,
            bundle=Digest.of(bundle),
            manifest=facts.manifest,
            name="commute_flows",
            version="1.0.0",
            rules=facts.rules,
            tables=facts.tables,
            bounds=facts.bounds,
            libraries=("numpy",),
            rounds=1,
            charge="1/10",
        )

    async def contribute(
        self,
        order: Contribute,
        bundle: bytes,
        parameters: bytes,
        progress: OnProgress,
        public: bytes | None = None,
    ) -> tuple[Contributed, bytes, bytes | None]:
        self.runs += 1
        progress(1, 2)
        await self.during()
        if self.failures:
            raise self.failures.pop(0)
        progress(2, 2)
        self.orders.append(order)
        self.publics.append(public)
        blob = b"noise of run %d" % self.runs
        sealed = None if order.sealing is None else b"seed of run %d" % self.runs
        variances = {"flows": "5" if sealed is None else "0"}
        return Contributed(1, 30, 30, variances, "0.1", 0, 0), blob, sealed

    async def conclude(self, bundle: bytes, parameters: bytes, aggregate_: bytes) -> bytes:
        return b"result of " + aggregate_

    def cancel(self) -> None:
        self.cancelled += 1

    def withdraw(self, tokens: bytes) -> None:
        self.withdrawn = tokens

    async def stop(self) -> None:
        self.stopped = True
