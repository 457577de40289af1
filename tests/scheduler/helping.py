"""A real helper beside the scheduler of the tests, and workers that share their sums."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from sqlmodel import select

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
from scheduler.store.tables import LogRow
from trust import schema
from trust.documents import signed
from trust.documents.aggregation import HelperKey
from trust.documents.campaign import Order
from trust.documents.governance import Status
from trust.documents.reporting import Partial
from trust.documents.rules import Protection
from trust.dsse import Envelope
from trust.entropy import seeded
from trust.ids import Digest, ReportId
from trust.log.entry import Kind
from trust.log.policy import Policy
from trust.problem import Problem

TERRITORY = "plaine.example"


@dataclass
class InProcess:
    """The scheduler's port to a helper in this process; every message goes through its bytes."""

    world: Any
    folder: Path
    down: bool = False
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """As after a crash: from the disk."""
        desk = self.world.desk
        memory = Memory(self.folder, TERRITORY)
        self.helper = Helper(
            Office(
                root=desk.root,
                key=self.world.keys["helper"],
                memory=memory,
                history=History(Policy.parse(desk.root.document.log_policy.encode()), self._site),
                standing=Standing(
                    desk.root, memory, lambda _: self.world.status["now"], self.world.clock
                ),
                bundle=desk.blobs.get,
                clock=self.world.clock,
                entropy=seeded(b"helper"),
            )
        )

    def _site(self, path: str) -> bytes | None:
        desk = self.world.desk
        if path.startswith("log/"):
            try:
                found: bytes = desk.log.fetch(path.removeprefix("log/"))
            except (LookupError, OSError, Problem):
                return None
            return found
        blob: bytes = desk.blobs.get(Digest(f"sha256:{path.rpartition('/')[2]}"))
        return blob

    def engage(self, request: Any) -> bytes:
        return self._ask("engage", request)

    def prepare(self, request: Any) -> bytes:
        return self._ask("prepare", request)

    def commit(self, request: Any) -> Any:
        return self._ask("commit", request)

    def end(self, request: Any) -> bytes:
        return self._ask("end", request)

    def _ask(self, name: str, request: Any) -> Any:
        self.asked.append(name)
        if self.down:
            raise HelperUnavailable("it is down", remedy="wait")
        question = schema.decode(type(request), schema.encode(request))
        try:
            return getattr(self.helper, name)(question)
        except Denied as denied:
            raise HelperDenied(denied.envelope) from denied
        except Problem as problem:
            raise HelperUnavailable(problem.sentence) from problem


def share(worker: Any, order: Order, *, mark: int | None = None, **changes: Any) -> None:
    """Make `worker`'s statement for `order` a shared one: two halves of its sum."""
    world = worker.world
    rules = world.bundle.manifest.rules()
    key = next(
        schema.decode(HelperKey, envelope.payload)
        for envelope in (Envelope.parse(e.envelope) for e in worker.exhibits)
        if envelope.payload_type == HelperKey.TYPE
    )
    values = {"counts": np.array([len(worker.capsules) if mark is None else mark, 1, 10])}
    seed = Seed.draw(seeded(worker.name.encode() + order.unit.encode()))
    layout = Layout.of(rules)
    blob = split({n: v.astype(np.int64) for n, v in values.items()}, layout, seed).encode()
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
        protection=Protection.SHARED,
        variances={"counts": "0"},
        rho="0.1",
        image=worker.image,
        level="L3",
        made_at=world.clock.now(),
    )
    sealed = seal(seed, X25519PublicKey.from_public_bytes(key.key), Binding.of(partial))
    partial = replace(partial, **{"sealed": Digest.of(sealed), **changes})
    worker.statements[order.unit] = signed.sign(partial, [worker.key]).envelope.raw
    worker.sealed[order.unit] = sealed


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

    def __init__(self, world, tmp_path: Path) -> None:
        self.world = world
        world.manifest = world.manifest.replace('"clear"', '"shared"')
        self.helper = InProcess(world, tmp_path / "helper")
        world.desk.helper = self.helper

    async def found(self) -> None:
        await self.world.authorised()
        self.hosts = [
            await self.world.worker("ville", capsules=4),
            await self.world.worker("agglo", capsules=5),
            await self.world.worker("asso", capsules=6),
        ]
        self.judge = await self.world.worker("ville", concludes=True)
        for worker in (*self.hosts, self.judge):
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

    async def settle(self, turns: int = 4) -> None:
        for _ in range(turns):
            await self.world.turn()

    def documents(self, kind: Kind) -> list[bytes]:
        def read(tx):
            rows = tx.session.exec(select(LogRow).where(LogRow.kind == kind.value)).all()
            return [self.world.desk.blobs.get(Digest(row.digest)) for row in rows]

        return self.world.desk.store.run("read-log", read)

    def row(self, cls, key):
        return self.world.desk.store.run("read-row", lambda tx: tx.session.get(cls, key))
