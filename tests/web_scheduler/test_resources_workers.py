"""A worker's page and the map of sites: load, what it says of itself, nothing about owners."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from scheduler.errors import PagesRefused
from scheduler.judging import parse
from scheduler.service import acting
from scheduler.service.actions import Actor, LocalOffice
from scheduler.service.exclusion import deny
from scheduler.views import machines, shifts
from scheduler.views.machines import Machine
from scheduler.web.resources.worker_pages import _spots
from tests.scheduler.conftest import TERRITORY, World
from tests.web.signin_browser import Browser
from tests.web_scheduler.territory import HOSTILE, Grid
from tests.web_scheduler.test_pages_long_lists import plans
from tests.web_scheduler.test_resources_bundles import lonely
from trust.documents.actions import Act, Means
from web.signin.roles import Role

__all__ = ["lonely"]
ADA = Actor("local:ada", Means.PROGRAM)


def ask(browser: Browser, path: str) -> Any:
    return browser.get(path, headers={"accept": "application/json"}).json


@pytest.fixture
def names(grid: Grid) -> dict[str, str]:
    rows = ask(grid.enter(Role.VIEWER), "/api/v1/workers")["items"]
    return {row["operator"]: row["worker"] for row in rows}


def test_a_worker_says_what_it_does_and_did(grid: Grid, names: dict[str, str]) -> None:
    browser = grid.enter(Role.VIEWER)
    busy = ask(browser, f"/api/v1/workers/{names[HOSTILE][:14]}")
    (running,) = busy["running"]
    assert running["campaign"] == grid.moving
    assert running["capsules"] == 10
    assert busy["machine"]["leases"] == 1
    assert busy["quota_used"] == 2
    assert busy["clock"] == 0
    assert busy["enrolment_index"] is not None
    refused = ask(browser, f"/api/v1/workers/{names['operator-0']}")
    assert [row["state"] for row in refused["ended"]] == ["rejected", "accepted"]
    assert refused["ended"][0]["unit"] == grid.late_unit


def test_the_page_leads_on_and_names_no_capsule(grid: Grid, names: dict[str, str]) -> None:
    browser = grid.enter(Role.OPERATOR)
    page = browser.get(f"/workers/{names[HOSTILE]}?lang=fr").text
    assert f"/campaigns/{grid.moving}" in page
    assert "numpy" in page
    assert "cap_" not in page
    assert HOSTILE not in page
    assert "perdu" in page
    listed = browser.get("/workers").text
    assert f'href="/workers/{names[HOSTILE]}"' in listed
    assert 'href="/sites"' in listed
    unit = browser.get(f"/units/{grid.late_unit}").text
    assert f"/workers/{names['operator-0']}" in unit


def test_sites_are_counted_and_mapped(grid: Grid) -> None:
    browser = grid.enter(Role.VIEWER)
    rows = {row["site"]: row for row in ask(browser, "/api/v1/sites")["items"]}
    assert rows["here"]["fresh"] == 3
    assert rows["=HYPERLINK(1)"]["lost"] == 1
    assert rows["here"]["capsules"] == 20  # two workers with over ten each, in tens
    page = browser.get("/sites?lang=en").text
    assert "<svg" in page
    assert "A schema and no map" in page
    assert 'href="/workers?site=%3DHYPERLINK%281%29"' in page
    at = ask(browser, "/api/v1/workers?site=here")["items"]
    assert len(at) == 3
    assert "'=HYPERLINK(1)" in browser.get("/sites?format=csv").text


def machine(site: str, freshness: str, operator: str = "ville") -> Machine:
    return Machine(
        "wrk_a", operator, site, freshness, None, "L3", (), 10, 1, 2, True, False, False, False
    )


def test_excluded_workers_stand_nowhere() -> None:
    found = machines.sites(
        [
            machine("mairie", "fresh"),
            machine("mairie", "late", "pays"),
            machine("mairie", "banned"),
            machine("école", "banned"),
        ]
    )
    (site,) = found
    assert (site.workers, site.capsules, site.leases, site.slots) == (2, 20, 2, 4)
    assert site.operators == ("pays", "ville")


def test_places_stand_where_somebody_laid_them_and_the_others_at_the_end() -> None:
    laid = parse({"sites": {"gare": [3, 0], "école": [0, 1], "elsewhere": [5, 5]}}).sites
    names = ["dépôt", "école", "gare", "mairie"]
    assert _spots(names, laid) == [(0, 3), (0, 1), (3, 0), (1, 3)]
    assert _spots(names, {}) == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert _spots(["gare"], laid) == [(3, 0)]


@pytest.mark.parametrize(
    "plain",
    [{"a": [0]}, {"a": [0, 12]}, {"a": [-1, 0]}, {"a": [True, 0]}, {"a": ["0", 0]}, {"a": "0,0"},
     {"a": [0, 0], "b": [0, 0]}, {str(number): [0, 0] for number in range(201)}],
)  # fmt: skip
def test_where_a_place_may_not_stand(plain: dict[str, Any]) -> None:
    with pytest.raises(PagesRefused, match="sites"):
        parse({"sites": plain})


@pytest.mark.parametrize(
    "place",
    [[1.0], [1.0, 2.0, 3.0], ["2", 48], [True, 48], [2, False], [181, 0], [0, 85.1],
     [float("nan"), 0.0], [0, float("-inf")], [10**400, 0], "2,48", {"east": 2}],
)  # fmt: skip
def test_where_no_label_lies(place: Any) -> None:
    with pytest.raises(PagesRefused, match="places"):
        parse({"places": {"a": place}})
    with pytest.raises(PagesRefused, match="1000 labels"):
        parse({"places": {str(number): [0, 0] for number in range(1001)}})


def test_a_place_that_lost_a_worker_says_so_on_the_map(grid: Grid) -> None:
    page = grid.enter(Role.VIEWER).get("/sites?lang=fr").text
    drawn = page.partition("<svg")[2].partition("</svg>")[0]
    assert "fill-bad" in drawn
    assert ">1 perdu<" in drawn
    assert ">3 présents<" in drawn


def test_an_excluded_worker_says_why(lonely: World) -> None:
    worker = asyncio.run(lonely.worker("operator-0", capsules=3))
    office = LocalOffice(TERRITORY, lonely.desk.orders, lonely.desk.blobs)
    lonely.desk.store.run("ban-member", lambda tx: deny(tx, office, worker.name, "stolen machine"))
    found = shifts.machine(lonely.desk, worker.name)
    assert found.machine.freshness == "banned"
    assert found.banned_because == "stolen machine"
    assert found.clock is None


def test_why_a_worker_was_excluded_is_for_who_may_read_the_deed(lonely: World) -> None:
    """A sealed reason is about its keeper: viewers see that it was excluded, and when."""
    worker = asyncio.run(lonely.worker("operator-0", capsules=3))
    office = LocalOffice(TERRITORY, lonely.desk.orders, lonely.desk.blobs)
    lonely.desk.store.run("ban-member", lambda tx: deny(tx, office, worker.name, "stolen machine"))
    grid = Grid(lonely, "", "", "", workers=[worker])
    readers = {Role.VIEWER: False, Role.AUDITOR: True, Role.OPERATOR: True}
    for role, reads in readers.items():
        browser = grid.enter(role)
        for path in ("/workers/{}", "/workers/{}?format=json", "/api/v1/workers/{}"):
            answer = browser.get(path.format(worker.name))
            assert answer.status == 200
            assert ("stolen machine" in answer.text) is reads, (role, path)
        assert "Exclu" in browser.get(f"/workers/{worker.name}").text


@pytest.mark.parametrize("path", ["/workers/wrk_", "/workers/wrk_zzzzzzzzzz", "/workers/%27"])
def test_what_is_no_worker(grid: Grid, path: str) -> None:
    assert grid.enter(Role.OPERATOR).get(path).status == 404


def test_a_drained_worker_takes_on_nothing_new_and_the_list_says_so(lonely: World) -> None:
    async def play() -> Grid:
        workers = [await lonely.worker(f"operator-{n}", capsules=3) for n in range(4)]
        workers[1].draining = True
        for worker in workers:
            await worker.exchange()
        await acting.act(lonely.desk, ADA, Act.DRAIN_WORKER, workers[0].name, "a new disk")
        await acting.act(lonely.desk, ADA, Act.EXCLUDE_WORKER, workers[2].name, "it was stolen")
        return Grid(lonely, "", "", "", workers=workers)

    grid = asyncio.run(play())
    browser, names = grid.enter(Role.VIEWER), [str(worker.name) for worker in grid.workers]
    page = browser.get(f"/workers/{names[0]}?lang=en").text
    assert "nothing new: an operator drains it" in page
    assert ">contributions<" not in page
    assert "nothing new: its keeper drains it" in browser.get(f"/workers/{names[1]}?lang=en").text
    assert "nothing: it is excluded" in browser.get(f"/workers/{names[2]}?lang=en").text
    assert "contributions" in browser.get(f"/workers/{names[3]}?lang=en").text
    listed = {row["worker"]: row["work"] for row in ask(browser, "/api/v1/workers")["items"]}
    assert [listed[name] for name in names] == ["drained", "draining", "nothing", "takes"]
    (only,) = ask(browser, "/api/v1/workers?work=drained")["items"]
    assert only["worker"] == names[0]
    assert browser.get("/workers?work=asleep").status == 422


def test_who_may_read(grid: Grid, names: dict[str, str]) -> None:
    for path in ("/sites", f"/workers/{names[HOSTILE]}"):
        assert grid.enter(Role.AUTHOR).get(path).status == 403


def test_a_workers_page_looks_at_its_live_attempts_and_the_newest_ends(
    grid: Grid, names: dict[str, str]
) -> None:
    found = plans(grid, lambda: shifts.machine(grid.world.desk, names[HOSTILE]))
    for name in ("attempt_of_worker", "attempt_by_end", "consent_live"):
        assert any(name in line for line in found), (name, found)
    for line in found:
        assert line not in {"SCAN attempt", "SCAN unit", "SCAN consent", "SCAN worker"}, found
