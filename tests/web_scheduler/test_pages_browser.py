"""What people do on the pages, in a real browser: from a late unit to its proof, then the actions.

A campaign is cancelled in test_every_page_browser, with the keyboard alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from audit.receipt import check
from scheduler.store.tables import UnitRow, WorkerRow
from tests.web.browser import Watch
from tests.web_scheduler.served import serve
from tests.web_scheduler.territory import Grid, grid_in
from tests.web_scheduler.town import apart
from trust.log.entry import Kind
from web.signin.roles import Role


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    grid = grid_in(tmp_path_factory.mktemp("grid"), "domicile-travail", "mairie")
    grid.world.deposit()
    server = serve(grid)
    yield grid
    server.stop()
    grid.close()


def enter(
    browse: Watch, grid: Grid, path: str = "/", role: Role = Role.AUDITOR, **look: Any
) -> Any:
    """Signed in, at `path`."""
    page = browse.open(f"{grid.origin}/sign-in?next={path}", **look)
    page.fill("#token", grid.key(role))
    page.click("main button[type=submit]")
    page.wait_for_url(f"{grid.origin}{path}")
    return page


def test_from_a_late_unit_to_a_proof_that_holds_offline(
    browse: Watch, served: Grid, tmp_path: Path
) -> None:
    page = enter(browse, served)
    page.wait_for_selector('[data-live][data-state="live"]')
    clicks = 0
    page.click(f'a[href="/units/{served.late_unit}"]')
    clicks += 1
    assert "tentative a fini sans rapport" not in page.inner_text("h1")
    page.click("main a.button")
    clicks += 1
    assert "plan d" in page.inner_text("h1")
    files = []
    for name in ("tlog-proof", "json"):
        with page.expect_download() as waiting:
            page.click(f'a[download$="{name}"]')
        clicks += 1
        target = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(target)
        files.append(target.read_bytes())
    assert clicks <= 8
    receipt = check(files[0], files[1], served.world.root_envelope)
    assert receipt.kind is Kind.PLAN
    assert receipt.territory == "plaine.example"


def test_it_works_without_scripts(browse: Watch, served: Grid) -> None:
    page = enter(browse, served, scripts=False)
    page.click(f'a[href="/units/{served.late_unit}"]')
    page.click("main a.button")
    assert page.query_selector("a[download]")


def confirm(page: Any, why: str) -> None:
    """The form on the page, filled in as its reader is asked to."""
    page.fill("#reason", why)
    page.fill("#word", page.inner_text("form.confirm kbd"))
    page.click("form.confirm button[type=submit]")
    page.wait_for_url("**/actions/deed_*")


def test_the_other_actions_from_their_buttons_to_their_entries(browse: Watch, served: Grid) -> None:
    """Drain, let work again, try again, start: each by its button, its word and its reason."""

    def back_off(tx: Any) -> None:
        row = tx.session.get(UnitRow, served.late_unit)
        row.state, row.not_before = "waiting", tx.now + timedelta(minutes=2)

    served.world.desk.store.run("back-off", back_off)
    worker, bundle = _worker(served), served.world.bundle.digest
    steps = [
        (f"/workers/{worker}", f"/actions/drain-worker/{worker}", "ne confie plus"),
        (f"/workers/{worker}", f"/actions/resume-worker/{worker}", "de nouveau"),
        (f"/units/{served.late_unit}", f"/actions/retry-unit/{served.late_unit}", "fait reprendre"),
        ("/actions/start-campaign", f"/actions/start-campaign/{bundle}", "a lancé"),
    ]
    page = enter(browse, served, "/actions", Role.OPERATOR)
    for where, form, told in steps:
        page.goto(served.origin + where)
        page.click(f'main a[href="{form}"]')
        if "start" in form:
            page.fill("#set-zones", "3")
        confirm(page, "un essai")
        apart(lambda: asyncio.run(served.world.turn()))
        page.reload()
        page.click('main a.button[href^="/log/"]')
        assert told in page.inner_text("main .lead"), form


def test_a_worker_is_excluded_without_scripts(browse: Watch, served: Grid) -> None:
    page = enter(browse, served, "/workers", Role.OPERATOR, scripts=False)
    page.click(f'a[href="/workers/{_worker(served)}"]')
    page.click('a.button[href^="/actions/exclude-worker/"]')
    confirm(page, "le poste a été volé")
    apart(lambda: asyncio.run(served.world.turn()))
    page.click('a.button[href^="/actions/deed_"]')
    page.click('a.button[href^="/log/"]')
    assert "a exclu" in page.inner_text("main .lead")
    assert "volé" not in page.inner_text("main")


def _worker(grid: Grid) -> str:
    def find(tx: Any) -> list[str]:
        return sorted(tx.session.exec(select(WorkerRow.name)))

    return grid.world.desk.store.read("w", find)[0]
