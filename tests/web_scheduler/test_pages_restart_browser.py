"""A scheduler that restarts under an open page, and a browser whose clock is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import Watch
from tests.web_scheduler.served import serve
from tests.web_scheduler.territory import Grid, grid_in
from tests.web_scheduler.test_pages_browser import enter
from web.serving import WebServer

LIVE = "[data-live]"
SKEWS = [timedelta(hours=-7), timedelta(days=400)]


@dataclass
class Running:
    """The pages of one scheduler, which can be stopped and started again on its state."""

    grid: Grid
    server: WebServer
    port: int

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        """A new life: the state is read from its files again, everything in memory is new."""
        self.grid.world.reopen()
        self.server = serve(self.grid, self.port)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    grid = grid_in(tmp_path, "domicile-travail", "mairie")
    server = serve(grid, 0)
    made = Running(grid, server, server.port)
    yield made
    made.stop()
    grid.close()


def becomes(page: Any, state: str) -> None:
    page.wait_for_selector(f'{LIVE}[data-state="{state}"]')


def told(page: Any) -> str:
    return str(page.inner_text("[data-live-word]"))


@pytest.mark.parametrize("path", ["/", "/campaigns/{c}"])
def test_a_restart_freezes_the_page_and_lets_it_go_on(
    browse: Watch, running: Running, path: str
) -> None:
    """Nobody signs in again, and what changed meanwhile is shown without a reload."""
    page = enter(browse, running.grid, path.format(c=running.grid.moving))
    becomes(page, "live")
    page.evaluate("window.before = true")
    browse.expect("htmx:|ERR_CONNECTION|Failed to load resource")
    running.stop()
    becomes(page, "frozen")
    assert told(page).startswith("Figé depuis ")
    frozen = page.inner_text("[data-live-body]")

    running.grid.world.clock.advance(600)
    running.start()
    becomes(page, "live")
    page.wait_for_function(
        "old => document.querySelector('[data-live-body]').innerText !== old", arg=frozen
    )
    assert told(page) == "En direct"
    assert page.evaluate("window.before") is True, "the page was not loaded anew"


@pytest.mark.parametrize("skew", SKEWS, ids=str)
def test_a_browser_whose_clock_is_wrong_shows_the_servers_time(
    browse: Watch, running: Running, skew: timedelta
) -> None:
    """Ages and `frozen since` are the server's: the machine's own clock is asked for nothing."""
    right = enter(browse, running.grid)
    becomes(right, "live")
    wrong = enter(browse, running.grid, "/workers")
    now = running.grid.world.clock.now()
    wrong.clock.set_system_time(now + skew)
    ages = "[...document.querySelectorAll('main [data-ago]')].map(one => one.textContent)"
    still = enter(browse, running.grid, "/workers")  # no live part corrects it there
    wrong.goto(running.grid.origin + "/workers")
    for page in (still, wrong):
        page.evaluate("cadastre.refresh()")
    assert wrong.evaluate(ages) == still.evaluate(ages)
    assert len(still.evaluate(ages)) > 0
    wrong.goto(running.grid.origin)
    becomes(wrong, "live")
    year = wrong.evaluate("new Date().getUTCFullYear()")
    assert year == (now + skew).year, "its clock is wrong indeed"
    wrong.evaluate("cadastre.refresh()")
    right.evaluate("cadastre.refresh()")
    assert wrong.evaluate(ages) == right.evaluate(ages)
    assert len(right.evaluate(ages)) > 0

    browse.expect("htmx:|ERR_CONNECTION|Failed to load resource")
    running.stop()
    becomes(right, "frozen")
    becomes(wrong, "frozen")
    assert told(wrong) == told(right)
    running.start()
    becomes(wrong, "live")
