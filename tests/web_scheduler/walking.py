"""The path of a new operator over the pages, click by click, as somebody would walk it.

From the address that the scheduler printed to a proof that holds without any network. Every click
goes through `Walk.click`, every command through `Walk.command`: what is counted is what was done.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.web_scheduler.pictures import draw

FRONT_DOOR = Path(__file__).resolve().parents[2] / "cadastre.py"
MOST_CLICKS = 8
WIDTH, HEIGHT = 1180, 760  # of the screens: what fits on a small display without scrolling
# People wait for a worker to count as silent, at least a minute: longer than any other step.
# Whoever may not make a network namespace trusts the name of the test that the command needs none.
CUT_OFF = ["unshare", "--net"] if os.geteuid() == 0 and shutil.which("unshare") else []
PATIENCE = 240_000  # milliseconds


@dataclass
class Walk:
    """What somebody did, in order."""

    page: Any
    folder: Path  # where downloads go
    drawn: bool = False  # whether docs/ shows the screens of this very walk
    clicks: list[str] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)  # of each screen what is wrong with its picture

    def click(self, selector: str) -> None:
        """One click on the only thing that `selector` finds."""
        self.clicks.append(selector)
        self.page.locator(selector).click()

    def download(self, selector: str) -> Path:
        """One click that brings a file."""
        with self.page.expect_download() as waiting:
            self.click(selector)
        target = self.folder / str(waiting.value.suggested_filename)
        waiting.value.save_as(target)
        return target

    def command(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """One command as a process, without the pages; started by root, without any network too."""
        self.commands.append(list(map(str, words)))
        return subprocess.run(
            [*CUT_OFF, sys.executable, str(FRONT_DOOR), *map(str, words), "--json"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def draw(self, name: str, *, whole: bool = False) -> None:
        """The screen as it is now; `whole` with what one would scroll to."""
        if self.drawn:
            self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
            self.stale.append(draw(self.page, name, whole=whole))


@dataclass(frozen=True)
class Found:
    """What the walk ended with."""

    campaign: str
    unit: str  # the late one
    why: str  # what the page says about the late unit
    receipt: Path


def operator_finds_a_late_unit(walk: Walk, algorithm: str, meanwhile: Callable[[], None]) -> Found:
    """Sign in, start a campaign, see why one unit is late, take the proof of its plan away.

    The page is where the printed address leads. `algorithm` is the name of what is started;
    `meanwhile` is what the grid does once the campaign is there.
    """
    page = walk.page
    walk.draw("walk-1-sign-in")
    walk.click('form[action="/sign-in"] button[type=submit]')
    page.wait_for_url("**/account")  # where a key for the next time is made
    walk.click('nav a[href="/"]')
    page.wait_for_selector('[data-live][data-state="live"]')
    walk.draw("walk-2-health")
    walk.click('main a[href="/actions/start-campaign"]')
    walk.draw("walk-3-algorithms")
    walk.click(f'main table tr:has-text("{algorithm}") th a')
    walk.click("#reason")  # to write in it; from there on the keyboard leads
    page.keyboard.type("première campagne, pour essayer")
    page.keyboard.press("Tab")
    page.keyboard.type(page.inner_text("form.confirm kbd"))
    walk.draw("walk-4-start", whole=True)
    page.keyboard.press("Enter")
    page.wait_for_url("**/actions/deed_*")
    page.wait_for_selector('[data-live][data-state="live"]')
    walk.draw("walk-5-started")
    walk.click('main dl a[href^="/campaigns/camp_"]')
    page.wait_for_selector('[data-live][data-state="live"]')
    campaign = page.url.rpartition("/")[2]
    meanwhile()
    row = page.locator('main table tr:has(th a[href^="/units/unit_"])').first
    row.wait_for(timeout=PATIENCE)  # it appears by itself, without a click
    why = row.inner_text()
    unit = row.locator("th a").get_attribute("href").rpartition("/")[2]
    walk.draw("walk-6-late")
    walk.click('main table tr:has(th a[href^="/units/unit_"]) a[href^="/log/"] >> nth=0')
    page.wait_for_url("**/log/*")
    walk.draw("walk-7-entry")
    receipt = walk.download("main a.button[download]")
    return Found(campaign, unit, why, receipt)
