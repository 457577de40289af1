"""The pages in a real browser: from a late unit to its proof, in both languages, on a phone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.receipt import check
from tests.web.browser import LANGUAGES, PHONE, SCHEMES, Watch, axe, fits, walk
from tests.web_scheduler.served import serve
from tests.web_scheduler.territory import Grid, grid_in
from trust.log.entry import Kind
from web.signin.roles import Role

PATHS = ["/", "/campaigns", "/campaigns/{c}", "/campaigns/{c}/units", "/units", "/units/{u}",
         "/units?late=yes&dir=asc", "/workers",
         "/log", "/log/2"]  # fmt: skip
# `SCREENS=docs/screens pytest …` draws the screens of docs/ anew.
SCREENS = os.environ.get("SCREENS", "")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    grid = grid_in(tmp_path_factory.mktemp("grid"), "domicile-travail", "mairie")
    grid.world.deposit()
    server = serve(grid)
    yield grid
    server.stop()
    grid.close()


def enter(browse: Watch, grid: Grid, path: str = "/", **look: Any) -> Any:
    """Signed in as an auditor, at `path`."""
    page = browse.open(f"{grid.origin}/sign-in?next={path}", **look)
    page.fill("#token", grid.key(Role.AUDITOR))
    page.click("main button[type=submit]")
    page.wait_for_url(f"{grid.origin}{path}")
    return page


def draw(page: Any, name: str) -> None:
    if SCREENS:
        page.screenshot(path=str(Path(SCREENS) / f"{name}.png"), full_page=True)


def places(grid: Grid) -> list[str]:
    return [path.format(c=grid.moving, u=grid.late_unit) for path in PATHS]


def test_from_a_late_unit_to_a_proof_that_holds_offline(
    browse: Watch, served: Grid, tmp_path: Path
) -> None:
    page = enter(browse, served)
    page.wait_for_selector('[data-live][data-state="live"]')
    draw(page, "health")
    clicks = 0
    page.click(f'a[href="/units/{served.late_unit}"]')
    clicks += 1
    assert "tentative a fini sans rapport" not in page.inner_text("h1")
    draw(page, "unit")
    page.click("main a.button")
    clicks += 1
    assert "plan d" in page.inner_text("h1")
    draw(page, "entry")
    files = []
    for name in ("tlog-proof", "json"):
        with page.expect_download() as waiting:
            page.click(f'a[download$="{name}"]')
        clicks += 1
        target = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(target)
        files.append(target.read_bytes())
    assert clicks <= 8
    page.goto(f"{served.origin}/campaigns/{served.moving}")
    page.wait_for_selector('[data-live][data-state="live"]')
    draw(page, "campaign")
    page.click('main a[href$="/rounds"]')
    assert axe(page) == []
    draw(page, "rounds")
    page.go_back()
    page.click('main a[href$="/units"]')
    draw(page, "units")
    page.goto(f"{served.origin}/units")
    draw(page, "units-of-all")
    page.goto(f"{served.origin}/campaigns")
    draw(page, "campaigns")
    receipt = check(files[0], files[1], served.world.root_envelope)
    assert receipt.kind is Kind.PLAN
    assert receipt.territory == "plaine.example"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(browse: Watch, served: Grid, scheme: str, language: str) -> None:
    page = enter(browse, served, scheme=scheme, language=language)
    for path in places(served):
        page.goto(served.origin + path)
        assert page.get_attribute("html", "lang") == language
        for summary in page.query_selector_all("main details > summary"):
            summary.click()
        assert axe(page) == [], path


def test_a_phone_shows_it_all(browse: Watch, served: Grid) -> None:
    page = enter(browse, served, width=PHONE)
    for path in places(served):
        page.goto(served.origin + path)
        assert fits(page), path


def test_every_stop_of_the_keyboard_shows_and_has_a_name(browse: Watch, served: Grid) -> None:
    page = enter(browse, served)
    for path in ("/", f"/units/{served.late_unit}", "/log/2"):
        page.goto(served.origin + path)
        for stop in walk(page):
            assert stop["shown"], (path, stop)
            assert stop["outlined"], (path, stop)
            assert stop["name"] or stop["tag"] in {"input", "select", "textarea"}, (path, stop)


def test_it_works_without_scripts(browse: Watch, served: Grid) -> None:
    page = enter(browse, served, scripts=False)
    page.click(f'a[href="/units/{served.late_unit}"]')
    page.click("main a.button")
    assert page.query_selector("a[download]")
