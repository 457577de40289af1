"""A real helper beside the scheduler of the tests, and workers that share their sums."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from sqlmodel import col, select

from governance.batches import office
from governance.batches.history import History
from governance.batches.standing import Standing
from governance.helper.helper import Helper
from governance.helper.memory import Memory
from governance.helper.office import Denied, Office
from protection.layout import Layout
from protection.scope import Binding
from protection.seeds import Seed, seal
from protection.shares import split
from scheduler.errors import HelperDenied, HelperUnavailable
from scheduler.service import campaigns
from scheduler.site import Site
from scheduler.store.tables import LogRow
from trust import schema
from trust.documents import signed
from trust.documents.aggregation import HelperKey
from trust.documents.campaign import Order
from trust.documents.governance import Status
from trust.documents.reporting import Partial
from trust.documents.rules import Protection
from trust.documents.signed import Document
from trust.dsse import Envelope
from trust.entropy import seeded
from trust.ids import Digest, ReportId
from trust.log.entry import Kind
from trust.log.policy import Policy
from trust.problem import Problem

TERRITORY = "plaine.example"
D = TypeVar("D", bound=Document)
O = TypeVar("O", bound=office.Office[Any])  # noqa: E741 - an office of either


@dataclass
class Port:
    """The scheduler's port to a program in this process; every message goes through its bytes."""

    world: Any
    folder: Path
    down: bool = False
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """As after a crash: from the disk."""
        raise NotImplementedError

    def office(self, cls: type[O], name: str, memory: Any) -> O:
        """What the program `name` decides with."""
        return cls(
            root=self.world.desk.root,
            key=self.world.keys[name],
            memory=memory,
            history=self.history(),
            standing=self.standing(memory),
            bundle=lambda digest: self._site(f"objects/sha256/{digest[7:9]}/{digest[7:]}"),
            clock=self.world.clock,
            entropy=seeded(name.encode()),
        )

    def history(self) -> History:
        return History(Policy.parse(self.world.desk.root.document.log_policy.encode()), self._site)

    def standing(self, memory: Any) -> Standing:
        return Standing(
            self.world.desk.root, memory, lambda _: self.world.status["now"], self.world.clock
        )

    def _site(self, path: str) -> bytes | None:
        """What the scheduler shows to everybody, and nothing else."""
        page = Site(self.world.desk, [], list).page("/" + path)
        return None if page is None else page.data

    def put(self, program: Any, name: str, request: Any, unavailable: type[Problem]) -> Any:
        """What `program` answers. Raises Denied, and `unavailable` while it is down."""
        self.asked.append(name)
        if self.down:
            raise unavailable("it is down", remedy="wait")
        return getattr(program, name)(schema.decode(type(request), schema.encode(request)))


class InProcess(Port):
    """The scheduler's port to a helper."""

    def restart(self) -> None:
        self.helper = Helper(self.office(Office, "helper", Memory(self.folder, TERRITORY)))

    def engage(self, request: Any) -> bytes:
        return self._ask("engage", request)

    def prepare(self, request: Any) -> bytes:
        return self._ask("prepare", request)

    def commit(self, request: Any) -> Any:
        return self._ask("commit", request)

    def end(self, request: Any) -> bytes:
        return self._ask("end", request)

    def _ask(self, name: str, request: Any) -> Any:
        try:
            return self.put(self.helper, name, request, HelperUnavailable)
        except Denied as denied:
            raise HelperDenied(denied.envelope) from denied
        except Problem as problem:
            raise HelperUnavailable(problem.sentence) from problem


def exhibited(worker: Any, cls: type[D]) -> D:
    """The document of one kind that came with the worker's order."""
    shown = (Envelope.parse(exhibit.envelope) for exhibit in worker.exhibits)
    return next(schema.decode(cls, e.payload) for e in shown if e.payload_type == cls.TYPE)


def seed_of(worker: Any, order: Order) -> Seed:
    """What the worker draws for its report."""
    return Seed.draw(seeded(worker.name.encode() + order.unit.encode()))


def state(
    worker: Any, order: Order, blob: bytes, protection: Protection, /, **changes: Any
) -> Digest:
    """Make `blob` what `worker` states for `order`, its seed sealed to the helper."""
    world = worker.world
    partial = Partial(
        territory=TERRITORY,
        campaign=order.campaign,
        round=order.round,
        unit=order.unit,
        worker=worker.name,
        report=ReportId.draw(world.desk.entropy),
        bundle=order.bundle,
        plan=order.plan,
        parameters=order.parameters,
        capsules=len(worker.capsules),
        contributors=len(worker.capsules),
        values=world.desk.blobs.put(blob),
        protection=protection,
        variances={"counts": "0"},
        rho="0.1",
        image=worker.image,
        level="L3",
        made_at=world.clock.now(),
    )
    key = X25519PublicKey.from_public_bytes(exhibited(worker, HelperKey).key)
    sealed = seal(seed_of(worker, order), key, Binding.of(partial))
    partial = replace(partial, **{"sealed": Digest.of(sealed), **changes})
    worker.statements[order.unit] = signed.sign(partial, [worker.key]).envelope.raw
    worker.sealed[order.unit] = sealed
    return partial.values


def share(worker: Any, order: Order, *, mark: int | None = None, **changes: Any) -> None:
    """Make `worker`'s statement for `order` a shared one: two halves of its sum."""
    layout = Layout.of(worker.world.bundle.manifest.rules())
    mark = len(worker.capsules) if mark is None else mark
    values = {"counts": np.array([mark, 1, 10], np.int64)}
    blob = split(values, layout, seed_of(worker, order)).encode()
    state(worker, order, blob, Protection.SHARED, **changes)


def publish_status(world: Any, workers: Any, number: int = 1, **changes: Any) -> None:
    """Governance's status with the live consents of `workers`."""
    document = Status(
        territory=TERRITORY,
        number=number,
        issued_at=world.clock.now(),
        expires_at=world.clock.now() + timedelta(hours=24),
        suspensions=(),
        revoked=(),
        live_consents={
            str(world.bundle.digest): {w.name: len(w.capsules) for w in workers if w.capsules}
        },
    )
    raw = signed.sign(replace(document, **changes), [world.keys["status"]]).envelope.raw
    world.status["now"] = raw


class Scene:
    """A world with a helper, three hosts of three operators and a concluder."""

    protection = Protection.SHARED

    def __init__(self, world, tmp_path: Path) -> None:
        self.world = world
        world.manifest = world.manifest.replace('"clear"', f'"{self.protection}"')
        self.helper = InProcess(world, tmp_path / "helper")
        world.desk.helper = self.helper

    def equip(self, worker: Any) -> None:
        """What a worker needs to take part."""

    async def found(self) -> None:
        await self.world.authorised()
        self.hosts = [
            await self.world.worker("ville", capsules=4),
            await self.world.worker("agglo", capsules=5),
            await self.world.worker("asso", capsules=6),
        ]
        self.judge = await self.world.worker("ville", concludes=True)
        for worker in (*self.hosts, self.judge):
            self.equip(worker)
            await worker.exchange()
        publish_status(self.world, self.hosts)

    async def reported(self, **changes) -> str:
        """A campaign whose every host has reported."""
        campaign = await self.world.start()
        await self.world.turn()
        for worker in self.hosts:
            (order,) = (await worker.exchange()).orders
            share(worker, order, **changes)
            (receipt,) = (await worker.exchange([worker.report(order)])).acknowledgements
            assert receipt.accepted, receipt
        return campaign

    async def cancelled_meanwhile(self, campaign: str) -> None:
        """The campaign is cancelled while the helper prepares its round."""
        loop = asyncio.get_running_loop()
        honest = self.helper.prepare

        def prepare(request):
            answer = honest(request)
            cancelling = campaigns.cancel(self.world.desk, campaign, "enough")
            asyncio.run_coroutine_threadsafe(cancelling, loop).result(20)
            return answer

        self.helper.prepare = prepare
        await self.settle()

    async def settle(self, turns: int = 4) -> None:
        for _ in range(turns):
            await self.world.turn()

    def documents(self, kind: Kind) -> list[bytes]:
        def read(tx):
            query = select(LogRow).where(LogRow.kind == kind.value).order_by(col(LogRow.id))
            rows = tx.session.exec(query).all()
            return [self.world.desk.blobs.get(Digest(row.digest)) for row in rows]

        return self.world.desk.store.run("read-log", read)

    def row(self, cls, key):
        return self.world.desk.store.run("read-row", lambda tx: tx.session.get(cls, key))
