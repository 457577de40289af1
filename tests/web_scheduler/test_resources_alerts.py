"""Alerts: each figure against its threshold, since when, and the page where one looks further."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler.domain.reasons import Reason, sentence
from scheduler.errors import PagesRefused
from scheduler.judging import Judging, load, parse
from scheduler.log.witnessing import Waiting
from scheduler.program import serve
from scheduler.service import efforts
from scheduler.state import State
from scheduler.store.tables import CampaignRow
from scheduler.views.alerts import (
    Alert,
    AlertKind,
    Figures,
    Memory,
    Share,
    Thresholds,
    Unit,
    Waits,
    judge,
)
from scheduler.views.voted import Documents
from scheduler.views.watching import FRESH, Watch
from scheduler.web.resources.alert_words import KINDS, THRESHOLDS, bounds, tell
from tests.scheduler.conftest import START, World
from tests.web.signin_browser import Browser
from tests.web_scheduler.territory import HOSTILE, Grid
from tests.web_scheduler.test_pages_long_lists import plans
from tests.web_scheduler.test_resources_bundles import lonely
from web.signin.roles import Role

__all__ = ["lonely"]
CALM = Figures(
    now=START,
    lost=0,
    lost_since=None,
    ready=None,
    ended=0,
    failed=0,
    failed_since=None,
    helper=None,
    keyholder=None,
    witnesses=(),
    proof=None,
    disk_free=0.5,
    budgets=(),
    clocks=(),
)
HOUR = timedelta(hours=1)
WAITED = Waits("unit_x", START - HOUR, "why")
# Each kind: figures that are just below its threshold, and figures that reach it.
EDGES: Mapping[AlertKind, tuple[dict[str, Any], dict[str, Any]]] = {
    AlertKind.WORKER_LOST: ({"lost": 0}, {"lost": 1, "lost_since": START - HOUR}),
    AlertKind.UNIT_WAITS: (
        {"ready": replace(WAITED, since=START - timedelta(minutes=14, seconds=59))},
        {"ready": replace(WAITED, since=START - timedelta(minutes=15))},
    ),
    AlertKind.ATTEMPTS_FAIL: (
        {"ended": 8, "failed": 1},
        {"ended": 8, "failed": 2, "failed_since": START - HOUR},
    ),
    AlertKind.HELPER_SILENT: (
        {"helper": replace(WAITED, since=START - timedelta(minutes=9))},
        {"helper": WAITED},
    ),
    AlertKind.KEYHOLDER_SILENT: (
        {"keyholder": replace(WAITED, since=START - timedelta(minutes=9))},
        {"keyholder": WAITED},
    ),
    AlertKind.WITNESS_SILENT: (
        {"witnesses": [replace(WAITED, since=START - timedelta(minutes=9))]},
        {"witnesses": [WAITED]},
    ),
    AlertKind.PROOF_LATE: (
        {"proof": replace(WAITED, since=START - timedelta(minutes=9))},
        {"proof": WAITED},
    ),
    AlertKind.DISK_FILLS: ({"disk_free": 0.1}, {"disk_free": 0.0999}),
    AlertKind.BUDGET_SPENT: (
        {"budgets": [Share(0.79)]},
        {"budgets": [Share(0.8, "sha256:ab", "Trajets", START - HOUR)]},
    ),
    AlertKind.CLOCK_WRONG: (
        {"clocks": [Waits("wrk_a", START + timedelta(seconds=119))]},
        {"clocks": [Waits("wrk_a", START - timedelta(seconds=120))]},
    ),
}


def ask(browser: Browser, path: str) -> Any:
    return browser.get(path, headers={"accept": "application/json"}).json


def test_every_kind_has_its_edge_its_words_and_its_threshold() -> None:
    assert set(EDGES) == set(KINDS) == set(AlertKind)
    assert set(THRESHOLDS) == {one.name for one in fields(Thresholds)}
    assert len(bounds(Thresholds())) == len(THRESHOLDS)
    assert judge(CALM, Thresholds()) == ()


@pytest.mark.parametrize("kind", AlertKind)
def test_a_figure_calls_at_its_threshold_and_not_before(kind: AlertKind) -> None:
    below, reached = EDGES[kind]
    assert judge(replace(CALM, **below), Thresholds()) == ()
    (alert,) = judge(replace(CALM, **reached), Thresholds())
    assert alert.kind is kind
    told = tell(alert)
    assert told.href.startswith("/")
    assert told.sentence.message
    assert told.status.code == kind.value


def test_a_wait_is_an_alert_since_it_was_too_long() -> None:
    (alert,) = judge(replace(CALM, ready=WAITED), Thresholds(ready_minutes=20))
    assert alert.since == START - HOUR + timedelta(minutes=20)
    assert (alert.figure, alert.threshold, alert.unit) == (3600, 1200, Unit.SECONDS)


def test_few_attempts_say_nothing_about_their_share() -> None:
    assert judge(replace(CALM, ended=7, failed=7), Thresholds()) == ()
    assert judge(replace(CALM, ended=7, failed=7), Thresholds(failed_least=1))


def test_a_fast_clock_is_wrong_too() -> None:
    ahead = replace(CALM, clocks=[Waits("wrk_a", START + timedelta(minutes=5))])
    (alert,) = judge(ahead, Thresholds())
    assert alert.figure == 300
    assert "ahead" in tell(alert).sentence.message


def test_what_no_record_dates_is_dated_by_when_it_was_first_seen() -> None:
    memory = Memory()
    disk = Alert(AlertKind.DISK_FILLS, 0.05, 0.1, Unit.SHARE, None)
    (first,) = memory.dated([disk], START)
    (again,) = memory.dated([disk], START + HOUR)
    assert first.since == again.since == START
    assert again.seen
    assert memory.dated([], START + 2 * HOUR) == ()
    (anew,) = memory.dated([disk], START + 3 * HOUR)
    assert anew.since == START + 3 * HOUR
    dated = replace(disk, since=START)
    assert memory.dated([dated], START + HOUR) == (dated,)


def test_the_page_calls_and_leads_further(grid: Grid) -> None:
    browser = grid.enter(Role.VIEWER)
    items = ask(browser, "/api/v1/alerts")["items"]
    lost = next(row for row in items if row["kind"] == "worker-lost")
    assert lost["figure"] == lost["threshold"] == 1
    assert lost["since"]
    assert '<a href="/alerts"' in browser.get("/workers").text  # from the menu
    page = browser.get("/alerts?lang=fr").text
    assert "Des nœuds sont perdus" in page
    assert "/workers?state=lost" in page
    assert "clock_seconds" in page
    assert HOSTILE not in page
    assert "Des nœuds sont perdus" in browser.get("/?lang=fr").text
    assert browser.get("/alerts?format=csv").text.startswith("kind,sentence,since")
    for path in ("/alerts", "/api/v1/alerts"):
        assert grid.enter(Role.AUTHOR).get(path).status == 403


def watch(world: World, **bounds: float) -> Watch:
    return Watch(world.desk, Documents(world.desk), tuple, Thresholds(disk_free_share=0, **bounds))


def kinds(found: tuple[Alert, ...]) -> set[AlertKind]:
    return {one.kind for one in found}


def test_figures_are_those_of_the_database(lonely: World) -> None:
    async def play() -> str:
        await lonely.authorised(campaigns=1, rho_budget="0.1")
        workers = [await lonely.worker(f"operator-{n}", capsules=14) for n in range(2)]
        for worker in workers:
            await worker.exchange()
        campaign = await lonely.start()
        await lonely.turn()
        lonely.clock.advance(1200)
        await workers[0].exchange(sent_at=lonely.clock.now() - timedelta(minutes=9))
        return campaign

    campaign = asyncio.run(play())
    found = watch(lonely).alerts()
    assert kinds(found) == {
        AlertKind.WORKER_LOST,
        AlertKind.UNIT_WAITS,
        AlertKind.BUDGET_SPENT,
        AlertKind.CLOCK_WRONG,
    }
    by_kind = {one.kind: one for one in found}
    assert by_kind[AlertKind.WORKER_LOST].since == START + timedelta(seconds=90)
    assert by_kind[AlertKind.BUDGET_SPENT].figure == 1
    assert by_kind[AlertKind.CLOCK_WRONG].figure == 540

    def wait(tx: Any) -> None:
        row = tx.session.get(CampaignRow, campaign)
        row.reason, row.waits_since = Reason.WAITING_FOR_HELPER.value, tx.now
        row.why = sentence(Reason.WAITING_FOR_HELPER, since="now", what="nobody answers")

    asyncio.run(lonely.desk.run("wait", wait))
    lonely.clock.advance(601)
    (helper,) = (one for one in watch(lonely).alerts() if one.kind is AlertKind.HELPER_SILENT)
    assert helper.which == campaign
    assert helper.since == lonely.clock.now() - timedelta(seconds=1)


def test_attempts_of_the_last_hour_are_judged(lonely: World) -> None:
    async def play() -> None:
        await lonely.authorised()
        workers = [await lonely.worker(f"operator-{n}", capsules=14) for n in range(2)]
        for worker in workers:
            await worker.exchange()
        await lonely.start()
        await lonely.turn()
        for worker in workers:
            await worker.exchange()
            await worker.exchange([worker.refusal(worker.held[0])])
        lonely.clock.advance(60)
        await efforts.sample(lonely.desk)

    asyncio.run(play())
    looked = watch(lonely, failed_least=1)
    assert AlertKind.ATTEMPTS_FAIL in kinds(looked.alerts())
    lonely.clock.advance(3601)
    assert AlertKind.ATTEMPTS_FAIL not in kinds(looked.alerts())


def test_alerts_are_gathered_again_after_a_while(lonely: World) -> None:
    looked = watch(lonely)
    asyncio.run(lonely.worker("operator-0", capsules=3))
    assert looked.alerts() == ()
    lonely.clock.advance(91 - FRESH.total_seconds())
    looked.alerts()
    lonely.clock.advance(FRESH.total_seconds() - 1)
    assert looked.alerts() == ()
    lonely.clock.advance(1)
    assert kinds(looked.alerts()) == {AlertKind.WORKER_LOST}


def test_a_silent_witness_calls_after_its_time(grid: Grid) -> None:
    now = grid.world.clock.now()
    absent = [Waiting("witness.example/one", now - HOUR, "asleep")]
    desk = grid.world.desk
    found = Watch(desk, Documents(desk), lambda: absent, Thresholds()).alerts()
    (alert,) = (one for one in found if one.kind is AlertKind.WITNESS_SILENT)
    assert alert.which == "witness.example/one"
    assert alert.why == "asleep"


def test_figures_look_at_what_moves_alone(grid: Grid) -> None:
    desk = grid.world.desk
    found = plans(grid, Watch(desk, Documents(desk), tuple, Thresholds()).figures)
    for name in ("unit_moving", "log_to_do", "(authorisation=?)"):
        assert any(name in line for line in found), (name, found)
    for table in ("unit", "campaign", "attempt", "log_entry", "round", "sample"):
        assert f"SCAN {table}" not in found, found


def test_the_file_sets_thresholds() -> None:
    found = parse({"alerts": {"ready_minutes": 5, "budget_share": 0.5}}).alerts
    assert found == Thresholds(ready_minutes=5, budget_share=0.5)
    assert parse({}) == Judging()


@pytest.mark.parametrize(
    "plain",
    [
        {"ready": 5},
        {"ready_minutes": 0},
        {"ready_minutes": "5"},
        {"ready_minutes": 10**9},
        {"budget_share": 1.5},
        {"disk_free_share": True},
        {"clock_seconds": float("nan")},
    ],
)
def test_what_a_threshold_may_not_be(plain: Mapping[str, Any]) -> None:
    with pytest.raises(PagesRefused, match="alerts"):
        parse({"alerts": plain})


def test_the_sample_file_says_the_defaults() -> None:
    path = Path(__file__).parents[2] / "deploy" / "judging.toml"
    found = load(path)
    assert found == Judging()
    written = path.read_text("utf-8")
    assert all(f"\n{one.name} = " in written for one in fields(Thresholds))
    # What is commented out is a file that holds too.
    energy = "\n".join(
        line.removeprefix("# ")
        for line in written.partition("# [energy]")[2].partition("\n\n")[0].splitlines()
    )
    assert parse(tomllib.loads("[energy]\n" + energy)).energy.source.startswith("measured")
    sites, places = (
        written.partition(f"# [{name}]")[2].partition("\n\n")[0].replace("\n# ", "\n")
        for name in ("sites", "places")
    )
    assert parse(tomllib.loads("[sites]" + sites)).sites == {"city-hall": (1, 0), "depot": (0, 1)}
    assert len(parse(tomllib.loads("[places]" + places)).places) == 2


def test_a_wrong_file_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    path = tmp_path / "judging.toml"
    path.write_text("[alerts]\nready = 5\n")
    with pytest.raises(PagesRefused, match=r"alerts\.ready"):
        asyncio.run(serve(State(tmp_path / "state"), judging=path))
    assert not (tmp_path / "state").exists()


def test_a_disk_that_cannot_be_looked_at_silences_nothing_else(
    lonely: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("shutil.disk_usage", broken)
    figures = watch(lonely).figures()
    assert figures.disk_free is None
    assert figures.lost == 0
