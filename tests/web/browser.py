"""A browser that forgives nothing: fixtures for every surface's browser tests.

`browse` opens pages in Debian's Chromium and fails the test for a console error, a violation of
the policy, an exception in a script or a request to another host. `axe`, `fits` and `walk` look
at a page as people do who hear it, hold it in one hand, or have no mouse.

A conftest takes the fixtures with `from tests.web.browser import browse, chromium`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
LANGUAGES, SCHEMES = ("fr", "en"), ("light", "dark")
# WCAG 2.1 A and AA, which RGAA 4.1 tests, and what axe calls good practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
PHONE = 360
_PATIENCE = 30_000  # milliseconds; this machine may have other work


@dataclass
class Watch:
    """Every page of one test and what went wrong on them."""

    chromium: Any
    said: list[str] = field(default_factory=list)
    expected: list[re.Pattern[str]] = field(default_factory=list)
    contexts: list[Any] = field(default_factory=list)
    open_requests: list[str] = field(default_factory=list)

    def open(
        self,
        address: str,
        *,
        width: int = 1280,
        scheme: str = "light",
        language: str = "fr",
        scripts: bool = True,
        motion: bool = True,
        cookies: dict[str, str] | None = None,
    ) -> Any:
        """A page at `address` in a browser that nobody used before."""
        context = self.chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            locale={"fr": "fr-FR", "en": "en-GB"}[language],
            java_script_enabled=scripts,
            reduced_motion="no-preference" if motion else "reduce",
            timezone_id="America/Los_Angeles",  # nobody's territory: times must not depend on it
        )
        self.contexts.append(context)
        context.set_default_timeout(_PATIENCE)
        host = urlsplit(address).netloc
        if cookies:
            context.add_cookies(
                [{"name": k, "value": v, "url": f"http://{host}"} for k, v in cookies.items()]
            )
        context.on("request", lambda request: self._asked(request.url, host))
        context.on("requestfinished", lambda request: self._answered(request.url))
        context.on("requestfailed", lambda request: self._answered(request.url))
        page = context.new_page()
        page.on("console", self._spoke)
        page.on("pageerror", lambda error: self._note(f"exception: {error}"))
        try:
            page.goto(address)
        except Exception as error:
            raise AssertionError(f"{address}: still open: {self.open_requests}") from error
        return page

    def expect(self, pattern: str) -> None:
        """From now on a complaint that matches is part of the test."""
        self.expected.append(re.compile(pattern))

    def complaints(self) -> list[str]:
        """What nobody expected."""
        return [line for line in self.said if not any(one.search(line) for one in self.expected)]

    def close(self) -> None:
        """End every browser of the test."""
        for context in self.contexts:
            context.close()

    def _spoke(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self._note(f"console {message.type}: {message.text}")

    def _asked(self, address: str, host: str) -> None:
        parts = urlsplit(address)
        self.open_requests.append(address)
        if parts.scheme not in {"data", "blob", "about"} and parts.netloc != host:
            self._note(f"request to another host: {address}")

    def _answered(self, address: str) -> None:
        if address in self.open_requests:
            self.open_requests.remove(address)

    def _note(self, line: str) -> None:
        self.said.append(line)


def program() -> str | None:
    """Where Chromium is."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A running Chromium for one module: playwright's loop would keep later modules from theirs."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: extra `dev`")
    if (found := program()) is None:
        missing = "no Chromium here, so no page was tried in a browser: sh .ci/browser installs it"
        if os.environ.get("CADASTRE_BROWSER") == "required":
            pytest.fail(missing)  # on CI a test that vanishes is a failure
        pytest.skip(missing)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium: Any) -> Iterator[Watch]:
    """Opens pages; at the end nothing may have gone wrong on any of them."""
    watch = Watch(chromium)
    yield watch
    watch.close()
    assert watch.complaints() == []


def axe(page: Any) -> list[str]:
    """What axe-core finds wrong with the page, one line each."""
    page.evaluate(AXE.read_text(encoding="utf-8") + "\n;0")
    found = page.evaluate(
        "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}, "
        "resultTypes: ['violations']}).then(found => found.violations)",
        RULES,
    )
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {json.dumps(node['target'])}"
        for one in found
        for node in one["nodes"]
    ]


def fits(page: Any) -> bool:
    """Whether nothing but what is meant to scroll is wider than the window."""
    wide = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    return bool(wide[0] <= wide[1])


def walk(page: Any, most: int = 300) -> list[dict[str, Any]]:
    """Every stop of the Tab key from the top: what it is, what it is called, whether it shows."""
    page.evaluate("document.activeElement?.blur?.(); window.scrollTo(0, 0)")
    stops: list[dict[str, Any]] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        stop = page.evaluate(_STOP)
        if stop is None or (stops and stop["mark"] == stops[0]["mark"]):
            break
        stops.append(stop)
    return stops


_STOP = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  window.__stops ??= new Map();
  if (!window.__stops.has(at)) window.__stops.set(at, window.__stops.size);
  const style = getComputedStyle(at), box = at.getBoundingClientRect();
  return {
    mark: window.__stops.get(at), tag: at.tagName.toLowerCase(), id: at.id,
    name: (at.getAttribute("aria-label") || at.textContent || at.getAttribute("name") || "").trim(),
    shown: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight,
    outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
  };
}"""


def every_look(check: Callable[[str, str], None]) -> None:
    """Call `check` for each language in each colour scheme."""
    for language in LANGUAGES:
        for scheme in SCHEMES:
            check(language, scheme)
