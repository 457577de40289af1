"""The authors' pages in a real browser: from a bundle to the files of its release."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import Watch
from tests.web_scheduler.authorship import ADA, Authors, authors_in
from tests.web_scheduler.served import serve


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


def test_from_a_bundle_to_its_releases_files(
    browse: Watch, served: Authors, tmp_path: Path
) -> None:
    page = enter(browse, served, "/mine")
    page.click(f'main a[href="/mine/{served.bundles["hungry"]}"] >> nth=0')
    assert "attend des consentements" in page.inner_text("main")
    page.goto(f"{served.grid.origin}/mine/{served.bundles['model']}")
    page.click(f'main a[href="/runs/{served.trained}"]')
    page.click("main a.button")
    assert page.query_selector("#plot-counts-title")
    with page.expect_download() as waiting:
        page.click('a[download$=".json"] >> nth=0')
    target = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(target)
    source = json.loads(target.read_bytes())["provenance"]
    assert (source["campaign"], source["bundle"]) == (served.trained, served.bundles["model"])


def test_it_works_without_scripts(browse: Watch, served: Authors) -> None:
    page = enter(browse, served, "/mine", scripts=False)
    page.click(f'main a[href="/mine/{served.bundles["model"]}"] >> nth=0')
    page.click(f'main a[href="/releases/{served.trained}"]')
    assert page.query_selector("#curve-loss-title")
    assert len(page.query_selector_all("a[download]")) == 6
