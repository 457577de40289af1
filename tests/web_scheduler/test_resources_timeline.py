"""The timeline of any round: chosen in the address, drawn and listed within bounds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from scheduler.errors import Unknown
from scheduler.views.runs import LANES
from scheduler.views.slices import Slice
from scheduler.views.timeline import timeline
from tests.scheduler.conftest import World
from tests.web.signin_browser import Browser
from tests.web_scheduler.territory import Grid
from tests.web_scheduler.test_pages_long_lists import plans
from tests.web_scheduler.test_resources_bundles import lonely
from web.signin.roles import Role

__all__ = ["lonely"]
WHOLE = Slice(201)


def ask(browser: Browser, path: str) -> Any:
    return browser.get(path, headers={"accept": "application/json"}).json


async def _rounds(world: World) -> str:
    """Three rounds of two workers and one that concludes."""
    world.follow()
    await world.authorised()
    workers = [await world.worker(f"operator-{n}", capsules=14) for n in range(2)]
    everybody = [*workers, await world.worker("judge", concludes=True)]
    for worker in everybody:
        await worker.exchange()
    campaign = await world.start()
    await world.turn()
    for _ in range(6):
        for worker in everybody:
            await worker.exchange()
            for order in tuple(worker.held):
                await worker.exchange([worker.report(order)])
        world.clock.advance(30)
        await world.turn()
    assert (await world.view(campaign)).row.state == "released"
    return campaign


def test_each_round_has_its_own_attempts(lonely: World) -> None:
    campaign = asyncio.run(_rounds(lonely))
    seen = set()
    for number in (1, 2, 3):
        found = timeline(lonely.desk, campaign, WHOLE, number=number)
        assert found.number == number
        assert {row.work.round for row in found.rows} == {number}
        assert len(found.rows) == 3
        assert {work.unit for work, _ in found.lanes} == {row.work.unit for row in found.rows}
        seen |= {row.attempt.attempt for row in found.rows}
    assert len(seen) == 9
    assert timeline(lonely.desk, campaign, WHOLE).number == 3
    with pytest.raises(Unknown, match="no round 4"):
        timeline(lonely.desk, campaign, WHOLE, number=4)


def test_the_picture_is_bounded_and_the_list_goes_on(lonely: World) -> None:
    async def play() -> str:
        await lonely.authorised()
        workers = [await lonely.worker(f"operator-{n}", capsules=3) for n in range(LANES + 3)]
        for worker in workers:
            await worker.exchange()
        campaign = await lonely.start()
        await lonely.turn()
        for worker in workers:
            await worker.exchange()
        return campaign

    campaign = asyncio.run(play())
    found = timeline(lonely.desk, campaign, Slice(10))
    assert len(found.lanes) == LANES
    assert found.hidden == 3
    assert len(found.rows) == 10
    last = found.rows[-1]
    rest = timeline(lonely.desk, campaign, Slice(200, (last.work.unit, last.attempt.number)))
    assert len(rest.rows) == LANES + 3 - 10


def test_the_page_says_which_round_and_leads_to_the_others(grid: Grid) -> None:
    browser = grid.enter(Role.VIEWER)
    page = browser.get(f"/campaigns/{grid.moving}/timeline?round=1&lang=en").text
    assert "Timeline, round 1" in page
    assert "<svg" in page
    assert f"/units/{grid.late_unit}" in page
    rows = ask(browser, f"/api/v1/campaigns/{grid.moving}/timeline")["items"]
    assert {row["state"] for row in rows} == {"rejected", "accepted", "leased"}
    assert browser.get(f"/campaigns/{grid.moving}/timeline?format=csv").text.startswith("unit,")
    campaign = browser.get(f"/campaigns/{grid.moving}").text
    assert f'href="/campaigns/{grid.moving}/timeline?round=1"' in campaign


@pytest.mark.parametrize(
    ("asked", "status"),
    [("round=2", 404), ("round=0", 422), ("round=-1", 422), ("round=x", 422),
     ("round=10000000", 422)],
)  # fmt: skip
def test_what_is_no_round(grid: Grid, asked: str, status: int) -> None:
    path = f"/campaigns/{grid.moving}/timeline?{asked}"
    assert grid.enter(Role.OPERATOR).get(path).status == status
    assert grid.enter(Role.AUTHOR).get(path).status == 403


def test_a_round_is_entered_by_its_index(grid: Grid) -> None:
    found = plans(grid, lambda: timeline(grid.world.desk, grid.moving, WHOLE, number=1))
    assert any("unit_of_campaign" in line for line in found), found
    for line in found:
        assert line not in {"SCAN attempt", "SCAN unit", "SCAN round"}, found
