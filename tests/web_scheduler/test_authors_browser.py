"""The authors' pages in a real browser: from a bundle to its release's files, in both languages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import LANGUAGES, PHONE, SCHEMES, Watch, axe, fits, walk
from tests.web_scheduler.authorship import ADA, Authors, authors_in
from tests.web_scheduler.served import serve

# `SCREENS=docs/screens pytest …` draws the screens of docs/ anew.
SCREENS = os.environ.get("SCREENS", "")
PAGES = ["/mine", "/mine/{done}", "/mine/{hungry}", "/mine/{suspended}", "/mine/{unvoted}", "/runs",
         "/runs/{trained}", "/releases/{released}", "/releases/{trained}",
         "/releases/{pictured}"]  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authors]:
    authors = authors_in(tmp_path_factory.mktemp("authors"))
    grid = authors.grid
    grid.world.deposit()
    server = serve(grid)
    yield authors
    server.stop()
    grid.close()


def enter(browse: Watch, authors: Authors, path: str, **look: Any) -> Any:
    """Signed in as Ada, the author, at `path`."""
    credentials = authors.grid.entrance.credentials
    key = credentials.key(credentials.redeem(authors.credential(ADA)).person, "poste")
    page = browse.open(f"{authors.grid.origin}/sign-in?next={path}", **look)
    page.fill("#token", key)
    page.click("main button[type=submit]")
    page.wait_for_url(f"{authors.grid.origin}{path}")
    return page


def places(authors: Authors) -> list[str]:
    named = {
        "released": authors.released,
        "trained": authors.trained,
        **authors.bundles,
        "pictured": authors.pictured,
    }
    return [path.format(**named) for path in PAGES]


def draw(page: Any, name: str) -> None:
    if SCREENS:
        page.screenshot(path=str(Path(SCREENS) / f"{name}.png"), full_page=True)


def test_from_a_bundle_to_its_releases_files(
    browse: Watch, served: Authors, tmp_path: Path
) -> None:
    page = enter(browse, served, "/mine")
    draw(page, "authors-bundles")
    page.goto(f"{served.grid.origin}/runs")
    draw(page, "authors-runs")
    page.goto(f"{served.grid.origin}/mine")
    page.click(f'main a[href="/mine/{served.bundles["hungry"]}"] >> nth=0')
    assert "attend des consentements" in page.inner_text("main")
    draw(page, "authors-dossier")
    page.goto(f"{served.grid.origin}/mine/{served.bundles['model']}")
    page.click(f'main a[href="/runs/{served.trained}"]')
    draw(page, "authors-run")
    page.click('main a[href$="/rounds"]')
    assert axe(page) == []
    draw(page, "authors-rounds")
    page.go_back()
    page.click("main a.button")
    assert page.query_selector("#plot-counts-title")
    page.goto(f"{served.grid.origin}/releases/{served.pictured}")
    draw(page, "authors-pictures")
    page.go_back()
    draw(page, "authors-release")
    with page.expect_download() as waiting:
        page.click('a[download$=".json"] >> nth=0')
    target = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(target)
    source = json.loads(target.read_bytes())["provenance"]
    assert (source["campaign"], source["bundle"]) == (served.trained, served.bundles["model"])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(browse: Watch, served: Authors, scheme: str, language: str) -> None:
    page = enter(browse, served, "/mine", scheme=scheme, language=language)
    for path in places(served):
        page.goto(served.grid.origin + path)
        assert page.get_attribute("html", "lang") == language
        for summary in page.query_selector_all("main details > summary"):
            summary.click()
        assert axe(page) == [], path


def test_a_phone_shows_it_all(browse: Watch, served: Authors) -> None:
    page = enter(browse, served, "/mine", width=PHONE)
    for path in places(served):
        page.goto(served.grid.origin + path)
        assert fits(page), path


def test_every_stop_of_the_keyboard_shows_and_has_a_name(browse: Watch, served: Authors) -> None:
    page = enter(browse, served, "/mine")
    for path in ("/mine", f"/mine/{served.bundles['done']}", f"/releases/{served.trained}"):
        page.goto(served.grid.origin + path)
        for stop in walk(page):
            assert stop["shown"], (path, stop)
            assert stop["outlined"], (path, stop)
            assert stop["name"] or stop["tag"] in {"input", "select", "textarea"}, (path, stop)


def test_it_works_without_scripts(browse: Watch, served: Authors) -> None:
    page = enter(browse, served, "/mine", scripts=False)
    page.click(f'main a[href="/mine/{served.bundles["model"]}"] >> nth=0')
    page.click(f'main a[href="/releases/{served.trained}"]')
    assert page.query_selector("#curve-loss-title")
    assert len(page.query_selector_all("a[download]")) == 6
