"""Energy: an estimate that says so, and says of what it has no figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler.errors import PagesRefused
from scheduler.judging import Judging, load, parse
from scheduler.store.tables import EffortRow
from scheduler.views import energy
from scheduler.views.energy import Factors
from scheduler.views.slices import Slice
from tests.web.signin_browser import Browser
from tests.web_scheduler.territory import Grid
from tests.web_scheduler.test_pages_long_lists import plans
from web.signin.roles import Role


def ask(browser: Browser, path: str) -> Any:
    return browser.get(path, headers={"accept": "application/json"}).json


def test_an_estimate_is_time_times_power_times_factor() -> None:
    found = energy.spent(Factors(watts=20, grams_per_kwh=50), 3, 2, 1_800_000)
    assert found.busy == timedelta(minutes=30)
    assert found.watt_hours == pytest.approx(10)
    assert found.grams == pytest.approx(0.5)
    assert found.untold == 1
    nothing = energy.spent(Factors(), 4, 0, 0)
    assert nothing.watt_hours is None
    assert nothing.grams is None
    assert nothing.untold == 4


def test_campaigns_by_day(grid: Grid) -> None:
    rows = {row["campaign"]: row for row in ask(grid.enter(Role.VIEWER), "/api/v1/energy")["items"]}
    # Three partials and a conclusion, in an instant each; then a refusal after 20 s, and an answer
    # after 35 s, of which the third attempt, still open, is no part.
    assert rows[grid.released]["answered"] == 4
    assert rows[grid.moving]["answered"] == 2
    assert rows[grid.moving]["watt_hours"] == pytest.approx(55 * 10 / 3600, abs=1e-4)
    assert rows[grid.moving]["day"] == "2026-11-22"
    days = ask(grid.enter(Role.VIEWER), "/api/v1/energy/days")
    assert days["together"]["attempts"] == 6
    assert days["factors"] == asdict(Factors())
    one = ask(grid.enter(Role.VIEWER), f"/api/v1/energy?campaign={grid.moving}")["items"]
    assert [row["campaign"] for row in one] == [grid.moving]


def test_no_figure_is_no_nought(grid: Grid) -> None:
    desk = grid.world.desk

    def lose(tx: Any, *, back: bool) -> None:
        row = tx.session.get(EffortRow, (grid.moving, 20779))
        if back:
            row.attempts, row.answered, row.busy = 2, 2, 55_000
        else:
            row.attempts, row.answered, row.busy = 2, 0, 0

    desk.store.run("lose", lambda tx: lose(tx, back=False))
    try:
        browser = grid.enter(Role.VIEWER)
        (row,) = ask(browser, f"/api/v1/energy?campaign={grid.moving}")["items"]
        assert row["watt_hours"] is None
        assert row["grams"] is None
        assert row["untold"] == 2
        line = browser.get(f"/energy?campaign={grid.moving}&format=csv").text.splitlines()[1]
        assert ",,," in line
    finally:
        desk.store.run("back", lambda tx: lose(tx, back=True))


def test_the_page_says_that_it_estimates_and_with_what(grid: Grid) -> None:
    page = grid.enter(Role.OPERATOR).get("/energy?lang=en").text
    assert "These figures are estimates" in page
    assert "built in: a guess of 10 W" in page
    assert "52\u00a0gCO2e/kWh" in page or "52&#160;gCO2e/kWh" in page
    assert "<svg" in page
    assert grid.enter(Role.AUTHOR).get("/energy").status == 403
    assert grid.enter(Role.OPERATOR).get("/energy?campaign=camp_zzzzzzzzzz").status == 404


def test_rows_are_entered_by_their_order(grid: Grid) -> None:
    desk = grid.world.desk
    found = plans(
        grid,
        lambda: energy.lines(desk, Factors(), Slice(51, (20779, grid.moving), reverse=True)),
    )
    found += plans(grid, lambda: energy.days(desk, Factors()))
    assert any("effort_by_day" in line for line in found), found
    for line in found:
        assert line not in {"SCAN effort", "SCAN attempt", "SCAN unit", "SCAN campaign"}, found


def test_the_operator_sets_the_factors_and_says_whose_they_are(tmp_path: Path) -> None:
    path = tmp_path / "judging.toml"
    path.write_text('[energy]\nwatts = 35\ngrams_per_kwh = 21.3\nsource = "our supplier, 2025"\n')
    assert load(path).energy == Factors(35.0, 21.3, "our supplier, 2025")
    path.write_text("")
    assert load(path) == Judging()


@pytest.mark.parametrize(
    "plain",
    [
        {"energie": {}},
        {"energy": 3},
        {"energy": {"watt": 3, "source": "x"}},
        {"energy": {"watts": 3}},  # whose is it?
        {"energy": {"watts": 0, "source": "x"}},
        {"energy": {"watts": True, "source": "x"}},
        {"energy": {"watts": "10", "source": "x"}},
        {"energy": {"watts": float("nan"), "source": "x"}},
        {"energy": {"watts": float("inf"), "source": "x"}},
        {"energy": {"grams_per_kwh": -1, "source": "x"}},
        {"energy": {"source": "two\nlines"}},
        {"energy": {"source": "x" * 301}},
    ],
)
def test_what_the_file_may_not_say(plain: Mapping[str, Any]) -> None:
    with pytest.raises(PagesRefused) as refused:
        parse(plain)
    assert "energ" in refused.value.sentence


@pytest.mark.parametrize("raw", [b"\xff", b"[energy", b"#" * 70_000])
def test_a_file_that_cannot_be_read(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "judging.toml"
    path.write_bytes(raw)
    with pytest.raises(PagesRefused):
        load(path)
    with pytest.raises(PagesRefused):
        load(tmp_path / "nothing.toml")
