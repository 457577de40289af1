"""The timeline of any round: chosen in the address, drawn and listed within bounds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest

from scheduler.errors import Unknown
from scheduler.views.runs import LANES
from scheduler.views.slices import Slice
from scheduler.views.stretches import stretches
from scheduler.views.timeline import timeline
from scheduler.web.resources.timeline_pictures import drawn
from scheduler.web.surface import room
from tests.scheduler.conftest import World, build
from tests.web.signin_browser import Browser
from tests.web_scheduler.territory import Grid
from tests.web_scheduler.test_pages_long_lists import plans
from tests.web_scheduler.test_resources_bundles import lonely
from web.extraction import complaints
from web.languages import Language
from web.signin.roles import Role
from web.speech import Speech

__all__ = ["lonely"]
WHOLE = Slice(201)


def speech(world: World) -> Speech:
    return room(world.desk).speech(Language.EN)


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


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """A campaign of three rounds that is over, for all who only look."""
    world = build(tmp_path_factory.mktemp("rounds"))
    made = Grid(world, "", asyncio.run(_rounds(world)), "")
    yield made
    made.close()


def test_each_round_has_its_own_attempts(played: Grid) -> None:
    world, campaign = played.world, played.moving
    seen = set()
    for number in (1, 2, 3):
        found = timeline(world.desk, campaign, WHOLE, number=number)
        assert found.number == number
        assert {row.work.round for row in found.rows} == {number}
        assert len(found.rows) == 3
        assert {work.unit for work, _ in found.lanes} == {row.work.unit for row in found.rows}
        seen |= {row.attempt.attempt for row in found.rows}
    assert len(seen) == 9
    assert timeline(world.desk, campaign, WHOLE, number=3).number == 3
    with pytest.raises(Unknown, match="no round 4"):
        timeline(world.desk, campaign, WHOLE, number=4)


def test_the_whole_campaign_is_one_picture_with_its_rounds_apart(
    played: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attempt by attempt while they fit, a line per round beyond, with the same counts."""
    world, campaign = played.world, played.moving
    found = timeline(world.desk, campaign, WHOLE)
    assert (found.number, found.hidden, len(found.rows)) == (0, 0, 9)
    assert not found.rounds
    assert [work.round for work, _ in found.lanes] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    chart = drawn(found, speech(world))
    assert chart is not None
    assert [row[1] for row in chart.rows] == [f"Round {n}" for n in (1, 1, 1, 2, 2, 2, 3, 3, 3)]
    assert f"/campaigns/{campaign}/timeline?round=2" in chart.svg

    monkeypatch.setattr("scheduler.views.timeline.MOST_BARS", 8)
    found = timeline(world.desk, campaign, WHOLE)
    assert not found.lanes
    assert [(one.number, one.state, one.attempts, one.failed) for one in found.rounds] == [
        (number, "opened", 3, 0) for number in (1, 2, 3)
    ]
    for one in found.rounds:
        tries = [
            row.attempt for row in timeline(world.desk, campaign, WHOLE, number=one.number).rows
        ]
        assert one.begun_at == min(each.leased_at for each in tries)
        assert one.ended_at == max(each.ended_at for each in tries if each.ended_at)
    chart = drawn(found, speech(world))
    assert chart is not None
    assert [[row[0], *row[-2:]] for row in chart.rows] == [
        [f"Round {number}", 3, 0] for number in (1, 2, 3)
    ]
    assert "3 attempts, 0 in vain" in chart.svg

    monkeypatch.setattr("scheduler.views.stretches.MOST_ROUNDS", 2)
    found = timeline(world.desk, campaign, WHOLE)
    assert [one.number for one in found.rounds] == [2, 3]
    assert found.hidden == 1


def test_a_round_that_was_not_read_to_its_end_is_drawn_and_not_counted(
    played: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, campaign = played.world, played.moving
    monkeypatch.setattr("scheduler.views.stretches.MOST_READ", 5)
    first, second, third = stretches(world.desk, campaign, WHOLE)
    assert (third.attempts, second.attempts, first.attempts) == (3, None, None)
    assert first.begun_at < first.ended_at <= second.begun_at  # type: ignore[operator]
    (last,) = stretches(world.desk, campaign, Slice(1, (2,)))
    assert last == third
    assert [one.attempts for one in stretches(world.desk, campaign, Slice(1))] == [3]


def test_all_attempts_go_on_from_page_to_page_over_the_rounds(played: Grid) -> None:
    world, campaign = played.world, played.moving
    browser = played.enter(Role.VIEWER)
    place, seen = f"/api/v1/campaigns/{campaign}/timeline?size=2", []
    asked = place
    while asked:
        told = ask(browser, asked)
        seen += [(row["round"], row["unit"]) for row in told["items"]]
        asked = f"{place}&cursor={told['next']}" if told["next"] else ""
    assert seen == sorted(seen)
    assert len(set(seen)) == 9
    second = ask(browser, f"/api/v1/campaigns/{campaign}/timeline?round=2")["items"]
    assert [row["unit"] for row in second] == [unit for number, unit in seen if number == 2]
    for number, edge in ((1, 3), (3, 1)):  # a cursor of another round lies before it or behind it
        cursor = (edge, "unit_5", 1)
        for back in (False, True):
            rows = timeline(world.desk, campaign, Slice(9, cursor, back), number=number).rows
            assert len(rows) == (3 if (edge < number) is not back else 0)


def test_the_page_of_a_whole_campaign_leads_to_its_rounds_in_both_languages(
    played: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = played.moving
    browser = played.enter(Role.VIEWER)
    here = f"/campaigns/{campaign}/timeline"
    page = browser.get(f"{here}?lang=fr").text
    assert "Toute la campagne : 3 tours." in page
    assert "Toutes les tentatives de la campagne, par tour" in page
    assert all(f'href="{here}?round={number}"' in page for number in (1, 2, 3))
    one = browser.get(f"{here}?round=2&lang=en").text
    assert "Timeline, round 2" in one
    assert f'<a href="{here}">The whole campaign</a>' in one
    monkeypatch.setattr("scheduler.views.timeline.MOST_BARS", 2)
    monkeypatch.setattr("scheduler.views.stretches.MOST_ROUNDS", 2)
    page = browser.get(f"{here}?lang=en").text
    assert "There are more attempts than one picture can show" in page
    assert "1 older round is not drawn" in page
    rounds = f"/api/v1{here}/rounds"
    assert f'href="{rounds}?dir=desc&amp;format=csv"' in page
    rows = ask(browser, rounds)["items"]
    assert [(row["round"], row["attempts"], row["failed"]) for row in rows] == [
        (number, 3, 0) for number in (1, 2, 3)
    ]
    assert browser.get(f"{rounds}?dir=desc&format=csv").text.count("\n") == 4
    assert complaints("scheduler.web.resources") == []


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
    rest = timeline(lonely.desk, campaign, Slice(200, (1, last.work.unit, last.attempt.number)))
    assert len(rest.rows) == LANES + 3 - 10


def test_the_page_says_which_round_and_leads_to_the_others(grid: Grid) -> None:
    browser = grid.enter(Role.VIEWER)
    page = browser.get(f"/campaigns/{grid.moving}/timeline?round=1&lang=en").text
    assert "Round 1 of 1." in page
    assert "<svg" in page
    assert f"/units/{grid.late_unit}" in page
    rows = ask(browser, f"/api/v1/campaigns/{grid.moving}/timeline")["items"]
    assert {row["state"] for row in rows} == {"rejected", "accepted", "leased"}
    assert browser.get(f"/campaigns/{grid.moving}/timeline?format=csv").text.startswith("unit,")
    campaign = browser.get(f"/campaigns/{grid.moving}").text
    assert f'href="/campaigns/{grid.moving}/timeline?round=1"' in campaign
    assert f'href="/campaigns/{grid.moving}/timeline"' in campaign


@pytest.mark.parametrize(
    ("asked", "status"),
    [("round=2", 404), ("round=0", 422), ("round=-1", 422), ("round=x", 422),
     ("round=10000000", 422)],
)  # fmt: skip
def test_what_is_no_round(grid: Grid, asked: str, status: int) -> None:
    path = f"/campaigns/{grid.moving}/timeline?{asked}"
    assert grid.enter(Role.OPERATOR).get(path).status == status
    assert grid.enter(Role.AUTHOR).get(path).status == 403


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("after", [None, (1, "unit_5", 1)])
@pytest.mark.parametrize("bars", [120, 0])
def test_rounds_and_attempts_are_entered_by_their_indices(
    grid: Grid, monkeypatch: pytest.MonkeyPatch, number: int, after: Any, bars: int
) -> None:
    monkeypatch.setattr("scheduler.views.timeline.MOST_BARS", bars)
    monkeypatch.setattr("scheduler.views.timeline.ONLY", 0)  # one round is a whole campaign too
    cut = Slice(201, after)
    found = plans(grid, lambda: timeline(grid.world.desk, grid.moving, cut, number=number))
    assert any("unit_of_campaign" in line for line in found), found
    for line in found:
        assert not re.match("SCAN (attempt|unit|round)", line), found
    if not number:
        assert not any("TEMP B-TREE FOR ORDER BY" in line for line in found), found
