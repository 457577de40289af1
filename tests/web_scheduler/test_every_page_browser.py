"""Every page in a real browser: read aloud, in the dark, on a phone, by keyboard, without scripts.

A route that is new fails here until somebody says who reads it and where it has most to show.
One page, loaded once in each language, serves all checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pytest

from scheduler.store.tables import SampleRow
from scheduler.views import timeline
from tests.web.browser import AXE, LANGUAGES, PHONE, SCHEMES, Watch, axe, cut_off, fits, reachable
from tests.web_scheduler.pictures import SCREENS, draw
from tests.web_scheduler.test_pictures import pages
from tests.web_scheduler.town import AUTHOR, NOBODY, OPERATOR, WATCHER, Town, town_in
from web import languages

LONG = 1280  # of the window, before it becomes a phone's
REASON = "les paramètres étaient ceux de l'an dernier"


@dataclass(frozen=True)
class Sight:
    """A page somebody looks at: whose, where, its picture, and what is done there first.

    `then` gets the page, the town, and whether scripts run.
    """

    who: str
    path: str
    picture: str = ""
    then: Callable[[Any, Town, bool], None] | None = None
    status: int = 200
    fresh: bool = True  # what one looks at was loaded as it is, so that the keyboard is at its top


def wrong_word(page: Any, town: Town, scripts: bool) -> None:
    """Confirmed with another word than the one asked for."""
    page.fill("#reason", REASON)
    page.fill("#word", "autre")
    page.click("form.confirm button[type=submit]")
    page.wait_for_selector("main .problem")


def too_late(page: Any, town: Town, scripts: bool) -> None:
    """Confirmed when it had been done already, by somebody else."""
    drained = str(town.names["drained"])
    page.evaluate(
        "([form, there]) => { document.querySelector(form).action = there; }",
        ["form.confirm", f"/actions/drain-worker/{drained}"],
    )
    page.fill("#reason", REASON)
    page.fill("#word", drained.rpartition("_")[2][:8])
    page.click("form.confirm button[type=submit]")
    page.wait_for_selector("main .problem")


def too_many_attempts(page: Any, town: Town, scripts: bool) -> None:
    """The same page as if its attempts were more than its picture holds."""
    with patch.object(timeline, "MOST_BARS", 2):
        page.reload()
    assert page.locator("main .chart a rect").count() > 1
    assert "vain" in page.inner_text("main")  # as both languages have it


def proof_that_holds(page: Any, town: Town, scripts: bool) -> None:
    """Verified by the browser, or by the server where no scripts run."""
    _verified(page, town, scripts, altered="index 2")


def proof_of_something_else(page: Any, town: Town, scripts: bool) -> None:
    """The same with another place in it."""
    _verified(page, town, scripts, altered="index 3")


def _verified(page: Any, town: Town, scripts: bool, altered: str) -> None:
    entry, ask = f"{town.grid.origin}/log/2", page.context.request
    if scripts:
        page.wait_for_selector("form[data-ready]")
    page.fill("#verify-proof", ask.get(f"{entry}/proof").text().replace("index 2", altered))
    page.fill("#verify-document", ask.get(f"{entry}/document").text())
    page.click("form[data-verify] button")
    page.wait_for_selector("[data-part=result]:focus" if scripts else "main section.tile >> nth=0")


# Who looks at each route of the application, and where it has most to show.
PAGES: dict[str, Sight] = {
    "/": Sight(OPERATOR, "/", "health"),
    "/account": Sight(OPERATOR, "/account"),
    "/actions": Sight(OPERATOR, "/actions", "actions"),
    "/actions/start-campaign/{bundle}": Sight(OPERATOR, "/actions/start-campaign/{bundle}"),
    "/actions/{act}/{text}": Sight(OPERATOR, "/actions/cancel-campaign/{moving}", "action-form"),
    "/actions/{identity}": Sight(OPERATOR, "/actions/{deed}", "action"),
    "/alerts": Sight(OPERATOR, "/alerts", "alerts"),
    "/budgets": Sight(OPERATOR, "/budgets", "budgets"),
    "/budgets/campaigns": Sight(OPERATOR, "/budgets/campaigns", "costs"),
    "/bundles": Sight(OPERATOR, "/bundles", "bundles"),
    "/bundles/{prefix}": Sight(OPERATOR, "/bundles/{short}", "bundle"),
    "/campaigns": Sight(OPERATOR, "/campaigns", "campaigns"),
    "/campaigns/{prefix}": Sight(OPERATOR, "/campaigns/{moving}", "campaign"),
    "/campaigns/{prefix}/rounds": Sight(OPERATOR, "/campaigns/{moving}/rounds", "rounds"),
    "/campaigns/{prefix}/timeline": Sight(WATCHER, "/campaigns/{trained}/timeline", "timeline"),
    "/campaigns/{prefix}/units": Sight(OPERATOR, "/campaigns/{moving}/units", "units"),
    "/energy": Sight(OPERATOR, "/energy", "energy"),
    "/log": Sight(NOBODY, "/log", "log"),
    "/log/authors/{key}": Sight(NOBODY, "/log/authors/{author}", "log-author"),
    "/log/campaigns/{prefix}/evidence": Sight(
        NOBODY, "/log/campaigns/{released}/evidence", "log-evidence"
    ),
    "/log/checkpoints": Sight(NOBODY, "/log/checkpoints", "log-checkpoints"),
    "/log/checkpoints/{size}": Sight(NOBODY, "/log/checkpoints/{old}", "log-checkpoint"),
    "/log/consistency": Sight(NOBODY, "/log/consistency?old={old}&new={new}", "log-consistency"),
    "/log/search": Sight(NOBODY, "/log/search?q={twice}", "log-search"),
    "/log/verify": Sight(NOBODY, "/log/verify", "log-verify"),
    "/log/{index}": Sight(NOBODY, "/log/{plan}", "log-entry"),
    "/mine": Sight(AUTHOR, "/mine", "authors-bundles"),
    "/mine/{prefix}": Sight(AUTHOR, "/mine/{my_hungry}", "authors-dossier"),
    "/queue": Sight(OPERATOR, "/queue", "queue"),
    "/releases/{prefix}": Sight(AUTHOR, "/releases/{trained}", "authors-release"),
    "/runs": Sight(AUTHOR, "/runs", "authors-runs"),
    "/runs/{prefix}": Sight(AUTHOR, "/runs/{trained}", "authors-run"),
    "/runs/{prefix}/rounds": Sight(AUTHOR, "/runs/{trained}/rounds", "authors-rounds"),
    "/sign-in": Sight(NOBODY, "/sign-in"),
    "/sign-out": Sight(NOBODY, "/sign-out"),
    "/sites": Sight(OPERATOR, "/sites", "sites"),
    "/units": Sight(OPERATOR, "/units", "units-of-all"),
    "/units/{prefix}": Sight(OPERATOR, "/units/{unit}", "unit"),
    "/workers": Sight(OPERATOR, "/workers", "workers"),
    "/workers/{prefix}": Sight(OPERATOR, "/workers/{worker}", "worker"),
}
# The same routes where they look otherwise, and pages that are no route's.
FURTHER: dict[str, Sight] = {
    "the timeline of a round": Sight(OPERATOR, "/campaigns/{moving}/timeline?round=1"),
    "a timeline by rounds": Sight(WATCHER, "/campaigns/{trained}/timeline", then=too_many_attempts),
    "late units": Sight(OPERATOR, "/units?late=yes&dir=asc"),
    "what may be started": Sight(OPERATOR, "/actions/start-campaign"),
    "to exclude": Sight(OPERATOR, "/actions/exclude-worker/{worker}"),
    "to drain": Sight(OPERATOR, "/actions/drain-worker/{worker}"),
    "to resume": Sight(OPERATOR, "/actions/resume-worker/{drained}"),
    "not to be retried": Sight(OPERATOR, "/actions/retry-unit/{unit}"),
    "an entry, signed in": Sight(OPERATOR, "/log/{late}", "entry"),
    "a bundle that is done": Sight(AUTHOR, "/mine/{my_done}"),
    "a suspended bundle": Sight(AUTHOR, "/mine/{my_suspended}"),
    "a bundle without a vote": Sight(AUTHOR, "/mine/{my_unvoted}"),
    "a release of counts": Sight(AUTHOR, "/releases/{done}"),
    "a release of everything": Sight(AUTHOR, "/releases/{pictured}", "authors-pictures"),
    "a proof that holds": Sight(NOBODY, "/log/verify", then=proof_that_holds, fresh=False),
    "a proof that does not": Sight(NOBODY, "/log/verify", then=proof_of_something_else,
                                   fresh=False),
    "nothing there": Sight(OPERATOR, "/campaigns/camp_nothing", status=404),
    "too late": Sight(OPERATOR, "/actions/exclude-worker/{worker}", then=too_late, status=409),
    "the wrong word": Sight(OPERATOR, "/actions/cancel-campaign/{moving}", then=wrong_word,
                            status=422),
}  # fmt: skip
SIGHTS = PAGES | FURTHER


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town_in(tmp_path_factory.mktemp("town")) as made:
        yield made


@dataclass
class Eyes:
    """A window of each who looks, for all sights: what it fetched once it keeps."""

    watch: Watch
    town: Town
    windows: dict[str, Any] = field(default_factory=dict)

    def at(self, sight: Sight) -> Any:
        """What a new visitor sees first: in French, in the light, on a desk."""
        if sight.who not in self.windows:
            page = self.town.open(self.watch, sight.who, "/sign-out")
            page.context.add_init_script(path=AXE)
            self.windows[sight.who] = page
        page = self.windows[sight.who]
        page.context.clear_cookies(name=languages.COOKIE)
        page.set_viewport_size({"width": LONG, "height": 900})
        page.emulate_media(color_scheme=SCHEMES[0])
        page.goto(self.town.address(sight.who, sight.path))
        arrive(page, self.town, sight)
        return page


@pytest.fixture(scope="module")
def opened(town: Town, chromium: Any) -> Iterator[Eyes]:
    made = Eyes(Watch(chromium), town)
    yield made
    made.watch.close()


@pytest.fixture
def eyes(opened: Eyes) -> Iterator[Eyes]:
    opened.watch.forget()
    yield opened
    assert opened.watch.complaints() == []


def test_no_route_is_forgotten(town: Town) -> None:
    assert pages(town.grid) == set(PAGES)


@pytest.mark.parametrize("name", SIGHTS)
def test_a_page_is_for_everybody(eyes: Eyes, name: str) -> None:
    """axe in both languages and schemes, 360 px in both, no list cut off, every stop of the key."""
    sight, town = SIGHTS[name], eyes.town
    if sight.status != 200:
        eyes.watch.expect(f"status of {sight.status}")
    page = eyes.at(sight)
    stale = draw(page, sight.picture) if sight.picture else ""
    if SCREENS:
        return
    lost = reachable(page) if sight.fresh else []
    wrong, wide, cut = [], [], []
    for language in LANGUAGES:
        if language != LANGUAGES[0]:
            page.emulate_media(color_scheme=SCHEMES[0])
            page.goto(town.address(sight.who, sight.path, language))
            arrive(page, town, sight)
            wide += [language] * (not fits(page))
        assert page.get_attribute("html", "lang") == language
        page.evaluate("document.querySelectorAll('main details').forEach((one) => one.open = true)")
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            wrong += [(language, scheme, line) for line in axe(page)]
        page.set_viewport_size({"width": PHONE, "height": 740})  # the second language begins so
        page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        wide += [language] * (not fits(page))
        page.set_viewport_size({"width": LONG, "height": 900})
        cut += cut_off(page)
        page.set_viewport_size({"width": PHONE, "height": 740})
    assert page.locator("main :is(img, [onload])").count() == 0, "a hostile name became an element"
    assert (lost, wrong, wide, cut, stale) == ([], [], [], [], "")


def arrive(page: Any, town: Town, sight: Sight, scripts: bool = True) -> None:
    """What is done at `sight` first; then all of it is there."""
    if sight.then:
        sight.then(page, town, scripts)
    if scripts:
        for _ in page.query_selector_all("[data-live]"):
            page.wait_for_selector('[data-live][data-state="live"]')
        for _ in page.query_selector_all("[data-series]"):
            page.wait_for_selector("[data-series][data-drawn] canvas")


@pytest.mark.parametrize("who", [NOBODY, OPERATOR, AUTHOR, WATCHER])
def test_a_page_stands_without_scripts(browse: Watch, town: Town, who: str) -> None:
    browse.expect("status of 4")
    page = town.open(browse, who, "/sign-out", scripts=False)
    for name, sight in SIGHTS.items():
        if sight.who == who:
            answer = page.goto(town.address(who, sight.path))
            assert answer.status == (200 if sight.then else sight.status), name
            arrive(page, town, sight, scripts=False)
            assert page.inner_text("main h1").strip(), name
            shown = "main :is(table, dl, .empty, .problem, form, .lead, .chart, h1 + p):visible"
            assert page.locator(shown).count() > 0, name
            assert page.locator("main :is(img, [onload])").count() == 0, name


def test_a_series_is_drawn_anew_by_the_beat(browse: Watch, town: Town) -> None:
    """The live half: what the newest sample says is what the legend says, on the same canvas."""
    page = town.open(browse, OPERATOR, "/queue")
    arrive(page, town, PAGES["/queue"])
    figure = page.locator("[data-series]").first
    room = figure.locator(".u-over").bounding_box()
    page.mouse.move(room["x"] + room["width"] - 2, room["y"] + 20)  # over the newest value
    told = ".u-legend .u-series:nth-child(2) .u-value"
    page.wait_for_selector(f"{told}:text-matches('[0-9]')")
    assert page.locator(told, has_text="711").count() == 0

    def more(tx: Any) -> None:
        tx.session.get(SampleRow, town.grid.world.clock.now()).waiting = 4711

    town.grid.world.desk.store.run("more", more)
    page.wait_for_selector(f"{told}:text-matches('4.711')")
    assert figure.locator("canvas").count() == 1


def test_a_campaign_is_cancelled_with_the_keyboard_alone(browse: Watch, town: Town) -> None:
    """From its page to the entry in the log, which appears by itself: nothing is clicked."""
    page = town.open(browse, OPERATOR, "/campaigns/{moving}")
    arrive(page, town, PAGES["/campaigns/{prefix}"])
    tab_to(page, 'main a.button[href^="/actions/cancel-campaign/"]')
    page.keyboard.press("Enter")
    page.wait_for_selector("form.confirm")
    tab_to(page, "#reason")
    page.keyboard.type(REASON)
    tab_to(page, "#word")
    page.keyboard.type(page.inner_text("form.confirm kbd"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/actions/deed_*")
    page.wait_for_selector('[data-live][data-state="live"]')
    town.turn()
    page.wait_for_selector('main a.button[href^="/log/"]')
    tab_to(page, 'main a.button[href^="/log/"]')
    page.keyboard.press("Enter")
    page.wait_for_url("**/log/*")
    assert "a annulé" in page.inner_text("main .lead")
    page.goto(town.address(OPERATOR, "/campaigns/{moving}"))
    assert "annulée" in page.inner_text("main")


def tab_to(page: Any, selector: str, most: int = 200) -> None:
    """Press Tab until what `selector` finds has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
            return
    raise AssertionError(f"the Tab key never comes to {selector}")
