"""Bundles and votes as operators read them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scheduler.views import bundles
from scheduler.views.slices import Slice
from scheduler.views.voted import Documents
from scheduler.web.resources.words import CLASSES, PROTECTIONS, STANDINGS
from tests.scheduler.conftest import World, build
from tests.web.signin_browser import Browser
from tests.web_scheduler.territory import HOSTILE, Grid
from tests.web_scheduler.test_pages_long_lists import plans
from trust.documents.rules import DataClass, Protection
from web.extraction import complaints
from web.signin.roles import Role

WHOLE = Slice(51)


def ask(browser: Browser, path: str) -> Any:
    return browser.get(path, headers={"accept": "application/json"}).json


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[World]:
    world = build(tmp_path)
    yield world
    world.desk.store.close()
    world.desk.log.close()  # type: ignore[attr-defined]


def test_words_are_complete() -> None:
    assert complaints("scheduler.web.resources") == []
    assert set(STANDINGS) == set(bundles.STANDINGS)
    assert set(PROTECTIONS) == set(Protection)
    assert set(CLASSES) == set(DataClass)


def test_a_bundle_says_its_vote_and_what_is_left_of_it(grid: Grid) -> None:
    (row,) = ask(grid.enter(Role.VIEWER), "/api/v1/bundles")["items"]
    assert row["bundle"] == str(grid.world.bundle.digest)
    assert row["state"] == "authorised"
    assert row["left"] == 8  # of ten, two were started
    assert row["libraries"] == "numpy"
    assert row["state_bytes"] == 0
    whole = ask(grid.enter(Role.AUDITOR), f"/api/v1/bundles/{row['bundle'][7:17]}")
    assert whole["votes"][0]["used"] == 2
    assert whole["votes"][0]["terms"]["rho"] == whole["line"]["contents"]["rho"] == "0.1"
    assert {run["campaign"] for run in whole["runs"]} == {grid.released, grid.moving}
    assert whole["size"] == len(grid.world.bundle.raw)


def test_the_page_leads_to_the_log_and_to_its_campaigns(grid: Grid) -> None:
    page = grid.enter(Role.OPERATOR).get(f"/bundles/{grid.world.bundle.digest}").text
    assert f"/campaigns/{grid.moving}" in page
    assert 'href="/log/1"' in page  # the vote, logged right behind the root
    assert "Comptes" in page
    assert "2 sur 10" in page
    assert HOSTILE not in page
    english = grid.enter(Role.OPERATOR).get(f"/bundles/{grid.world.bundle.digest}?lang=en").text
    assert "noise on each worker" in english


def test_filters_and_csv(grid: Grid) -> None:
    browser = grid.enter(Role.OPERATOR)
    assert len(ask(browser, "/api/v1/bundles?state=authorised")["items"]) == 1
    for state in ("submitted", "ended"):
        assert ask(browser, f"/api/v1/bundles?state={state}")["items"] == []
    author = str(grid.world.author.public)
    assert len(ask(browser, f"/api/v1/bundles?author={author[:14]}".replace("+", "%2B"))["items"])
    assert ask(browser, "/api/v1/bundles?author=zzz")["items"] == []
    assert browser.get("/bundles?format=csv").text.count("\n") == 2
    assert browser.get("/bundles?state=nothing").status == 422
    assert browser.get("/bundles/0000000000000000").status == 404


def test_who_may_read(grid: Grid) -> None:
    for path in ("/bundles", f"/bundles/{grid.world.bundle.digest}"):
        assert grid.enter(Role.AUTHOR).get(path).status == 403
        assert grid.enter().get(path).status == 303


def test_a_vote_stands_as_time_and_the_college_have_it(lonely: World) -> None:
    documents = Documents(lonely.desk)

    def stands() -> str:
        (line,) = bundles.bundles(lonely.desk, documents, WHOLE)
        return line.standing

    vote = asyncio.run(lonely.authorised(campaigns=1))
    assert stands() == "authorised"
    asyncio.run(lonely.start())
    assert stands() == "spent"
    lonely.clock.advance(31 * 86_400)
    assert stands() == "expired"
    asyncio.run(lonely.suspend(vote))
    assert stands() == "suspended"
    (found,) = bundles.bundle(lonely.desk, documents, str(lonely.bundle.digest)).votes
    assert found.suspended_because == "a doubt"
    assert found.left == 0


def test_a_bundle_whose_bytes_are_gone_is_still_listed(lonely: World) -> None:
    asyncio.run(lonely.authorised())
    lonely.desk.blobs.remove(lonely.bundle.digest)
    (line,) = bundles.bundles(lonely.desk, Documents(lonely.desk), WHOLE)
    assert line.contents is None
    assert line.standing == "authorised"


def test_campaigns_are_counted_in_an_index(grid: Grid) -> None:
    desk = grid.world.desk
    documents = Documents(desk)
    found = plans(grid, lambda: bundles.bundles(desk, documents, WHOLE))
    found += plans(grid, lambda: bundles.bundle(desk, documents, str(grid.world.bundle.digest)))
    assert any("SEARCH campaign" in line and "(authorisation=?)" in line for line in found), found
    for table in ("campaign", "authorisation", "log_entry", "round"):
        assert f"SCAN {table}" not in found, found
