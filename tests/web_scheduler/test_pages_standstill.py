"""'Why does nothing move' as pages say it: of a ready unit, what keeps its worker now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from scheduler.service import acting
from scheduler.service.actions import Actor
from scheduler.views import lateness, units
from scheduler.views.slices import Slice
from tests.scheduler.conftest import build
from tests.scheduler.test_actions import running
from tests.web_scheduler.territory import Grid
from trust.documents.actions import Act, Means
from web.signin.roles import Role

ADA = Actor("local:ada", Means.PROGRAM)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """A round of three ready units: one worker is drained, two are free, and none asks."""
    world = build(tmp_path_factory.mktemp("still"))

    async def play() -> Grid:
        campaign, workers, _ = await running(world)
        await acting.act(world.desk, ADA, Act.DRAIN_WORKER, workers[0].name, "a new disk")
        rows = units.units(world.desk, campaign, Slice(9))
        (drained,) = (row.unit for row in rows if row.worker == workers[0].name)
        return Grid(world, "", campaign, drained, workers=workers)

    grid = asyncio.run(play())
    yield grid
    grid.close()


def test_a_drained_workers_unit_does_not_wait_for_a_slot(still: Grid) -> None:
    """On its page, in the list, on the form to retry it: one reason, and a true one."""
    operator = still.enter(Role.OPERATOR)
    drained = "un exploitant ne confie plus rien de nouveau au nœud"
    places = [f"/units/{still.late_unit}", f"/campaigns/{still.moving}/units",
              f"/actions/retry-unit/{still.late_unit}"]  # fmt: skip
    for place in places:
        text = operator.get(place, headers={"accept-language": "fr"}).text
        assert drained in text, place
        assert "place libre" not in text, place
    form = operator.get(places[2] + "?lang=en").text
    assert "let it work again first" in form
    assert "asks for work" not in form


def test_a_free_workers_unit_waits_until_it_asks(still: Grid) -> None:
    operator = still.enter(Role.OPERATOR)
    rows = units.units(still.world.desk, still.moving, Slice(9))
    (first, _) = (row for row in rows if row.worker != still.workers[0].name)
    assert first.reason == "waiting-for-request"
    page = operator.get(f"/units/{first.unit}", headers={"accept-language": "fr"}).text
    assert "attend que son nœud demande du travail" in page
    form = operator.get(f"/actions/retry-unit/{first.unit}?lang=en").text
    assert "waits until its worker asks for work" in form
    assert "another try would change nothing" in form


def test_late_units_and_the_program_are_told_the_same(still: Grid) -> None:
    """After the clock went on, silence is what keeps them, and for how long."""
    desk = still.world.desk
    still.world.clock.advance(400)
    found = desk.store.read("late", lateness.late)
    assert {one.work.reason for one in found} == {"worker-lost"}
    assert {one.work.why for one in found} == {"the worker has not been heard of for 400 s"}
    asked = {"accept": "application/json"}
    address = f"/api/v1/campaigns/{still.moving}/units?lang=en"
    items = still.enter(Role.VIEWER).get(address, headers=asked).json["items"]
    assert {item["reason"] for item in items} == {"the worker has not been heard of for 400 s"}
