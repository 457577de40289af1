"""A territory in one process: real store, log, keys and documents; workers that speak them."""

from __future__ import annotations

import asyncio
import functools
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlmodel import col, select

from durable.blobs import BlobFolder
from jobs import aggregate, archive
from jobs import conclusion as results
from protection import accounting, columns
from protos.cadastre.v1 import work_pb2
from scheduler.domain.backoff import BackOff
from scheduler.log.writer import LogWriter
from scheduler.meters import Meters
from scheduler.service import bundles, campaigns, consents, exchange, membership, outbox, starting
from scheduler.service.bell import Bell
from scheduler.service.desk import Authority, Desk, Limits
from scheduler.service.pace import turn
from scheduler.service.standing import Standing
from scheduler.store.faults import Faults
from scheduler.store.store import Transaction, open_store
from scheduler.store.tables import AttemptRow, InstallationRow
from trust import certificates
from trust.certificates import Peer, Role
from trust.clock import ManualClock
from trust.documents import signed
from trust.documents.campaign import Order, OrderBatch, UnitKind
from trust.documents.consent import Consent, Decision
from trust.documents.governance import Authorisation, Suspension
from trust.documents.membership import BundleStatement, EnrolmentProof
from trust.documents.reporting import (
    AttemptReport,
    Capacity,
    Conclusion,
    Outcome,
    Partial,
    Progress,
    ReportBatch,
)
from trust.documents.root import Duty, DutyKeys, Root
from trust.entropy import seeded
from trust.ids import AuthorisationId, CapsuleId, Digest, ReportId, WorkerId
from trust.keys import PrivateKey
from trust.log.checkpoint import Checkpoint
from trust.log.cosignature import CosignerKey, cosign
from trust.log.note import LogKey, Note
from trust.root import trust_pinned

TERRITORY = "plaine.example"
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
IMAGE = Digest.of(b"runtime image")
MANIFEST = """
[bundle]
name = "counts"
version = "1.0.0"
title.fr = "Comptes"
title.en = "Counts"
purpose = "tests"
licence = "GPL-2.0-or-later"
authors = ["Tests"]
[entry]
contribute = "algorithm:contribute"
conclude = "algorithm:conclude"
runtime = "python"
profile = "min"
[needs]
tables.commute = ["mode", "persons"]
classes = ["personal"]
libraries = ["numpy"]
memory_mib = 512
cpu_seconds = 5
wall_seconds = 10
[parameters.zones]
type = "integer"
minimum = 1
maximum = 9
[release.counts]
shape = [3]
dtype = "int64"
step = 1
clip = { norm = "l2", bound = 1 }
unit = "owner"
protection = "clear"
noise = { mechanism = "discrete_gaussian", rho = "0.1" }
minimum_contributors = 3
maximum_contributors = 100000
minimum_workers = 2
minimum_operators = 2
[report.counts]
shape = [3]
dtype = "int64"
unit = "persons"
release = "counts"
labels = [["a", "b", "c"]]
[rounds]
maximum = 1
quorum = 2
deadline_seconds = 600
"""
# Beside it, for a model that learns: what the clients tell of the model that a round began with.
LOSS = """
[report.loss]
shape = [1]
dtype = "float64"
unit = "nats per person"
labels = [["mean"]]
"""
ALGORITHM = b"def contribute(capsule, parameters): ...\ndef conclude(aggregate, parameters): ...\n"


class Witness:
    """A witness in the same process; `asleep` makes it cosign nothing."""

    def __init__(self, key: PrivateKey, clock: ManualClock) -> None:
        self._private, self._clock = key, clock
        self._key = CosignerKey("witness.example/one", key.public)
        self.asleep = False

    @property
    def key(self) -> CosignerKey:
        return self._key

    def cosign(self, old_size: int, consistency: Sequence[bytes], note: bytes) -> bytes:
        from scheduler.log.errors import CosignerUnavailable

        if self.asleep:
            raise CosignerUnavailable("asleep")
        text = Note.parse(note).text
        assert Checkpoint.parse(text).size >= old_size
        now = int(self._clock.now().timestamp())
        return cosign(text, self._key.name, self._private, now).emit().encode()


@dataclass
class World:
    """Everything of a territory that tests touch."""

    folder: Path
    clock: ManualClock
    desk: Desk
    standing: Standing
    witness: Witness
    college: tuple[PrivateKey, ...]
    author: PrivateKey
    keys: dict[str, PrivateKey]
    status: dict[str, bytes] = field(default_factory=dict)
    faults: Faults | None = None
    root_envelope: bytes = b""
    manifest: str = MANIFEST
    files: dict[str, bytes] | None = None  # of another bundle than the test's own
    enough: int = 99  # conclude says stop in this round
    reopen: Callable[[], None] = lambda: None

    @property
    def bundle(self) -> archive.Bundle:
        own = {"bundle.toml": self.manifest.encode(), "algorithm.py": ALGORITHM}
        return archive.read(archive.pack(self.files or own))

    def follow(self, rounds: str = "maximum = 3\n") -> None:
        """From now on the test bundle has several rounds, with one number for a state."""
        self.manifest = MANIFEST.replace("maximum = 1\n", rounds) + "[state.walked]\nshape = [1]\n"

    async def authorised(self, **changes: object) -> Authorisation:
        """Submit and authorise the test bundle."""
        bundle = self.bundle
        self.desk.blobs.put(bundle.raw)
        about = bundle.manifest.bundle
        statement = BundleStatement(
            bundle.digest,
            bundle.manifest_digest,
            about.name,
            about.version,
            self.author.public,
            self.clock.now(),
        )
        await bundles.submit(
            self.desk, bundle.digest, signed.sign(statement, [self.author]).envelope.raw
        )
        document = self.authorisation(**changes)
        await bundles.authorise(self.desk, signed.sign(document, self.college[:2]).envelope.raw)
        return document

    def authorisation(self, **changes: object) -> Authorisation:
        bundle = self.bundle
        manifest = bundle.manifest
        document = Authorisation(
            id=AuthorisationId.draw(self.desk.entropy),
            territory=TERRITORY,
            bundle=bundle.digest,
            manifest=bundle.manifest_digest,
            title="Counts",
            purpose=manifest.bundle.purpose,
            tables={name: tuple(value) for name, value in manifest.needs.tables.items()},
            rules=manifest.rules(),
            bounds=manifest.bounds(),
            images=(IMAGE,),
            rho_budget="1",
            campaigns=10,
            not_before=self.clock.now() - timedelta(days=1),
            not_after=self.clock.now() + timedelta(days=30),
        )
        return replace(document, **changes)  # type: ignore[arg-type]

    async def worker(
        self, operator: str, *, capsules: int = 0, concludes: bool = False
    ) -> FakeWorker:
        """An enrolled worker with consenting capsules."""
        key = PrivateKey.generate(self.desk.entropy)
        secret, _ = membership.create_token(
            self.desk.store,
            self.desk.entropy,
            3600,
            role="worker",
            operator=operator,
            site="here",
            concludes=concludes,
        )
        request = certificates.make_request(certificates.new_key(), "worker")
        proof = EnrolmentProof(
            Digest.of(secret), Digest.of(request), key.public, bytes(32), operator, "here"
        )
        admission = await membership.enrol(
            self.desk, secret, request, signed.sign(proof, [key]).envelope.raw
        )
        fake = FakeWorker(self, key, WorkerId(admission.name), capsules > 0, concludes)
        if capsules:
            fake.owners = [PrivateKey.generate(self.desk.entropy) for _ in range(capsules)]
            fake.capsules = [CapsuleId.draw(self.desk.entropy) for _ in range(capsules)]
            result = await consents.submit(
                self.desk, [fake.consent(index) for index in range(capsules)]
            )
            assert result.accepted == capsules, result
        return fake

    async def suspend(self, authorisation: Authorisation) -> None:
        document = Suspension(TERRITORY, authorisation.id, "a doubt", self.clock.now())
        await bundles.suspend(self.desk, signed.sign(document, self.college[1:3]).envelope.raw)

    async def start(self, request: str = "one") -> str:
        view = await starting.start(
            self.desk, "ana", self.bundle.digest, json.dumps({"zones": 3}).encode(), request
        )
        return view.row.id

    async def view(self, campaign: str) -> campaigns.CampaignView:
        return await campaigns.show(self.desk, campaign)

    async def turn(self) -> None:
        await turn(self.desk)

    def deposit(self) -> None:
        """The rows that partials have where workers put them over the wire: here they put bytes."""

        def rows(tx: Transaction) -> None:
            values = col(AttemptRow.values_digest)
            for digest in tx.session.exec(select(values).where(values.is_not(None))).all():
                raw = self.desk.blobs.get(Digest(digest))
                outbox.keep_blob(tx, self.desk, raw, public=False)

        self.desk.store.run("deposit", rows)


@dataclass
class FakeWorker:
    """A worker that signs what a worker signs; it computes nothing."""

    world: World
    key: PrivateKey
    name: WorkerId
    contributes: bool
    concludes: bool
    sequence: int = 0
    slots: int = 4
    held: list[Order] = field(default_factory=list)
    owners: list[PrivateKey] = field(default_factory=list)
    capsules: list[CapsuleId] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)
    statements: dict[str, bytes] = field(default_factory=dict)
    sealed: dict[str, bytes] = field(default_factory=dict)  # the helper's shares, by unit
    last: bytes = b""
    exhibits: list[work_pb2.Exhibit] = field(default_factory=list)
    draining: bool = False
    image: Digest = IMAGE
    level: str = "L3"
    libraries: tuple[str, ...] = ("numpy",)
    images: dict[str, Digest] = field(default_factory=dict)
    mark: int = 0  # what the first cell of its partial holds, instead of its capsules

    @property
    def peer(self) -> Peer:
        return Peer(TERRITORY, Role.WORKER, self.name, 1)

    def consent(self, index: int, *, serial: int = 1, decision: Decision = Decision.GRANT) -> bytes:
        document = Consent(
            TERRITORY,
            self.capsules[index],
            self.name,
            self.owners[index].public,
            serial,
            decision,
            str(self.world.bundle.digest),
            tuple(self.world.bundle.manifest.needs.tables),
            self.world.clock.now(),
            self.world.clock.now() + timedelta(days=365),
        )
        return signed.sign(document, [self.owners[index]]).envelope.raw

    def batch(self, reports: Sequence[AttemptReport] = (), **changes: object) -> bytes:
        self.sequence += 1
        document = ReportBatch(
            territory=TERRITORY,
            worker=self.name,
            sequence=self.sequence,
            sent_at=self.world.clock.now(),
            held=tuple(order.attempt for order in self.held),
            reports=tuple(reports),
            progress=tuple(Progress(order.unit, order.attempt, 1, 2) for order in self.held),
            capacity=Capacity(
                self.slots,
                self.level,
                self.image,
                self.libraries,
                self.contributes,
                self.concludes,
                self.draining,
                self.images,
            ),
        )
        self.last = signed.sign(replace(document, **changes), [self.key]).envelope.raw  # type: ignore[arg-type]
        return self.last

    async def send(self, raw: bytes) -> OrderBatch:
        """One exchange; verified, and its orders held."""
        answer = await exchange.exchange(self.world.desk, self.world.standing, self.peer, raw)
        response = work_pb2.ExchangeResponse.FromString(answer)
        batch = signed.verify(OrderBatch, response.orders, {self.world.desk.orders.public}).document
        assert batch.worker == self.name
        self.exhibits = list(response.exhibits)
        self.delivered += response.consents
        stopped = {item.attempt for item in batch.cancellations}
        known = {order.attempt for order in self.held}
        self.held = [order for order in self.held if order.attempt not in stopped]
        self.held += [order for order in batch.orders if order.attempt not in known]
        return batch

    async def exchange(
        self, reports: Sequence[AttemptReport] = (), **changes: object
    ) -> OrderBatch:
        reported = {report.attempt for report in reports}
        self.held = [order for order in self.held if order.attempt not in reported]
        return await self.send(self.batch(reports, **changes))

    def report(self, order: Order, **changes: object) -> AttemptReport:
        """A finished attempt; the statement of a unit is made once and replayed."""
        contributes = order.kind is UnitKind.CONTRIBUTE
        if changes or order.unit not in self.statements:
            make = self._partial if contributes else self._conclusion
            self.statements[order.unit] = make(order, **changes)
        outcome = Outcome.CONTRIBUTED if contributes else Outcome.CONCLUDED
        return AttemptReport(
            order.unit,
            order.attempt,
            order.token,
            outcome,
            self.statements[order.unit],
            "",
            "",
            sealed=self.sealed.get(order.unit) if contributes else None,
        )

    def refusal(self, order: Order, outcome: Outcome = Outcome.REFUSED) -> AttemptReport:
        return AttemptReport(
            order.unit, order.attempt, order.token, outcome, None, "altered-bundle", "altered"
        )

    def _partial(self, order: Order, **changes: object) -> bytes:
        rules = self.world.bundle.manifest.rules()
        # Each worker adds its own power of ten: any loss or double count shows in the sum.
        counts = np.array([self.mark or len(self.capsules), 1, 10], np.int64)
        cells = {rule.output: np.zeros(rule.shape, np.int64) for rule in rules}
        values = aggregate.encode_partial(
            rules, cells | {"counts": counts} if "counts" in cells else cells
        )
        document = Partial(
            territory=TERRITORY,
            campaign=order.campaign,
            round=order.round,
            unit=order.unit,
            worker=self.name,
            report=ReportId.draw(self.world.desk.entropy),
            bundle=order.bundle,
            plan=order.plan,
            parameters=order.parameters,
            capsules=len(self.capsules),
            contributors=len(self.capsules),
            values=self.world.desk.blobs.put(values),
            protection=rules[0].protection,
            variances=accounting.variances_of(rules, self.world.bundle.manifest.rounds.maximum),
            rho=accounting.spent(rules, 1, self.world.bundle.manifest.rounds.maximum),
            image=self.image,
            level="L3",
            made_at=self.world.clock.now(),
        )
        return signed.sign(replace(document, **changes), [self.key]).envelope.raw  # type: ignore[arg-type]

    def _conclusion(self, order: Order, **changes: object) -> bytes:
        assert order.aggregate is not None
        blob = self.world.desk.blobs.get(order.aggregate)
        cells = aggregate.decode_aggregate(self.world.bundle.manifest.rules(), blob)
        tables = {results.REPORT: {"counts": cells["counts"]}}
        for name, array in self.world.bundle.manifest.report.items():
            if name != "counts":  # numbers that tell cells and rounds apart
                cell = np.arange(1, np.prod(array.shape) + 1).reshape(array.shape)
                end = {"lower": -1.5, "upper": 1.5}.get(array.kind, 0.0)
                tables[results.REPORT][name] = (cell / order.round + end).astype(array.dtype)
        if self.world.bundle.manifest.state:
            # The state counts the rounds, so that a round that is skipped or repeated shows.
            stop = np.array([int(order.round >= self.world.enough)])
            tables[results.STATE] = {"walked": np.array([float(order.round)])}
            tables[results.ROUNDS] = {results.STOP: stop}
        result = columns.encode(tables)
        document = Conclusion(
            territory=TERRITORY,
            campaign=order.campaign,
            round=order.round,
            unit=order.unit,
            worker=self.name,
            bundle=order.bundle,
            plan=order.plan,
            aggregate=order.aggregate,
            result=self.world.desk.blobs.put(result),
            image=IMAGE,
            level="L3",
            made_at=self.world.clock.now(),
        )
        return signed.sign(replace(document, **changes), [self.key]).envelope.raw  # type: ignore[arg-type]


@functools.cache
def empty_database() -> bytes:
    """A scheduler's database after all migrations: copied, it costs a sixth of making it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scheduler.db"
        open_store(path, ManualClock(START), Meters()).close()
        return path.read_bytes()


def build(folder: Path, *, faults: Faults | None = None, limits: Limits | None = None) -> World:
    clock = ManualClock(START)
    entropy = seeded(b"scheduler tests")
    names = ["root", "college1", "college2", "college3", "status", "orders", "log", "witness"]
    names += ["helper", "keyholder", *(f"trustee{n}" for n in range(5))]
    keys = {name: PrivateKey.generate(entropy) for name in names}
    college = tuple(keys[f"college{n}"] for n in (1, 2, 3))
    witness = Witness(keys["witness"], clock)
    authority_key = certificates.new_key()
    authority = certificates.make_authority(authority_key, TERRITORY, START)
    policy = (
        f"log {LogKey(TERRITORY + '/log', keys['log'].public)}\n"
        f"witness one {witness.key}\nquorum one\n"
    )
    document = Root(
        territory=TERRITORY,
        version=1,
        issued_at=START,
        expires_at=START + timedelta(days=3650),
        duties={
            Duty.ROOT: DutyKeys((keys["root"].public,), 1),
            Duty.COLLEGE: DutyKeys(tuple(key.public for key in college), 2),
            Duty.STATUS: DutyKeys((keys["status"].public,), 1),
            Duty.ORDERS: DutyKeys((keys["orders"].public,), 1),
            Duty.HELPER: DutyKeys((keys["helper"].public,), 1),
            Duty.KEYHOLDER: DutyKeys((keys["keyholder"].public,), 1),
            Duty.TRUSTEE: DutyKeys(tuple(keys[f"trustee{n}"].public for n in range(5)), 3),
        },
        authority=certificates.to_der(authority),
        log_policy=policy,
        status_url="http://127.0.0.1:9/status.json",
    )
    envelope = signed.sign(document, [keys["root"]]).envelope
    root = trust_pinned(envelope.raw, envelope.digest)
    LogWriter.create(folder / "log", keys["log"], TERRITORY + "/log", clock)
    (folder / "scheduler.db").write_bytes(empty_database())

    def desk() -> Desk:
        store = open_store(folder / "scheduler.db", clock, Meters(), faults=faults)
        store.run("init", _installed)
        return Desk(
            store=store,
            blobs=BlobFolder(folder / "objects"),
            log=LogWriter.open(folder / "log", keys["log"], TERRITORY + "/log", clock, [witness]),
            entropy=entropy,
            orders=keys["orders"],
            authority=Authority(authority_key, authority),
            root=root,
            meters=Meters(),
            bell=Bell(),
            work_address="127.0.0.1:1",
            limits=limits
            or Limits(
                heartbeat=0.0,
                back_off=BackOff(timedelta(seconds=10), timedelta(minutes=2)),
                patience=timedelta(0),
            ),
        )

    status: dict[str, bytes] = {}

    def fetch(url: str) -> bytes:
        if "now" not in status:
            raise OSError("no status yet")
        return status["now"]

    first = desk()
    world = World(
        folder,
        clock,
        first,
        Standing(first, fetch),
        witness,
        college,
        PrivateKey.generate(entropy),
        keys,
        status,
        faults,
    )

    def reopen() -> None:
        world.desk.store.close()
        world.desk.log.close()  # type: ignore[attr-defined]
        world.desk = desk()
        world.standing = Standing(world.desk, fetch)

    world.reopen = reopen
    world.root_envelope = envelope.raw
    return world


def _installed(tx: object) -> None:
    session = tx.session  # type: ignore[attr-defined]
    if session.get(InstallationRow, 1) is None:
        session.add(InstallationRow(id=1, territory=TERRITORY, clock_mark=START))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = build(tmp_path)
    yield made
    made.desk.store.close()
    made.desk.log.close()  # type: ignore[attr-defined]


@pytest.fixture
def run() -> Callable[..., object]:
    return asyncio.run


@pytest.fixture
def builder() -> Callable[..., World]:
    return build
