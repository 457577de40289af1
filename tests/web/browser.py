"""A browser that forgives nothing: fixtures for every surface's browser tests.

`browse` opens pages in Debian's Chromium and fails the test for a console error, a violation of
the policy, an exception in a script or a request to another host. `axe`, `fits` and `reachable`
look at a page as people do who hear it, hold it in one hand, or have no mouse.

A conftest takes the fixtures with `from tests.web.browser import browse, chromium`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
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

    def forget(self) -> None:
        """Begin anew with the same pages: the next test's complaints are its own."""
        self.said.clear()
        self.expected.clear()

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


# What axe leaves undecided and others decide; any other doubt of its is a fault of the page.
UNDECIDED = {
    "color-contrast",  # on pictures and beside ornaments: test_web_files reckons every ink's
    "th-has-data-cells",  # a column whose every row says "none"
}


def axe(page: Any) -> list[str]:
    """What axe-core finds wrong with the page or cannot decide, one line each."""
    # One may have brought it to every page of a context: `context.add_init_script(path=AXE)`.
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE.read_text(encoding="utf-8") + "\n;0")
    found = page.evaluate(_AXE, RULES)
    return [
        f"{sort}: {one['id']} ({one['impact']}): {json.dumps(node['target'])}: {_why(node)}"
        for sort, ones in found.items()
        for one in ones
        if sort == "violations" or one["id"] not in UNDECIDED
        for node in one["nodes"]
    ]


def _why(node: dict[str, Any]) -> str:
    """What axe says about one element."""
    return "; ".join(check["message"] for sort in ("any", "all", "none") for check in node[sort])


# No preloading: it fetches the styles again for two rules about media and turned screens.
_AXE = """rules => axe.run(document, {
  runOnly: {type: 'tag', values: rules}, resultTypes: ['violations', 'incomplete'], preload: false,
}).then(({violations, incomplete}) => ({violations, incomplete}))"""


def fits(page: Any) -> bool:
    """Whether nothing but what is meant to scroll is wider than the window."""
    wide = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    return bool(wide[0] <= wide[1])


def cut_off(page: Any) -> list[str]:
    """Names of the tables of which this window shows a part alone; folded ones do not count."""
    found: list[str] = page.evaluate(
        """[...document.querySelectorAll("main .table-room:not(details .table-room)")]
          .filter((room) => room.scrollWidth > room.clientWidth + 1)
          .map((room) => `${room.getAttribute("aria-label")}: ${room.scrollWidth} units`)"""
    )
    return found


def reachable(page: Any) -> list[str]:
    """What is wrong with the Tab key's way through a page that was just loaded, one line each.

    The way begins at the link to the content and leads past everything that can be used, in the
    order of the page; every stop shows, is outlined and has a name.
    """
    wanted = page.evaluate(_WATCH_STOPS, _USABLE)
    for _ in range(len(wanted) + 1):
        page.keyboard.press("Tab")
    stops = page.evaluate("window.__stops")
    wrong = [] if wanted else ["nothing on the page can be used"]
    if not stops or not stops[0]["skip"]:
        wrong.append("the first stop is not the link to the content")
    for place, what in enumerate(wanted):
        stop = stops[place] if place < len(stops) else None
        if stop is None or stop["place"] != place:
            wrong.append(f"stop {place} is {stop and stop['what']}, not {what}")
            break
        wrong += [f"{what} {lack}" for lack in ("shown", "outlined", "named") if not stop[lack]]
    if any(stop["place"] != 0 for stop in stops[len(wanted) :]):
        wrong.append(f"after the last the key stops at {stops[-1]['what']}")
    return wrong


_USABLE = "a[href], button, input, select, textarea, summary, [tabindex='0']"
# Looked at when the key is let go: by then the page has scrolled to the stop.
_WATCH_STOPS = """(usable) => {
  const wanted = [...document.querySelectorAll(usable)].filter((one) =>
    !one.matches(":disabled, [tabindex='-1']") && one.checkVisibility({visibilityProperty: true}));
  const what = (one) => `${one.tagName.toLowerCase()}#${one.id} "${name(one).slice(0, 40)}"`;
  const name = (one) => (one.getAttribute("aria-label")
    || document.getElementById(one.getAttribute("aria-labelledby"))?.textContent
    || [...(one.labels ?? [])].map((label) => label.textContent).join(" ")
    || one.textContent).trim();
  window.__stops = [];
  document.addEventListener("keyup", () => {
    const at = document.activeElement;
    if (!at || at === document.body) return;
    const style = getComputedStyle(at), box = at.getBoundingClientRect();
    window.__stops.push({
      place: wanted.indexOf(at), what: what(at), named: name(at) !== "",
      skip: at.matches("a.skip[href='#main']"),
      shown: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight,
      outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    });
  }, true);
  return wanted.map(what);
}"""
