"""Privacy budgets as the scheduler knows them, and what it says that it does not know."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import pytest
from sqlmodel import select

from protection import accounting
from scheduler.store.tables import AuthorisationRow, CampaignRow
from scheduler.views import budgets
from scheduler.views.slices import Slice
from scheduler.views.voted import Documents
from tests.scheduler.conftest import World
from tests.web.signin_browser import Browser
from tests.web_scheduler.territory import Grid
from tests.web_scheduler.test_pages_long_lists import plans
from tests.web_scheduler.test_resources_bundles import lonely
from trust.documents.budget import LEDGER_CAP, OWNER_CAP
from trust.ids import Digest
from web.signin.roles import Role

__all__ = ["lonely"]


def ask(browser: Browser, path: str) -> Any:
    return browser.get(path, headers={"accept": "application/json"}).json


def test_a_vote_counts_what_was_started_and_what_was_opened(grid: Grid) -> None:
    (row,) = ask(grid.enter(Role.VIEWER), "/api/v1/budgets")["items"]
    # Two campaigns at rho 0.1 of a budget of 1; the one round of the released one was opened.
    assert (row["voted"], row["campaign"]) == ("1", "0.1")
    assert (row["started"], row["opened"]) == ("0.2", "0.1")
    assert row["share"] == pytest.approx(0.2)
    assert row["left"] == 8
    assert row["epsilon_opened"] == round(accounting.epsilon(Fraction(1, 10)), 2)
    assert row["epsilon_voted"] > row["epsilon_opened"]


def test_the_territory_is_the_sum_of_the_votes_in_force(grid: Grid) -> None:
    found = ask(grid.enter(Role.AUDITOR), "/api/v1/budgets/territory")
    assert found["votes"] == 1
    assert not found["more"]
    assert (found["voted"], found["started"], found["opened"]) == ("1", "0.2", "0.1")
    assert Fraction(found["ledger_cap"]) == LEDGER_CAP
    assert Fraction(found["owner_cap"]) == OWNER_CAP


def test_campaigns_cost_what_their_opened_rounds_cost(grid: Grid) -> None:
    rows = {
        row["campaign"]: row
        for row in ask(grid.enter(Role.VIEWER), "/api/v1/budgets/campaigns")["items"]
    }
    assert rows[grid.released]["spent"] == "0.1"
    assert rows[grid.moving]["spent"] == "0"
    assert rows[grid.moving]["epsilon"] == 0
    assert rows[grid.released]["release"] is not None
    assert rows[grid.moving]["release"] is None


def test_some_of_several_rounds_cost_their_part(grid: Grid) -> None:
    desk = grid.world.desk

    def more(tx: Any, *, back: bool) -> None:
        campaign = tx.session.get(CampaignRow, grid.released)
        campaign.rounds, campaign.rho = (1, "0.1") if back else (3, "0.3")

    desk.store.run("more", lambda tx: more(tx, back=False))
    try:
        (vote,) = budgets.budgets(desk, Documents(desk), Slice(10))
        assert (vote.started, vote.opened) == ("0.4", "0.1")  # 0.3 and 0.1; a third of 0.3
    finally:
        desk.store.run("back", lambda tx: more(tx, back=True))


def test_the_page_says_what_it_does_not_know(grid: Grid) -> None:
    browser = grid.enter(Role.OPERATOR)
    english = browser.get("/budgets?lang=en").text
    assert "What a single owner has spent is not known here" in english
    assert "cap_" not in english
    assert "20%" in english
    assert "Ce qu\u2019un propriétaire a dépensé" in browser.get("/budgets?lang=fr").text
    files = browser.get("/budgets?format=csv").text
    assert files.startswith("title,state,")
    # A page writes numbers its own way and leaves out what few ask for; files have all of it.
    page = browser.get("/budgets/campaigns?lang=fr").text
    assert '<td class="number">0,1</td>' in page
    assert f'data-copy="{grid.released}"' in page
    assert ",0.1," in browser.get("/budgets/campaigns?format=csv&lang=fr").text
    assert "epsilon_voted" in files
    assert "Voté (epsilon)" not in browser.get("/budgets?lang=fr").text
    for path in ("/budgets", "/budgets/campaigns", "/api/v1/budgets/territory"):
        assert grid.enter(Role.AUTHOR).get(path).status == 403


def test_a_vote_that_cannot_be_read_has_no_budget_instead_of_nought(lonely: World) -> None:
    asyncio.run(lonely.authorised())
    asyncio.run(lonely.start())
    desk = lonely.desk
    digest = desk.store.read("vote", lambda tx: tx.session.exec(select(AuthorisationRow)).one())
    desk.blobs.remove(Digest(digest.digest))
    (vote,) = budgets.budgets(desk, Documents(desk), Slice(10))
    assert vote.share is None
    assert vote.epsilon_voted is None
    assert vote.voted == ""
    assert vote.started == "0.1"


def test_no_campaign_is_looked_at_but_those_of_the_votes_shown(grid: Grid) -> None:
    desk = grid.world.desk
    documents = Documents(desk)
    found = plans(grid, lambda: budgets.budgets(desk, documents, Slice(51)))
    assert any("SEARCH campaign" in line and "(authorisation=?)" in line for line in found), found
    costs = plans(grid, lambda: budgets.costs(desk, Slice(51)))
    assert any("campaign_by_age" in line for line in costs), costs
    for line in found + costs:
        assert line not in {"SCAN campaign", "SCAN round", "SCAN log_entry"}, line
