"""Every page of a scheduler in the state in which it has most to show: addresses, and who may.

Two worlds on two ports, since authors see campaigns of another kind: `grid` with a deed done by
hand and an hour of samples, `authors` with bundles in every state. Pages only read both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scheduler.store.tables import BundleRow
from scheduler.views import machines, units
from tests.web.browser import Watch
from tests.web.signin_browser import Browser
from tests.web_scheduler.authorship import ADA, Authors, authors_in
from tests.web_scheduler.pictures import FAIR, SCREENS
from tests.web_scheduler.served import serve
from tests.web_scheduler.territory import Grid, grid_in
from tests.web_scheduler.test_actions_pages import confirm
from tests.web_scheduler.test_resources_queue import seed
from web.signin.roles import Role

NOBODY, OPERATOR, AUTHOR = "nobody", "operator", "author"
WATCHER = "watcher"  # a viewer of the authors' world, where campaigns have several rounds
ALIKE = "c0ffee00"  # how the digests of two bundles begin


@dataclass
class Town:
    """Both worlds, the sessions of those who look at them, and what addresses are about."""

    grid: Grid
    authors: Authors
    sessions: Mapping[str, Mapping[str, str]]
    names: Mapping[str, object]

    def origin(self, who: str) -> str:
        """Where `who` looks."""
        return self.authors.grid.origin if who in {AUTHOR, WATCHER} else self.grid.origin

    def address(self, who: str, path: str, language: str = "") -> str:
        """`path` with the names filled in, in the browser's language or another one."""
        place = self.origin(who) + path.format(**self.names)
        return place + f"{'&' if '?' in place else '?'}lang={language}" * bool(language)

    def open(self, browse: Watch, who: str, path: str, **look: Any) -> Any:
        """The page of `who` at `path`, in a browser of its own."""
        return browse.open(self.address(who, path), cookies=dict(self.sessions[who]), **look)

    def turn(self) -> None:
        """The scheduler's next turn."""
        apart(lambda: asyncio.run(self.grid.world.turn()))


def apart(work: Any) -> Any:
    """`work` in a thread of its own: a browser's test has an event loop that runs already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@contextmanager
def town_in(folder: Path) -> Iterator[Town]:
    """Both worlds, served. Strangers' names are hostile, except on pictures."""
    hostile, formula = FAIR
    named, site = FAIR.values() if SCREENS else (hostile, formula)
    grid, authors = grid_in(folder / "grid", named, site), authors_in(folder / "authors")
    grid.world.deposit()
    authors.grid.world.deposit()
    servers = [serve(grid), serve(authors.grid)]
    try:
        yield apart(lambda: _prepared(grid, authors))
    finally:
        for server in servers:
            server.stop()
        grid.close()
        authors.grid.close()


def _prepared(grid: Grid, authors: Authors) -> Town:
    desk, nobody, operator = grid.world.desk, grid.enter(), grid.enter(Role.OPERATOR)
    seed(grid.world, 60)
    desk.store.run("alike", lambda tx: _alike(tx, grid))
    working = [one.worker for one in machines.machines(desk) if one.leases]
    drained = grid.workers[2].name
    deed = confirm(operator, f"/actions/drain-worker/{drained}", reason="un disque à changer")
    assert deed.status == 303, deed.text
    asyncio.run(grid.world.turn())
    checkpoints = _items(nobody, "/log-checkpoints")
    names = {
        "moving": grid.moving, "released": grid.released, "unit": grid.late_unit,
        "bundle": str(grid.world.bundle.digest), "short": grid.world.bundle.digest[7:],
        "worker": working[0], "drained": drained, "deed": deed.location.rpartition("/")[2],
        "twice": ALIKE, "author": grid.world.author.public,
        "plan": _items(nobody, f"/log?campaign={grid.moving}&kind=plan")[0]["index"],
        "late": units.unit(desk, grid.late_unit).plan.index,
        "old": checkpoints[-1]["size"], "new": checkpoints[0]["size"],
        "trained": authors.trained, "pictured": authors.pictured, "done": authors.released,
        **{f"my_{name}": digest for name, digest in authors.bundles.items()},
    }  # fmt: skip
    sessions = {
        NOBODY: {}, OPERATOR: operator.jar, AUTHOR: authors.enter(ADA).jar,
        WATCHER: authors.grid.enter(Role.VIEWER).jar,
    }  # fmt: skip
    return Town(grid, authors, sessions, names)


def _items(browser: Browser, path: str) -> Any:
    return browser.get(f"/api/v1{path}", headers={"accept": "application/json"}).json["items"]


def _alike(tx: Any, grid: Grid) -> None:
    """Two further versions of the bundle, whose digests begin alike."""
    row = tx.session.get(BundleRow, str(grid.world.bundle.digest))
    for number in (1, 2):
        digest = f"sha256:{ALIKE}{number:056x}"
        other = {**row.model_dump(), "digest": digest, "version": f"1.{number}.0"}
        tx.session.add(BundleRow(**other))
