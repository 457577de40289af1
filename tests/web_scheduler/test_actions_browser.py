"""The actions in a real browser: a worker is excluded and a campaign cancelled, on any screen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from scheduler.store.tables import UnitRow
from tests.web.browser import LANGUAGES, PHONE, SCHEMES, Watch, axe, fits, walk
from tests.web_scheduler.served import serve
from tests.web_scheduler.territory import Grid, grid_in
from tests.web_scheduler.test_pages_browser import draw
from web.signin.roles import Role


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    grid = grid_in(tmp_path_factory.mktemp("grid"), "domicile-travail", "mairie")
    server = serve(grid)
    yield grid
    server.stop()
    grid.close()


def enter(browse: Watch, grid: Grid, path: str, **look: Any) -> Any:
    """Signed in as an operator, at `path`."""
    page = browse.open(f"{grid.origin}/sign-in?next={path}", **look)
    page.fill("#token", grid.key(Role.OPERATOR))
    page.click("main button[type=submit]")
    page.wait_for_url(f"{grid.origin}{path}")
    return page


def turn(grid: Grid) -> None:
    with ThreadPoolExecutor(1) as apart:  # the browser's test has an event loop that runs already
        apart.submit(lambda: asyncio.run(grid.world.turn())).result()


def confirm(page: Any, why: str) -> None:
    """The form on the page, filled in as its reader is asked to."""
    page.fill("#reason", why)
    page.fill("#word", page.inner_text("form.confirm kbd"))
    page.click("form.confirm button[type=submit]")
    page.wait_for_url("**/actions/deed_*")


def test_what_the_forms_look_like_anywhere(browse: Watch, served: Grid) -> None:
    """Before anything is done: axe in both languages and schemes, a phone, the keyboard."""
    worker = _worker(served)
    forms = [
        f"/actions/cancel-campaign/{served.moving}",
        f"/actions/exclude-worker/{worker}",
        f"/actions/retry-unit/{served.late_unit}",
        f"/actions/start-campaign/{served.world.bundle.digest}",
        "/actions/start-campaign",
        f"/workers/{worker}",
        f"/campaigns/{served.moving}",
    ]
    for scheme in SCHEMES:
        for language in LANGUAGES:
            page = enter(browse, served, "/actions", scheme=scheme, language=language)
            for path in ["/actions", *forms]:
                page.goto(served.origin + path)
                assert axe(page) == [], (path, scheme, language)
    page = enter(browse, served, "/actions", width=PHONE)
    for path in ["/actions", *forms]:
        page.goto(served.origin + path)
        assert fits(page), path
    page.goto(served.origin + forms[0])
    for stop in walk(page):
        assert stop["shown"], stop
        assert stop["outlined"], stop
        assert stop["name"] or stop["tag"] in {"input", "select", "textarea"}, stop


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
    page = enter(browse, served, "/actions")
    for where, form, told in steps:
        page.goto(served.origin + where)
        page.click(f'main a[href="{form}"]')
        if "start" in form:
            page.fill("#set-zones", "3")
        confirm(page, "un essai")
        turn(served)
        page.reload()
        page.click('main a.button[href^="/log/"]')
        assert told in page.inner_text("main .lead"), form
        assert axe(page) == []


def test_a_worker_is_excluded_without_scripts(browse: Watch, served: Grid) -> None:
    page = enter(browse, served, "/workers", scripts=False)
    page.click(f'a[href="/workers/{_worker(served)}"]')
    page.click('a.button[href^="/actions/exclude-worker/"]')
    confirm(page, "le poste a été volé")
    turn(served)
    page.click('a.button[href^="/actions/deed_"]')
    page.click('a.button[href^="/log/"]')
    assert "a exclu" in page.inner_text("main .lead")
    assert "volé" not in page.inner_text("main")


def test_a_campaign_is_cancelled_and_its_entry_appears_by_itself(
    browse: Watch, served: Grid
) -> None:
    browse.expect("422")  # the wrong word, below
    page = enter(browse, served, f"/campaigns/{served.moving}")
    page.click('a.button[href^="/actions/cancel-campaign/"]')
    page.fill("#reason", "les paramètres étaient ceux de l'an dernier")
    page.fill("#word", page.inner_text("form.confirm kbd"))
    draw(page, "action-form")
    page.fill("#word", "autre")
    page.click("form.confirm button[type=submit]")
    assert "tapez" in page.inner_text("main").lower()
    page.go_back()
    confirm(page, "les paramètres étaient ceux de l'an dernier")
    assert axe(page) == []
    page.wait_for_selector('[data-live][data-state="live"]')
    turn(served)
    page.wait_for_selector('main a.button[href^="/log/"]')
    assert axe(page) == []
    draw(page, "action")
    page.click('main a.button[href^="/log/"]')
    assert "a annulé" in page.inner_text("main .lead")
    assert axe(page) == []
    page.goto(f"{served.origin}/actions")
    assert axe(page) == []
    draw(page, "actions")
    page.goto(f"{served.origin}/campaigns/{served.moving}")
    assert "annulée" in page.inner_text("main")


def _worker(grid: Grid) -> str:
    from sqlmodel import select

    from scheduler.store.tables import WorkerRow

    def find(tx: Any) -> list[str]:
        return sorted(tx.session.exec(select(WorkerRow.name)))

    return grid.world.desk.store.read("w", find)[0]
