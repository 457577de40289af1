"""A joined worker with capsules and a territory around it, ready to be given orders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fake_registry import FakeRegistry
from hosting import Owner, host, people
from worker_territory import NAME, Territory

from capsule_runtime import guard
from capsule_runtime.capsules import card as cards
from capsule_runtime.sandbox.image import RuntimeImage
from capsule_runtime.sandbox.layout import find_layout
from jobs import archive
from trust import certificates
from trust.clock import SystemClock
from trust.documents.campaign import Order
from trust.documents.reporting import Capacity, ReportBatch
from trust.entropy import SYSTEM
from trust.ids import Digest
from trust.policy import BundleFacts, Exhibit
from worker import identity
from worker.checkpoints import Checkpoints
from worker.exhibits import Received
from worker.governance import Standing
from worker.hosting import Hosting, broker_of
from worker.journal import Journal
from worker.workshop import Workshop

BUNDLE = Path(__file__).parents[2] / "jobs" / "bundles" / "commute_flows"
PARAMETERS = b"{}"


class Scene:
    """One worker's state directory below `home`, with `count` consenting owners."""

    def __init__(
        self, home: Path, count: int, *, shared: bool = False, public: bytes | None = None
    ) -> None:
        """`public` is the epoch's key of an `encrypted` bundle."""
        self.clock = SystemClock()
        self.territory = Territory(now=self.clock.now().replace(microsecond=0))
        self.bundle = archive.pack_folder(BUNDLE)
        if shared or public is not None:
            files = {path.name: path.read_bytes() for path in BUNDLE.iterdir() if path.is_file()}
            clear, word = (
                b'protection = "clear"',
                b'protection = "%s"' % (b"shared" if shared else b"encrypted"),
            )
            files["bundle.toml"] = files["bundle.toml"].replace(clear, word)
            self.bundle = archive.read(archive.pack(files))
        self.image = RuntimeImage.of(find_layout(("numpy",))).digest
        self.identity = self._join(home / "state")
        self.card = cards.verify_card((self.identity.state / "card.json").read_bytes())
        self.owners: list[Owner] = people(count)
        host(self.identity.state, self.card, self.owners, self.bundle.digest)
        manifest = self.bundle.manifest
        self.facts = BundleFacts(
            bundle=self.bundle.digest,
            manifest=self.bundle.manifest_digest,
            rules=manifest.rules(),
            tables=dict(manifest.needs.tables),
            bounds=manifest.bounds(),
            rounds=manifest.rounds.maximum,
            charge=guard.charge(manifest.rules(), rounds=manifest.rounds.maximum),
        )
        self.blobs: dict[Digest, bytes] = {
            self.bundle.digest: self.bundle.raw,
            Digest.of(PARAMETERS): PARAMETERS,
        }
        self.authorisation = self.territory.authorisation(self.facts, images=(self.image,))
        self.helper: Exhibit | None = None
        if shared or public is not None:
            self.helper = self.territory.helper(bundle=self.bundle.digest)
        self.epoch: Exhibit | None = None
        if public is not None:
            self.blobs[Digest.of(public)] = public
            self.epoch = self.territory.epoch(bundle=self.bundle.digest, public=Digest.of(public))
        self.plan = self.territory.plan(
            self.facts, PARAMETERS, helper=_named(self.helper), epoch=_named(self.epoch)
        )

    def _join(self, state: Path) -> identity.Identity:
        keys = identity.load_or_draw_keys(state, SYSTEM)
        request = certificates.make_request(keys.tls, keys.worker)
        certificate = certificates.issue(
            self.territory.authority_key,
            self.territory.authority,
            request,
            territory=NAME,
            role=certificates.Role.WORKER,
            name=keys.worker,
            now=self.clock.now(),
        )
        names = identity.Names(
            territory=NAME,
            pin=Digest.of(self.territory.raw_root),
            operator="city",
            site="town-hall",
            work_address="127.0.0.1:1",
            site_url="http://127.0.0.1:1",
        )
        return identity.establish(state, names, certificate, (self.territory.raw_root,))

    async def fetch(self, digest: Digest) -> bytes:
        """The scheduler's blobs, as honest or as altered as the test made them."""
        return self.blobs[digest]

    def workshop(self, journal: Journal) -> Workshop:
        """What the agent works with; the caller stops its broker."""
        standing = Standing(self.identity.state, journal)
        standing.accept(self.identity.root, self.territory.status(), self.clock.boottime())
        return Workshop(
            identity=self.identity,
            journal=journal,
            broker=broker_of(
                self.identity, journal, Hosting(self.identity, self.clock), self.clock, SYSTEM
            ),
            standing=standing,
            fetch=self.fetch,
            fetch_bundle=self.fetch,
            checkpoint=Checkpoints(
                lambda: self.identity,
                journal.ledger,
                FakeRegistry(self.territory.status_key),
                clock=self.clock,
                entropy=SYSTEM,
            ).require,
            clock=self.clock,
            entropy=SYSTEM,
        )

    def received(self, order: Order | None = None, **changes: object) -> Received:
        """An order as it came over the wire."""
        order = order or self.territory.order(self.plan)
        statement = self.territory.statement(self.facts)
        received = Received(
            order=order,
            orders=self.territory.orders(self.identity.worker, (order,)),
            answers=1,
            received_at=self.clock.boottime(),
            exhibits={Digest.of(e.envelope): e for e in (self.plan, self.helper, self.epoch) if e},
            authorisations={order.authorisation: self.authorisation},
            statements={order.bundle: statement},
        )
        return replace(received, **changes)  # type: ignore[arg-type]

    def batch(self, sequence: int) -> ReportBatch:
        """A report batch of this worker that says nothing."""
        return ReportBatch(
            territory=NAME,
            worker=self.identity.worker,
            sequence=sequence,
            sent_at=self.territory.now,
            held=(),
            reports=(),
            progress=(),
            capacity=Capacity(
                slots=1,
                level="L2",
                image=self.image,
                libraries=("numpy",),
                contributes=True,
                concludes=False,
                draining=False,
            ),
        )


def _named(exhibit: Exhibit | None) -> Digest | None:
    return None if exhibit is None else Digest.of(exhibit.envelope)
