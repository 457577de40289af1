"""What the grid has and spends, in a real browser: each page in both languages, schemes, widths."""

from __future__ import annotations

import pytest

from scheduler.views import machines
from tests.web.browser import LANGUAGES, PHONE, SCHEMES, Watch, axe, fits, walk
from tests.web_scheduler.territory import Grid
from tests.web_scheduler.test_pages_browser import draw, enter, served
from tests.web_scheduler.test_resources_queue import seed

__all__ = ["served"]
# The name is the picture's in docs/screens; those without one are drawn by nobody.
PAGES = {
    "bundles": "/bundles",
    "bundle": "/bundles/{b}",
    "budgets": "/budgets",
    "costs": "/budgets/campaigns",
    "energy": "/energy",
    "alerts": "/alerts",
    "queue": "/queue",
    "workers": "/workers",
    "worker": "/workers/{w}",
    "sites": "/sites",
    "timeline": "/campaigns/{c}/timeline?round=1",
}


def place(grid: Grid, path: str) -> str:
    worker = next(one.worker for one in machines.machines(grid.world.desk) if one.leases)
    return path.format(b=grid.world.bundle.digest[7:], c=grid.moving, w=worker)


@pytest.fixture(autouse=True)
def _sampled(served: Grid) -> None:
    seed(served.world, 60)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_readable_by_everybody(browse: Watch, served: Grid, name: str) -> None:
    path = place(served, PAGES[name])
    page = enter(browse, served, path)
    for _ in page.query_selector_all("[data-live]"):
        page.wait_for_selector('[data-live][data-state="live"]')
    for _ in page.query_selector_all("[data-series]"):
        page.wait_for_selector("[data-series][data-drawn] canvas")
    draw(page, name)
    for stop in walk(page):
        assert stop["shown"], stop
        assert stop["outlined"], stop
        assert stop["name"] or stop["tag"] in {"input", "select", "textarea"}, stop
    for language in LANGUAGES:
        page.goto(f"{served.origin}{path}{'&' if '?' in path else '?'}lang={language}")
        assert page.get_attribute("html", "lang") == language
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            for summary in page.query_selector_all("main details:not([open]) > summary"):
                summary.click()
            assert axe(page) == [], (language, scheme)
    page.set_viewport_size({"width": PHONE, "height": 740})
    page.goto(served.origin + path)
    assert fits(page)


@pytest.mark.parametrize("name", PAGES)
def test_it_stands_without_scripts(browse: Watch, served: Grid, name: str) -> None:
    page = enter(browse, served, place(served, PAGES[name]), scripts=False)
    assert page.query_selector("main h1")
    assert page.query_selector("main table, main dl, main .empty")
