"""Every page has its picture in docs/screens, drawn by a browser's test and shown to readers.

A route that is new stands here as a page with its pictures, or as something that is none.
"""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import routing

from tests.web_scheduler.territory import Grid

HOUSE = Path(__file__).resolve().parents[2]
SCREENS = HOUSE / "docs" / "screens"
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
    assert {path.stem for path in SCREENS.iterdir()} == set(named)
    for path in SCREENS.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG"), path


def test_every_picture_is_drawn_by_a_browsers_test() -> None:
    tests = [
        path.read_text(encoding="utf-8")
        for path in (HOUSE / "tests").glob("web_*/*.py")
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
