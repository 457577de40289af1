"""Twelve of each: a page shows ten lines, says that there are twelve, and leads to them all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from scheduler.store.store import Transaction
from scheduler.store.tables import CampaignRow, UnitRow
from tests.scheduler.conftest import build
from tests.scheduler.test_actions import running
from tests.web_scheduler.territory import Grid
from trust.ids import CampaignId, UnitId
from web.signin.roles import Role

MANY = 12
ASKED = {"accept": "application/json"}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """Three units that are on time; MANY late and MANY failed ones, MANY failed campaigns."""
    world = build(tmp_path_factory.mktemp("many"))
    draw = world.desk.entropy

    def add(tx: Transaction) -> None:
        unit = tx.session.exec(select(UnitRow)).first()
        run = tx.session.exec(select(CampaignRow)).one()
        assert unit is not None
        for number in range(MANY):
            alike = {**unit.model_dump(), "worker": None}
            alike["deadline"] = tx.now - timedelta(seconds=1 + number)
            tx.session.add(UnitRow(**{**alike, "id": UnitId.draw(draw)}))
            alike |= {"id": UnitId.draw(draw), "state": "failed", "updated_at": tx.now}
            tx.session.add(UnitRow(**alike))
            other = {**run.model_dump(), "id": CampaignId.draw(draw), "request": f"r{number}"}
            tx.session.add(CampaignRow(**{**other, "state": "failed", "reason": "quorum-missed"}))

    async def play() -> Grid:
        campaign, workers, _ = await running(world)
        await world.desk.run("add", add)
        return Grid(world, "", campaign, "", workers=workers)

    grid = asyncio.run(play())
    yield grid
    grid.close()


def test_health_counts_all_of_them_and_links_to_them(many: Grid) -> None:
    viewer = many.enter(Role.VIEWER)
    found = viewer.get("/api/v1/health", headers=ASKED).json
    counted = {name: found[f"{name}_count"] for name in ("moving", "failed", "late")}
    assert counted == {"moving": 1, "failed": MANY, "late": MANY}
    assert found["failed_units"] == MANY
    page = viewer.get("/?lang=en").text
    assert "12 units late" in page
    assert "12 campaigns failed in 24 hours" in page
    assert re.search(r'href="/units\?late=yes&amp;dir=asc">Late units</a>.*?>12<', page, re.DOTALL)
    assert re.search(r'href="/units\?state=failed">Work units failed.*?>12<', page, re.DOTALL)
    assert re.search(r'href="/campaigns\?state=failed">Campaigns failed.*?>12<', page, re.DOTALL)
    assert 'href="/units?late=yes&amp;dir=asc">There are more' in page
    assert 'href="/campaigns?state=failed">There are more' in page


def rows(grid: Grid, query: str) -> list[dict[str, Any]]:
    answer = grid.enter(Role.VIEWER).get(f"/api/v1/units?{query}", headers=ASKED)
    assert answer.status == 200, answer.text
    items: list[dict[str, Any]] = answer.json["items"]
    return items


def test_the_list_behind_the_numbers_has_them_all(many: Grid) -> None:
    late = rows(many, "late=yes&dir=asc")
    assert len(late) == MANY
    assert [row["deadline"] for row in late] == sorted(row["deadline"] for row in late)
    assert {row["state"] for row in rows(many, "state=failed")} == {"failed"}
    assert len(rows(many, "state=failed")) == MANY
    assert len(rows(many, "size=100")) == 3 + 2 * MANY
    assert {row["campaign"] for row in late} == {many.moving}
    assert rows(many, "late=yes&state=failed") == []


def test_it_is_narrowed_by_worker_and_by_the_beginning_of_an_id(many: Grid) -> None:
    name = str(many.workers[1].name)
    (own,) = rows(many, f"worker={name}")
    assert own["worker"] == name
    assert rows(many, f"worker={name[4:14]}&state=ready") == [own]
    assert rows(many, f"worker={name}&late=yes") == []
    assert rows(many, f"unit={own['unit']}") == rows(many, f"unit={own['unit'][5:12]}") == [own]
    viewer = many.enter(Role.VIEWER)
    for query, status in (("worker=wrk_zzzzzzzzzz", 404), ("unit=un", 422), ("late=no", 422)):
        assert viewer.get(f"/units?{query}").status == status, query
    assert "Unités de travail de toutes" in viewer.get("/units").text
    assert many.enter(Role.AUTHOR).get("/units").status == 403


@pytest.mark.parametrize("query", ["", "late=yes&", "state=failed&"])
def test_following_next_shows_each_once(many: Grid, query: str) -> None:
    whole = rows(many, f"{query}size=100")
    viewer, gathered, cursor = many.enter(Role.VIEWER), [], ""
    while True:
        address = f"/api/v1/units?{query}size=5&cursor={cursor}"
        page = viewer.get(address, headers=ASKED).json
        gathered += page["items"]
        if not page["next"]:
            break
        cursor = page["next"]
    assert gathered == whole
