"""Both sides in one process: the real scheduler service and real agents, one manual clock.

Real: the scheduler's store, log, documents and use cases; the agents with their journals,
exchange logic, verification and signing. Fakes: the wire between them (`Wire`, which loses what
it is told to lose), the broker (`Summer`, which adds a number instead of opening capsules) and
governance's web server (`Grid.status`).
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from cryptography import x509
from fake_registry import FakeRegistry
from sqlmodel import select

from capsule_runtime.broker.errors import BrokerLost
from capsule_runtime.broker.messages import Contribute, Contributed, Inspected, Ready
from jobs import aggregate
from jobs import conclusion as results
from protection import accounting, columns
from protos.cadastre.v1 import work_pb2
from scheduler.domain.states import FINAL_CAMPAIGN, LIVE_ATTEMPT
from scheduler.errors import AlreadyEnded, StoreFailed
from scheduler.service import campaigns, consents, exchange, membership
from scheduler.store.tables import AttemptRow, CampaignRow, WorkerRow
from trust import certificates
from trust.certificates import Peer, Role
from trust.documents import signed
from trust.documents.consent import Decision
from trust.documents.governance import Status
from trust.documents.membership import EnrolmentProof
from trust.documents.reporting import Outcome, Partial, ReportBatch
from trust.ids import CapsuleId, Digest, WorkerId
from trust.keys import PrivateKey
from trust.log.replay import check_log
from trust.policy import Exhibit
from trust.problem import Problem
from wire.errors import Unreachable
from worker import identity
from worker.agent import Agent, Ports
from worker.hosting import Hosting
from worker.journal import Journal
from worker.ports import Answer

# The scheduler's own tests keep their territory in a conftest; ours is the same one.
_SPEC = importlib.util.spec_from_file_location(
    "scheduler_world", Path(__file__).parents[1] / "scheduler" / "conftest.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
scheduler_world: Any = importlib.util.module_from_spec(_SPEC)
sys.modules["scheduler_world"] = scheduler_world
_SPEC.loader.exec_module(scheduler_world)

CAPSULES = 4
HOSTS = 3  # the first ones contribute, the last one concludes


class Shaky:
    """The next commit of the scheduler fails: before it is stored (`lost`) or after (`kept`)."""

    def __init__(self) -> None:
        self.next = ""

    def before_commit(self, names: Any) -> None:
        self._fail("lost")

    def after_commit(self, names: Any) -> None:
        self._fail("kept")

    def _fail(self, when: str) -> None:
        if self.next == when:
            self.next = ""
            raise StoreFailed("injected")


class Hosted(Hosting):
    """Counts capsules that the fake broker stands for."""

    count = CAPSULES

    def capsules(self) -> int:
        return self.count


@dataclass
class Wire:
    """An agent's way to the scheduler; `fate` of the next exchange: ok, request, response."""

    grid: Grid
    peer: Peer
    key: PrivateKey
    fate: str = "ok"
    cut: bool = False
    refused: list[str] = field(default_factory=list)

    async def exchange(self, reports: bytes, values: tuple[bytes, ...] = ()) -> Answer:
        if self.cut or self.fate == "request":
            raise Unreachable("the request was lost")
        batch = signed.verify(ReportBatch, reports, {self.key.public}).document
        self.grid.heard(self.peer.name, batch)
        try:
            for blob in values:
                self.grid.received(Digest.of(blob))
            raw = await exchange.exchange(
                self.grid.world.desk, self.grid.world.standing, self.peer, reports, values
            )
        except Problem as problem:
            self.refused.append(problem.code)
            raise
        if self.fate == "response":
            raise Unreachable("the response was lost")
        response = work_pb2.ExchangeResponse.FromString(raw)
        exhibits = tuple(Exhibit(e.envelope, e.proof.encode()) for e in response.exhibits)
        blobs = tuple(response.blobs)
        return Answer(response.orders, exhibits, tuple(response.consents), blobs)

    async def fetch(self, digest: Digest) -> bytes:
        if self.cut:
            raise Unreachable("cut off")
        blob: bytes = self.grid.world.desk.blobs.get(digest)
        return blob

    async def put(self, data: bytes) -> None:
        if self.cut:
            raise Unreachable("cut off")
        self.grid.received(Digest.of(data))
        self.grid.world.desk.blobs.put(data)

    async def renew(self, identity: Any, clock: Any) -> x509.Certificate:
        raise Unreachable("certificates are not part of the simulation")

    async def adopt(self, identity: Any) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""


@dataclass
class Summer:
    """A broker whose sum is its worker's power of ten, and whose every run differs.

    The last two digits of a run's third cell are ten times the second cell; those before them
    number the run, as fresh noise would: a second sum would show in `Grid.received`.
    """

    grid: Grid
    worker: str
    mark: int
    stalled: bool = False
    lost: bool = False
    level: str = "L3"
    level_after_loss: str = "L3"
    runs: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def ready(self) -> Ready:
        image = scheduler_world.IMAGE
        return Ready(self.level, (), image, ("numpy",), CAPSULES, 0, bytes(32))

    async def renew(self) -> Ready:
        return await self.ready()

    async def inspect(self, bundle: bytes) -> Inspected:
        found = self.grid.world.bundle
        manifest = found.manifest
        return Inspected(
            run=1,
            bundle=Digest.of(bundle),
            manifest=found.manifest_digest,
            name=manifest.bundle.name,
            version=manifest.bundle.version,
            rules=manifest.rules(),
            tables=dict(manifest.needs.tables),
            bounds=manifest.bounds(),
            libraries=("numpy",),
            rounds=1,
            charge=str(sum(accounting.decimal(rule.rho, "rho") for rule in manifest.rules())),
        )

    async def contribute(
        self,
        order: Contribute,
        bundle: bytes,
        parameters: bytes,
        progress: Any,
        public: bytes | None = None,
    ) -> tuple[Contributed, bytes, bytes | None]:
        await self._work()
        rules = self.grid.world.bundle.manifest.rules()
        self.grid.runs += 1
        cells = np.array([self.mark, 1, 10 + 100 * self.grid.runs], np.int64)
        blob = aggregate.encode_partial(rules, {"counts": cells})
        self.grid.drawn[Digest.of(blob)] = (self.worker, str(order.campaign), order.round)
        return Contributed(1, CAPSULES, CAPSULES, {"counts": "5"}, "0.1", 0, 0), blob, None

    async def conclude(self, bundle: bytes, parameters: bytes, aggregate_: bytes) -> bytes:
        await self._work()
        cells = aggregate.decode_aggregate(self.grid.world.bundle.manifest.rules(), aggregate_)
        return columns.encode({results.REPORT: {"counts": cells["counts"]}})

    async def _work(self) -> None:
        self.runs += 1
        if self.stalled:
            await self.go.wait()
        if self.lost:
            self.lost, self.level = False, self.level_after_loss
            raise BrokerLost("killed", remedy="nothing")

    def cancel(self) -> None:
        """Nothing runs long enough."""

    def withdraw(self, tokens: bytes) -> None:
        """Nobody's tables are here."""

    async def stop(self) -> None:
        """Nothing to end."""


class Machine:
    """One worker: its state directory, and the agent that lives in it for now."""

    def __init__(self, grid: Grid, who: identity.Identity, mark: int) -> None:
        self.grid, self.who, self.mark = grid, who, mark
        peer = Peer(who.names.territory, Role.WORKER, who.worker, 1)
        self.wire = Wire(grid, peer, who.keys.node)
        self.boot()

    def boot(self) -> None:
        """The agent starts on what the journal holds."""
        world = self.grid.world
        self.journal = Journal(self.who.state)
        self.hosting = Hosted(self.who, world.clock)
        self.hosting.count = CAPSULES if self.mark else 0
        self.broker = Summer(self.grid, self.who.worker, self.mark)
        self.agent = Agent(
            identity=self.who,
            journal=self.journal,
            hosting=self.hosting,
            broker=self.broker,
            ports=Ports(
                scheduler=self.wire,
                fetch_status=self._no_status,
                fetch_root=self._no_root,
                post_checkpoint=self.grid.registry,
                clock=world.clock,
                entropy=world.desk.entropy,
            ),
        )
        self.agent.standing.recall(self.who.root, world.clock.boottime())

    async def exchange(self, fate: str) -> None:
        """One turn of the agent's exchange loop, and what it set off."""
        if self.agent.readiness.doubted or not self.agent.readiness.examined:
            await self.agent.readiness.prove()
        self.wire.fate = fate
        if self.grid.status is not None:
            # Its status loop, once.
            self.agent.standing.accept(
                self.who.root, self.grid.status(), self.grid.world.clock.boottime()
            )
        with suppress(Unreachable, StoreFailed, *REFUSALS):
            await self.agent.exchange()
        await self.settle()

    async def settle(self) -> None:
        """Let every unit and every overtaken call end that is not stalled."""
        if self.agent.conversation.late:
            await asyncio.gather(*self.agent.conversation.late, return_exceptions=True)
        if not self.broker.stalled:
            while self.agent.attempts.running:
                await asyncio.gather(*self.agent.attempts.running.values(), return_exceptions=True)
        else:
            for _ in range(20):
                await asyncio.sleep(0)

    async def stall(self) -> None:
        self.broker.stalled = True

    async def go_on(self) -> None:
        self.broker.stalled = False
        self.broker.go.set()
        self.broker.go = asyncio.Event()
        await self.settle()

    async def die(self, backup: Path | None = None) -> None:
        """kill -9: whatever is not in the journal never was; then the next life."""
        tasks = [*self.agent.attempts.running.values(), *self.agent.conversation.late]
        # What a dying agent does on its way out is not what a killed one does: keep nothing.
        self.agent.attempts._apply = lambda step: None  # type: ignore[method-assign]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.close()
        if backup is not None:
            shutil.rmtree(self.who.state)
            shutil.copytree(backup, self.who.state)
        self.boot()

    def close(self) -> None:
        self.hosting.close()
        self.journal.close()

    async def _no_status(self, url: str) -> bytes:
        raise Unreachable("the grid hands statuses over itself")

    async def _no_root(self, site: str, version: int) -> bytes | None:
        return None


# What the agent's own loop would catch: any refusal, shown and tried again later.
REFUSALS = (Problem,)


class Grid:
    """The territory, its machines, and what they promised each other."""

    def __init__(self, folder: Path) -> None:
        self.faults = Shaky()
        self.world = scheduler_world.build(folder / "scheduler", faults=self.faults)
        self.folder = folder
        self.machines: list[Machine] = []
        self.registry = FakeRegistry(self.world.keys["status"])
        self.said: dict[tuple[str, str, int], bytes] = {}
        self.runs = 0
        self.drawn: dict[Digest, tuple[str, str, int]] = {}  # blob -> worker, campaign, round
        self.delivered: dict[tuple[str, str, int], Digest] = {}
        self.copies = 0
        self.governance = True
        self.requests = 0
        self.number = 0

    @property
    def status(self) -> Any:
        """Governance's web server, or None while it is down."""
        return self._status if self.governance else None

    async def prepare(self) -> None:
        await self.world.authorised()
        for index in range(HOSTS + 1):
            mark = 10**index if index < HOSTS else 0
            await self._join(index, mark)
        for machine in self.machines:
            await machine.exchange("ok")

    def heard(self, worker: str, batch: ReportBatch) -> None:
        """Whatever a worker says about a round, it says once: the same bytes ever after."""
        for report in batch.reports:
            if report.outcome is not Outcome.CONTRIBUTED or report.statement is None:
                continue
            key = next(m.wire.key for m in self.machines if m.who.worker == worker)
            partial = signed.verify(Partial, report.statement, {key.public}).document
            name = (worker, str(partial.campaign), partial.round)
            assert self.said.setdefault(name, report.statement) == report.statement, name

    def received(self, blob: Digest) -> None:
        """One noised sum of the same people reaches the scheduler, never a second one."""
        name = self.drawn.get(blob)
        if name is not None:
            assert self.delivered.setdefault(name, blob) == blob, name

    # --- operations ---

    async def apply(self, operation: tuple[Any, ...]) -> None:
        """One operation; the scheduler's injected failures are its callers' to live with."""
        name, *rest = operation
        with suppress(StoreFailed):
            await getattr(self, name)(*rest)
        await asyncio.sleep(0)

    async def start(self) -> None:
        self.requests += 1
        await self.world.start(f"request {self.requests}")

    async def advance(self, seconds: int) -> None:
        self.world.clock.advance(seconds)

    async def turn(self) -> None:
        await self.world.turn()

    async def fail(self, how: str) -> None:
        self.faults.next = how

    async def kill_scheduler(self) -> None:
        self.faults.next = ""  # it died with the process
        self.world.reopen()

    async def kill(self, index: int) -> None:
        if index < len(self.machines):  # a copy may not have been made
            await self.machines[index].die()

    async def exchange(self, index: int, fate: str) -> None:
        if index < len(self.machines):
            await self.machines[index].exchange(fate)

    async def copy(self, index: int) -> None:
        """A second machine starts on a copy of the first one's state, beside it."""
        original = self.machines[index]
        self.copies += 1
        state = self.folder / f"copy-{self.copies}"
        shutil.copytree(original.who.state, state)
        who = replace(original.who, state=state)
        self.machines.append(Machine(self, who, original.mark))

    async def keep_copy(self, index: int) -> None:
        """A backup of a machine, for `restore`."""
        kept = self.folder / f"backup-{index}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.machines[index].who.state, kept)

    async def restore(self, index: int) -> None:
        """The machine dies; the next life finds the backup, if there is one."""
        kept, machine = self.folder / f"backup-{index}", self.machines[index]
        if kept.exists():
            self.copies += 1
            await machine.die(kept)

    async def stall(self, index: int) -> None:
        await self.machines[index].stall()

    async def go_on(self, index: int) -> None:
        await self.machines[index].go_on()

    async def lose_broker(self, index: int) -> None:
        self.machines[index].broker.lost = True

    async def partition(self, index: int) -> None:
        self.machines[index].wire.cut = True

    async def reconnect(self, index: int) -> None:
        self.machines[index].wire.cut = False

    async def silence(self) -> None:
        self.governance = False

    async def speak(self) -> None:
        self.governance = True

    async def witness(self, asleep: bool) -> None:
        self.world.witness.asleep = asleep

    async def cancel(self) -> None:
        for view in await campaigns.list_all(self.world.desk, None, 1, ""):
            with suppress(AlreadyEnded):
                await campaigns.cancel(self.world.desk, view.row.id, "simulated")

    # --- the end ---

    async def heal(self) -> None:
        """From now on nothing fails; every campaign must end."""
        self.faults.next, self.governance, self.world.witness.asleep = "", True, False
        for machine in self.machines:
            machine.wire.cut = False
            machine.broker.lost = False
            await machine.go_on()
        for _ in range(400):
            for machine in self.machines:
                await machine.exchange("ok")
            await self.turn()
            states = await self.states()
            if all(state in FINAL_CAMPAIGN for state in states):
                break
            self.world.clock.advance(20)
        else:
            refused = [machine.wire.refused[-3:] for machine in self.machines]
            raise AssertionError(f"campaigns do not end: {states}, refusals {refused}")
        if not self.copies:
            await self._require_able()

    async def states(self) -> list[str]:
        """Every campaign's state."""
        found: list[str] = await self.world.desk.look(
            "all", lambda tx: [row.state for row in tx.session.exec(select(CampaignRow))]
        )
        return found

    async def quota(self, index: int) -> int:
        """How many attempts a worker may have in a day."""
        name = self.machines[index].who.worker
        found: int = await self.world.desk.look(
            "quota", lambda tx: tx.session.get(WorkerRow, str(name)).quota_daily
        )
        return found

    async def check(self) -> None:
        """Nothing lost, nothing twice."""
        desk = self.world.desk
        alive = await desk.look(
            "live",
            lambda tx: [
                row.unit for row in tx.session.exec(select(AttemptRow)) if row.state in LIVE_ATTEMPT
            ],
        )
        assert alive == []
        entries = check_log(desk.log.fetch, desk.policy).entries
        views = await campaigns.list_all(desk, None, 0, "")
        released = [view.row for view in views if view.row.state == "released"]
        assert sum(b" release " in entry for entry in entries) == len(released)
        for row in released:
            _, report = await campaigns.report(desk, row.id)
            total, count, tens = json.loads(report)["arrays"]["counts"]["cells"]
            digits = [int(digit) for digit in str(total)]
            assert set(digits) <= {0, 1}, total
            assert sum(digits) == count == tens % 100 // 10
            for index, machine in enumerate(self.machines[:HOSTS]):
                if total // 10**index % 10:
                    assert (machine.who.worker, row.id, 1) in self.said

    def close(self) -> None:
        for machine in self.machines:
            machine.close()
        self.world.desk.store.close()
        self.world.desk.log.close()

    async def _require_able(self) -> None:
        """Afterwards the grid still works: one more campaign, and everybody is in it."""
        # A day passes, so that no quota of the troubled day is left.
        self.world.clock.advance(86_400)
        for _ in range(3):
            for machine in self.machines:
                await machine.exchange("ok")
        await self.start()
        for _ in range(60):
            await self.turn()
            for machine in self.machines:
                await machine.exchange("ok")
            states = await self.states()
            if all(state in FINAL_CAMPAIGN for state in states):
                break
            self.world.clock.advance(5)
        views = await campaigns.list_all(self.world.desk, None, 1, "")
        newest = views[0].row
        assert newest.state == "released", (newest.state, newest.reason, newest.why)
        _, report = await campaigns.report(self.world.desk, newest.id)
        total, count, tens = json.loads(report)["arrays"]["counts"]["cells"]
        assert (total, count, tens % 100) == (111, HOSTS, 10 * HOSTS)

    async def _join(self, index: int, mark: int) -> None:
        world = self.world
        state = self.folder / f"worker-{index}"
        keys = identity.load_or_draw_keys(state, world.desk.entropy)
        secret, _ = membership.create_token(
            world.desk.store, world.desk.entropy, 3600, role="worker", operator=f"o{index}",
            site="here", concludes=True,
        )  # fmt: skip
        request = certificates.make_request(keys.tls, keys.worker)
        proof = EnrolmentProof(
            Digest.of(secret), Digest.of(request), keys.node.public, keys.hpke_public,
            f"o{index}", "here",
        )  # fmt: skip
        admission = await membership.enrol(
            world.desk, secret, request, signed.sign(proof, [keys.node]).envelope.raw
        )
        certificate = x509.load_der_x509_certificate(admission.certificate)
        names = identity.Names(
            territory=scheduler_world.TERRITORY,
            pin=Digest.of(world.root_envelope),
            operator=f"o{index}",
            site="here",
            work_address="127.0.0.1:1",
            site_url="http://127.0.0.1:1",
        )
        who = identity.establish(state, names, certificate, (world.root_envelope,))
        self.machines.append(Machine(self, who, mark))
        if not mark:
            return
        owner = scheduler_world.FakeWorker(world, keys.node, WorkerId(who.worker), True, False)
        owner.owners = [PrivateKey.generate(world.desk.entropy) for _ in range(CAPSULES)]
        owner.capsules = [CapsuleId.draw(world.desk.entropy) for _ in range(CAPSULES)]
        said = [owner.consent(n, decision=Decision.GRANT) for n in range(CAPSULES)]
        assert (await consents.submit(world.desk, said)).accepted == CAPSULES

    def _status(self) -> bytes:
        self.number += 1
        now = self.world.clock.now()
        document = Status(
            territory=scheduler_world.TERRITORY,
            number=self.number,
            issued_at=now,
            expires_at=now + timedelta(hours=24),
            suspensions=(),
            revoked=(),
            live_consents={},
        )
        return bytes(signed.sign(document, [self.world.keys["status"]]).envelope.raw)
