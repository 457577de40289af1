"""Every page has its picture in docs/screens, drawn by a browser's test and shown to readers.

A route that is new stands here as a page with its pictures, or as something that is none.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi import routing

from tests.web_scheduler.pictures import FOLDER, HOUSE, LIST, file_digest, listed, plain, styles
from tests.web_scheduler.territory import Grid

# The pages: where they answer, and the pictures of them (names of docs/screens/*.png).
PAGES: dict[str, tuple[str, ...]] = {
    "/": ("health", "walk-2-health"),
    "/account": ("account",),
    "/actions": ("actions",),
    "/actions/start-campaign/{bundle}": ("walk-4-start",),
    "/actions/{act}/{text}": ("action-form",),
    "/actions/{identity}": ("action", "walk-3-algorithms", "walk-5-started"),
    "/alerts": ("alerts",),
    "/budgets": ("budgets",),
    "/budgets/campaigns": ("costs",),
    "/bundles": ("bundles",),
    "/bundles/{prefix}": ("bundle",),
    "/campaigns": ("campaigns",),
    "/campaigns/{prefix}": ("campaign", "walk-6-late"),
    "/campaigns/{prefix}/rounds": ("rounds",),
    "/campaigns/{prefix}/timeline": ("timeline",),
    "/campaigns/{prefix}/units": ("units",),
    "/energy": ("energy",),
    "/log": ("log",),
    "/log/authors/{key}": ("log-author",),
    "/log/campaigns/{prefix}/evidence": ("log-evidence",),
    "/log/checkpoints": ("log-checkpoints",),
    "/log/checkpoints/{size}": ("log-checkpoint",),
    "/log/consistency": ("log-consistency",),
    "/log/search": ("log-search",),
    "/log/verify": ("log-verify",),
    "/log/{index}": ("entry", "log-entry", "walk-7-entry"),
    "/mine": ("authors-bundles",),
    "/mine/{prefix}": ("authors-dossier",),
    "/queue": ("queue",),
    "/releases/{prefix}": ("authors-release", "authors-pictures"),
    "/runs": ("authors-runs",),
    "/runs/{prefix}": ("authors-run",),
    "/runs/{prefix}/rounds": ("authors-rounds",),
    "/sign-in": ("walk-1-sign-in",),
    "/sign-out": ("sign-out",),
    "/sites": ("sites",),
    "/units": ("units-of-all",),
    "/units/{prefix}": ("unit",),
    "/workers": ("workers",),
    "/workers/{prefix}": ("worker",),
}
# What answers GET outside /api/v1 and is no page: streams, files, ways to and from elsewhere.
_NO_PAGE = re.compile(
    r"/live/.+|/assets/.+|/sign-in/(away|return)|/find|/healthz"
    r"|/log/checkpoint|/log/checkpoints/\{size\}/note"
    r"|/log/\{index\}/(proof|receipt|document|entry)|/log/consistency/file"
    r"|/log/campaigns/\{prefix\}/evidence\.tar"
    r"|/releases/\{prefix\}/(csv|json|parquet|report|model|card)"
)


def pages(grid: Grid) -> set[str]:
    """Where the application answers GET with a page."""
    found = set()
    for route in routing.iter_route_contexts(list(grid.app.routes)):
        place = getattr(route, "path", None) or route.starlette_route.path  # type: ignore[union-attr]
        methods = getattr(route, "methods", None) or route.starlette_route.methods  # type: ignore[union-attr]
        if "GET" in methods and not place.startswith("/api/") and not _NO_PAGE.fullmatch(place):
            found.add(place)
    return found


def test_every_page_has_a_picture_and_every_picture_its_page(grid: Grid) -> None:
    assert pages(grid) == set(PAGES)
    named = [name for names in PAGES.values() for name in names]
    assert len(named) == len(set(named))
    drawn = set(FOLDER.glob("*.png"))
    assert {path.stem for path in drawn} == set(named)
    assert set(FOLDER.iterdir()) == drawn | {FOLDER / LIST}
    for path in drawn:
        assert path.read_bytes().startswith(b"\x89PNG"), path


def test_the_pictures_are_the_ones_that_were_drawn_with_these_styles() -> None:
    """Whether a page still reads as its picture does is what the browser's tests ask."""
    kept = listed()
    found = {name: one["file"] for name, one in kept["pictures"].items()}
    there = {path.stem: file_digest(path) for path in FOLDER.glob("*.png")}
    assert found == there, "a picture was changed by hand: `make screens` draws them"
    assert kept["styles"] == styles(), "the pages are coloured otherwise now: `make screens`"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<p>\ncamp_3f vom 3. Mai", "<p>\ncamp_99 vom 4. Mai"),
        ("<td>\n1 234 personnes", "<td>\n7 personnes"),
        ("<td>\n<svg onload=x()>", "<td>\ndomicile-travail"),
    ],
)
def test_what_differs_from_run_to_run_is_no_other_page(one: str, other: str) -> None:
    assert plain(one) == plain(other)


def test_another_word_or_another_class_is_another_page() -> None:
    seen = {
        plain(text) for text in ("<h1>\nBudgets", "<h2>\nBudgets", "<h1.wide>\nBudgets", "<h1>\nA")
    }
    assert len(seen) == 4


def test_every_picture_is_drawn_by_a_browsers_test() -> None:
    tests = [
        path.read_text(encoding="utf-8")
        for path in (HOUSE / "tests" / "web_scheduler").glob("*.py")
        if path.name != Path(__file__).name and "draw(" in path.read_text(encoding="utf-8")
    ]
    for names in PAGES.values():
        for name in names:
            assert any(f'"{name}"' in text for text in tests), name


def test_every_picture_is_shown_once_with_a_sentence() -> None:
    text = (HOUSE / "docs" / "screens.md").read_text(encoding="utf-8")
    shown = re.findall(r"^!\[([^\]]+)\]\(screens/([a-z0-9-]+)\.png\)$", text, re.MULTILINE)
    assert sorted(name for _, name in shown) == sorted(
        name for names in PAGES.values() for name in names
    )
    assert "(screens.md)" in (HOUSE / "docs" / "operations.md").read_text(encoding="utf-8")
