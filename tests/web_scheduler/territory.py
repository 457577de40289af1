"""A scheduler's own world (real store, log, documents) with its pages, in a known state."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI

from scheduler.log.witnessing import Waiting
from scheduler.service import efforts, outbox
from scheduler.store.tables import MemberRow
from scheduler.web.signin_store import SignInTables
from scheduler.web.surface import room, surface
from tests.scheduler.conftest import FakeWorker, World, build
from tests.web.signin_browser import Browser
from trust.entropy import seeded
from trust.log.entry import Kind
from web.live.broadcast import Broadcast
from web.signin.address import PublicAddress
from web.signin.entrance import Entrance
from web.signin.roles import Role

ORIGIN = "http://127.0.0.1:8480"
HOSTILE = "<img src=x onerror=alert(1)>"


@dataclass
class Grid:
    """The world, its pages, and what a test asks about."""

    world: World
    released: str
    moving: str
    late_unit: str
    origin: str = ORIGIN
    workers: Sequence[FakeWorker] = ()
    absent: list[Waiting] = field(default_factory=list)
    app: FastAPI = field(init=False)
    live: list[Broadcast] = field(init=False)
    entrance: Entrance = field(init=False)

    def __post_init__(self) -> None:
        self.open(self.origin)

    def open(self, origin: str) -> None:
        """The pages at `origin`; sessions are the store's and outlive this."""
        self.origin = origin
        desk = self.world.desk
        self.entrance = Entrance(
            address=PublicAddress.parse(origin),
            store=SignInTables(desk.store),
            clock=desk.store.clock,
            entropy=seeded(origin.encode()),
            contact="Ville",
        )
        self.app, self.live = surface(room(desk), desk, self.entrance, lambda: self.absent)

    def enter(self, *roles: Role) -> Browser:
        """Somebody's browser, signed in with `roles` by an invitation; nobody's without."""
        browser = Browser(self.app, self.origin)
        if roles:
            token = self.entrance.credentials.invite("Ada", roles)
            page = browser.get("/sign-in")
            answer = browser.send(page, "/sign-in", token=token, next="")
            assert answer.status == 303, answer.text
        return browser

    def key(self, *roles: Role) -> str:
        """A key that signs somebody in again and again."""
        credentials = self.entrance.credentials
        person = credentials.redeem(credentials.invite("Inès Martin", roles)).person
        return credentials.key(person, "poste")

    def end_live(self) -> None:
        """End the live parts, as a server does that stops."""
        for one in self.live:
            one.close()

    def close(self) -> None:
        self.world.desk.store.close()
        self.world.desk.log.close()  # type: ignore[attr-defined]


def grid_in(folder: Path, named: str = HOSTILE, site: str = "=HYPERLINK(1)") -> Grid:
    """The whole scenario, played through the use cases that members call.

    `named` is what strangers put where they may name something.
    """
    world = build(folder)
    # In a thread of its own: a browser's test has an event loop that runs already.
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(lambda: asyncio.run(_played(world, named, site))).result()


async def _played(world: World, named: str, site: str) -> Grid:
    await world.desk.run(
        "log-root", lambda tx: outbox.publish_raw(tx, world.desk, Kind.ROOT, world.root_envelope)
    )
    await world.authorised(title=f"Trajets {named}")
    workers = [await world.worker(f"operator-{n}", capsules=14 + n) for n in range(3)]
    judge = await world.worker("judge", concludes=True)
    everybody = [*workers, judge]
    for worker in everybody:
        await worker.exchange()
    released = await world.start("one")
    await world.turn()
    for _ in range(2):
        for worker in everybody:
            await worker.exchange()
            for order in tuple(worker.held):
                await worker.exchange([worker.report(order)])
            world.clock.advance(7)
            await world.turn()
    assert (await world.view(released)).row.state == "released"
    await efforts.sample(world.desk)

    moving = await world.start("two")
    await world.turn()
    orders = {worker.name: (await worker.exchange()).orders for worker in workers}
    world.clock.advance(20)
    (refused,) = orders[workers[0].name]
    await workers[0].exchange([workers[0].refusal(refused)])
    world.clock.advance(15)
    await workers[1].exchange([workers[1].report(orders[workers[1].name][0])])
    world.clock.advance(60)
    for worker in (workers[0], workers[1], judge):
        await worker.exchange()
    await world.turn()

    await efforts.sample(world.desk)

    def rename(tx):  # type: ignore[no-untyped-def]
        row = tx.session.get(MemberRow, workers[2].name)
        row.operator, row.site = named, site

    await world.desk.run("rename", rename)
    return Grid(world, released, moving, refused.unit, workers=workers)
