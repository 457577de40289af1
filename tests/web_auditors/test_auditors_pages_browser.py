"""The public pages in a real browser: for everybody, on a phone, by keyboard, without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scheduler.store.tables import BundleRow
from tests.web.browser import LANGUAGES, PHONE, SCHEMES, Watch, axe, fits, walk
from tests.web_auditors.served import serving
from tests.web_scheduler.territory import Grid
from tests.web_scheduler.test_pages_browser import draw

PATHS = {
    "log": "/log",
    "log-search": "/log/search?q={twice}",
    "log-entry": "/log/{plan}",
    "log-author": "/log/authors/{author}",
    "log-checkpoints": "/log/checkpoints",
    "log-checkpoint": "/log/checkpoints/{old}",
    "log-consistency": "/log/consistency?old={old}&new={new}",
    "log-verify": "/log/verify",
    "log-evidence": "/log/campaigns/{released}/evidence",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    with serving(tmp_path_factory.mktemp("grid")) as grid:
        grid.world.desk.store.run("alike", lambda tx: alike(tx, grid))
        yield grid


def alike(tx: Any, grid: Grid) -> None:
    """Two further versions of the bundle, whose digests begin alike."""
    row = tx.session.get(BundleRow, str(grid.world.bundle.digest))
    for number in (1, 2):
        digest = f"sha256:c0ffee00{number:056x}"
        other = {**row.model_dump(), "digest": digest, "version": f"1.{number}.0"}
        tx.session.add(BundleRow(**other))


def places(page: Any, grid: Grid) -> dict[str, str]:
    """Each page by the name of its picture."""
    ask = page.context.request
    base = f"{grid.origin}/api/v1"
    rows = ask.get(f"{base}/log-checkpoints").json()["items"]
    plans = ask.get(f"{base}/log?campaign={grid.moving}&kind=plan").json()["items"]
    found = {
        "twice": "c0ffee00",
        "plan": plans[0]["index"],
        "released": grid.released,
        "author": grid.world.author.public,
        "old": rows[-1]["size"],
        "new": rows[0]["size"],
    }
    return {name: grid.origin + path.format(**found) for name, path in PATHS.items()}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(browse: Watch, served: Grid, scheme: str, language: str) -> None:
    page = browse.open(f"{served.origin}/log", scheme=scheme, language=language)
    for name, place in places(page, served).items():
        page.goto(place)
        assert page.get_attribute("html", "lang") == language
        if (scheme, language) == ("light", "fr"):
            draw(page, name)
        for summary in page.query_selector_all("main details > summary"):
            summary.click()
        assert axe(page) == [], name


def test_a_phone_shows_it_all(browse: Watch, served: Grid) -> None:
    page = browse.open(f"{served.origin}/log", width=PHONE)
    for name, place in places(page, served).items():
        page.goto(place)
        assert fits(page), name


def test_every_stop_of_the_keyboard_shows_and_has_a_name(browse: Watch, served: Grid) -> None:
    page = browse.open(f"{served.origin}/log")
    for name, place in places(page, served).items():
        page.goto(place)
        for stop in walk(page):
            assert stop["shown"], (name, stop)
            assert stop["outlined"], (name, stop)
            fields = {"input", "select", "textarea"}
            assert stop["name"] or stop["tag"] in fields, (name, stop)


def test_an_auditor_finds_an_entry_and_proves_the_growth_without_scripts(
    browse: Watch, served: Grid
) -> None:
    page = browse.open(f"{served.origin}/log", language="en", scripts=False)
    page.fill("#log-search", served.moving[:15])
    page.click("form[action='/log/search'] button")
    assert f"campaign={served.moving}" in page.url
    page.click("tbody tr:last-child th a")
    assert "Under which vote" in page.inner_text("main")
    page.goto(f"{served.origin}/log/checkpoints")
    page.click("form[action='/log/consistency'] button")
    assert "The key of the log signed both checkpoints." in page.inner_text("main")
    with page.expect_download() as waiting:
        page.click("main a.button[download]")
    assert waiting.value.suggested_filename.startswith("continuation-")
