"""The acceptance of the pages: at most eight clicks and one command, walked and counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scheduler.views import units
from tests.web.browser import Watch
from tests.web_auditors.served import serving
from tests.web_scheduler.pictures import draw
from tests.web_scheduler.territory import Grid
from tests.web_scheduler.walking import MOST_CLICKS, Walk, operator_finds_a_late_unit
from web.signin.roles import Role


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    with serving(tmp_path_factory.mktemp("grid")) as grid:
        yield grid


async def one_falls_silent(grid: Grid) -> None:
    """Two workers take the new campaign's units: one reports, of the other nothing is heard."""
    first, second = grid.workers[:2]
    await grid.world.turn()
    await second.exchange()
    for order in (await first.exchange()).orders:
        await first.exchange([first.report(order)])
    for _ in range(3):
        grid.world.clock.advance(25)
        await first.exchange()
        await grid.world.turn()


def test_at_most_eight_clicks_and_one_command_from_the_first_sign_in_to_a_proof(
    browse: Watch, served: Grid, tmp_path: Path
) -> None:
    root = tmp_path / "root.json"
    root.write_bytes(served.world.root_envelope)
    address, _ = served.entrance.start_line()
    walk = Walk(browse.open(address), tmp_path, drawn=True)

    def meanwhile() -> None:
        with ThreadPoolExecutor(1) as apart:  # the browser's test has an event loop already
            apart.submit(lambda: asyncio.run(one_falls_silent(served))).result()

    found = operator_finds_a_late_unit(walk, "counts", meanwhile)
    assert found.campaign not in {served.moving, served.released}
    assert "son nœud se tait depuis" in found.why
    ended = walk.command("audit", "proof", found.receipt, "--root", root)
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert (said["verified"], said["what"]) == (True, "plan")
    assert len(walk.clicks) <= MOST_CLICKS, walk.clicks
    assert len(walk.commands) == 1
    assert {*walk.stale} == {""}
    # What it proves is the plan of the very unit that was late, of the worker that fell silent.
    late = units.unit(served.world.desk, found.unit)
    assert (late.work.campaign, late.work.worker) == (found.campaign, served.workers[1].name)
    assert late.plan.digest == said["document"]


def test_one_comes_in_by_an_invitation_and_goes(browse: Watch, served: Grid) -> None:
    token = served.entrance.credentials.invite("Ada", [Role.VIEWER])
    page = browse.open(f"{served.origin}/sign-in#{token}")
    page.click('form[action="/sign-in"] button[type=submit]')
    page.wait_for_url("**/account")
    stale = [draw(page, "account")]
    page.goto(served.origin)
    assert page.query_selector('main a[href="/actions/start-campaign"]') is None
    page.click('form[action="/sign-out"] button')
    page.wait_for_url("**/sign-out")
    stale.append(draw(page, "sign-out"))
    assert stale == ["", ""]
