"""Bundles of two authors in every state, with pages: what the authors' tests look at."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from scheduler.service import authorship, bundles, consents, outbox
from tests.scheduler.conftest import MANIFEST, FakeWorker, World, build
from tests.web.signin_browser import Browser
from tests.web_scheduler.territory import Grid
from trust.documents import signed
from trust.documents.membership import BundleStatement
from trust.entropy import seeded
from trust.ids import Digest
from trust.keys import PrivateKey
from trust.log.entry import Kind
from web.signin.credentials import subject_of
from web.signin.roles import Role

LOSS = """
[report.loss]
shape = [1]
dtype = "float64"
unit = "nats per person"
labels = [["loss"]]
"""
PICTURES = """
[report.flows]
shape = [3, 3, 2]
dtype = "int64"
unit = "persons"
labels = [["nord", "sud", "est"], ["nord", "sud", "est"], ["voiture", "<b>vélo</b>"]]
[report.weights]
shape = [4]
dtype = "float64"
unit = "score"
labels = [["constante", "distance", "durée", "pente"]]
[report.weights_lower]
shape = [4]
dtype = "float64"
unit = "score"
kind = "lower"
of = "weights"
[report.weights_upper]
shape = [4]
dtype = "float64"
unit = "score"
kind = "upper"
of = "weights"
[report.links]
shape = [2, 3]
dtype = "int64"
unit = "home, work, mode"
labels = [["1", "2"], ["home", "work", "mode"]]
[report.means]
shape = [2]
dtype = "float64"
unit = "the labels' units"
labels = [["distance, km", "time, min"]]
"""
ADA = PrivateKey.generate(seeded(b"ada"))
BOB = PrivateKey.generate(seeded(b"bob"))


@dataclass
class Authors:
    """The pages and what they are about; `bundles` by what each stands for."""

    grid: Grid
    released: str  # Ada's campaign of `done`
    trained: str  # Ada's campaign of several rounds
    pictured: str  # Ada's campaign with a value for every picture
    others: str  # Bob's campaign
    bundles: dict[str, str] = field(default_factory=dict)

    def credential(self, *keys: PrivateKey, roles: Sequence[Role] = (Role.AUTHOR,)) -> str:
        """An invitation whose holder sees the bundles of `keys`."""
        token = self.grid.entrance.credentials.invite("Ada", roles)
        for key in keys:
            self.tie(subject_of(token), key)
        return token

    def tie(self, subject: str, key: PrivateKey) -> None:
        self.grid.world.desk.store.run(
            "tie-author", lambda tx: authorship.tie(tx, subject, key.public, by="tests")
        )

    def enter(self, *keys: PrivateKey, roles: Sequence[Role] = (Role.AUTHOR,)) -> Browser:
        """The browser of an author with these keys."""
        browser = Browser(self.grid.app, self.grid.origin)
        page = browser.get("/sign-in")
        token = self.credential(*keys, roles=roles)
        assert browser.send(page, "/sign-in", token=token, next="").status == 303
        return browser


def authors_in(folder: Path) -> Authors:
    """The whole scenario, played through the use cases that members call."""
    world = build(folder)
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(lambda: asyncio.run(_played(world))).result()


async def submit(world: World, author: PrivateKey, version: str) -> str:
    """Ada's or Bob's bundle under its own version; the world's bundle from now on."""
    world.manifest = world.manifest.replace('version = "1.0.0"', f'version = "{version}"')
    bundle = world.bundle
    world.desk.blobs.put(bundle.raw)
    about = bundle.manifest.bundle
    statement = BundleStatement(
        bundle.digest,
        bundle.manifest_digest,
        about.name,
        about.version,
        author.public,
        world.clock.now(),
    )
    raw = signed.sign(statement, [author]).envelope.raw
    await bundles.submit(world.desk, bundle.digest, raw)
    world.clock.advance(1)
    return str(bundle.digest)


async def vote(world: World, **changes: object) -> Digest:
    """Authorise the world's bundle."""
    document = world.authorisation(**changes)
    await bundles.authorise(world.desk, signed.sign(document, world.college[:2]).envelope.raw)
    return document.bundle


async def play(
    world: World, request: str, workers: Sequence[FakeWorker], rounds: int = 1, seconds: float = 0
) -> str:
    """A campaign of the world's bundle, to its release. Each attempt takes `seconds`."""
    campaign = await world.start(request)
    await world.turn()
    for _ in range(2 * rounds):
        for worker in workers:
            await worker.exchange()
            for order in tuple(worker.held):
                world.clock.advance(seconds)
                await worker.exchange([worker.report(order)])
            world.clock.advance(7)
            await world.turn()
    assert (await world.view(campaign)).row.state == "released"
    return campaign


async def _played(world: World) -> Authors:
    desk = world.desk
    await desk.run(
        "log-root", lambda tx: outbox.publish_raw(tx, desk, Kind.ROOT, world.root_envelope)
    )
    found: dict[str, str] = {}

    def anew(manifest: str = MANIFEST) -> None:
        world.manifest = manifest

    anew()
    found["unvoted"] = await submit(world, ADA, "1.0.1")
    anew()
    found["short"] = await submit(world, ADA, "1.0.2")  # voted for later, waits for its day
    await vote(world, not_before=world.clock.now() + timedelta(days=2))
    anew()
    found["suspended"] = await submit(world, ADA, "1.0.3")
    document = world.authorisation()
    await bundles.authorise(desk, signed.sign(document, world.college[:2]).envelope.raw)
    await world.suspend(document)
    anew()
    found["expired"] = await submit(world, ADA, "1.0.4")
    await vote(world, not_after=world.clock.now() + timedelta(minutes=1))

    anew()
    found["done"] = await submit(world, ADA, "2.0.0")
    await vote(world, title="Trajets", campaigns=2)
    workers = [await world.worker(f"operator-{n}", capsules=14 + n) for n in range(3)]
    judge = await world.worker("judge", concludes=True)
    everybody = [*workers, judge]
    for worker in everybody:
        await worker.exchange()
    released = await play(world, "one", everybody)
    await _consent(world, workers, found["done"])

    world.follow()
    world.manifest += LOSS
    found["model"] = await submit(world, ADA, "3.0.0")
    await vote(world, title="Modèle")
    await _consent(world, workers, found["model"])
    trained = await play(world, "two", everybody, rounds=3, seconds=12)

    anew(MANIFEST + PICTURES)
    found["pictured"] = await submit(world, ADA, "3.5.0")
    await vote(world, title="Images")
    await _consent(world, workers, found["pictured"])
    pictured = await play(world, "pictures", everybody)

    anew()
    found["bobs"] = await submit(world, BOB, "4.0.0")
    await vote(world, title="Autre")
    await _consent(world, workers, found["bobs"])
    others = await play(world, "three", everybody)

    anew(MANIFEST.replace("minimum_contributors = 3", "minimum_contributors = 16"))
    found["hungry"] = await submit(world, ADA, "5.0.0")
    await vote(world, title="Attente")
    await _consent(world, workers[:2], found["hungry"])
    await world.start("four")
    for worker in everybody:
        await worker.exchange()
    await world.turn()
    grid = Grid(world, released, trained, "")
    return Authors(grid, released, trained, pictured, others, found)


async def _consent(world: World, workers: Sequence[FakeWorker], bundle: str) -> None:
    """The owners of `workers` consent to the world's bundle of now."""
    assert str(world.bundle.digest) == bundle
    for worker in workers:
        raws = [worker.consent(index) for index in range(len(worker.capsules))]
        await consents.submit(world.desk, raws)
