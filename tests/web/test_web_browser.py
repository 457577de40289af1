"""The kit in a real browser: looks, languages, keyboards, phones, live parts that freeze."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.web.browser import LANGUAGES, PHONE, SCHEMES, Watch, axe, fits, reachable
from tests.web.sample import surface
from trust.clock import ManualClock
from web.serving import WebServer


@dataclass
class Running:
    """The sample on an address, which may stop and come back on the same one."""

    clock: ManualClock
    beat: surface.Beat
    server: WebServer
    port: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def restart(self) -> None:
        self.server = serve(self.clock, self.beat, self.port)


def serve(clock: ManualClock, beat: surface.Beat, port: int) -> WebServer:
    site, broadcast = surface.surface(surface.kit(clock), beat)
    server = WebServer(site, "127.0.0.1", port, closing=broadcast.close)
    server.start()
    return server


@pytest.fixture
def sample() -> Iterator[Running]:
    clock, beat = ManualClock(surface.START), surface.Beat()
    server = serve(clock, beat, 0)
    running = Running(clock, beat, server, server.port)
    yield running
    running.server.stop()


def live(page: Any, state: str) -> None:
    page.wait_for_selector(f'[data-live][data-state="{state}"]')


@pytest.mark.parametrize(
    "path", ["/", "/workers", "/workers?state=lost&prefix=nobody", "/refused", "/broken"]
)
def test_axe_finds_nothing(browse: Watch, sample: Running, path: str) -> None:
    browse.expect("status of (403|500)")
    for language in LANGUAGES:
        page = browse.open(sample.address + path, language=language)
        assert page.get_attribute("html", "lang") == language
        for summary in page.query_selector_all("details > summary"):
            summary.click()  # what is folded away is read as well
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert axe(page) == [], (language, scheme)


def test_axe_would_find_something(browse: Watch, sample: Running) -> None:
    page = browse.open(sample.address)
    page.evaluate("document.querySelector('h1').insertAdjacentHTML('afterend', '<img src=\"\">')")
    assert any("image-alt" in line for line in axe(page))


@pytest.mark.parametrize("path", ["/", "/workers", "/refused"])
def test_a_phone_shows_it_all(browse: Watch, sample: Running, path: str) -> None:
    browse.expect("403")
    page = browse.open(sample.address + path, width=PHONE)
    assert fits(page)
    page.evaluate("document.querySelector('h1').textContent = 'o'.repeat(200)")
    assert fits(page)
    wide = "Object.assign(document.createElement('canvas'), {width: 2000})"
    page.evaluate(f"document.querySelector('main').append({wide})")
    assert not fits(page)  # it would be seen


@pytest.mark.parametrize("path", ["/", "/workers"])
def test_every_stop_of_the_keyboard_shows_and_has_a_name(
    browse: Watch, sample: Running, path: str
) -> None:
    page = browse.open(sample.address + path)
    live(page, "live") if path == "/" else None
    assert reachable(page) == []


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ("h1.outerHTML = '<span tabindex=0>x</span><p tabindex=5>y</p>'", "stop 0 is p#"),
        ("h1.innerHTML = '<a href=/workers></a>'", "named"),
        ("document.querySelector('.skip').remove()", "not the link to the content"),
        ("h1.innerHTML = '<button id=x>x</button>'; x.onfocus = () => x.blur()", "not button#x"),
        ("document.body.innerHTML = ''", "nothing on the page can be used"),
    ],
)
def test_a_way_that_is_not_whole_is_seen(
    browse: Watch, sample: Running, planted: str, said: str
) -> None:
    page = browse.open(sample.address + "/workers")
    page.evaluate(f"const h1 = document.querySelector('h1'); {planted}")
    assert any(said in line for line in reachable(page))


def test_the_skip_link_leads_to_the_content(browse: Watch, sample: Running) -> None:
    page = browse.open(sample.address)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_the_menu_closes_on_escape_and_a_theme_stays(browse: Watch, sample: Running) -> None:
    page = browse.open(sample.address)
    page.click("[data-menu] > summary")
    page.click('[data-theme-choice="dark"]')
    assert page.get_attribute("html", "data-theme") == "dark"
    page.keyboard.press("Escape")
    assert page.get_attribute("[data-menu]", "open") is None
    page.goto(sample.address + "/workers")
    assert page.get_attribute("html", "data-theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 18, 23)"


def test_it_works_without_scripts(browse: Watch, sample: Running) -> None:
    page = browse.open(sample.address + "/workers", scripts=False)
    page.click("[data-menu] > summary")
    page.click("text=English")
    assert page.get_attribute("html", "lang") == "en"
    page.select_option("[name=state]", "lost")
    page.click("text=Filter")
    assert "state=lost" in page.url
    assert page.locator("tbody tr").count() == 20
    page.click("text=Show all")
    page.click("thead >> text=Node")
    page.click("text=Next")
    assert "cursor=" in page.url
    page.click("text=Previous")
    assert page.inner_text("tbody tr:first-child th").strip() == surface.HOSTILE
    assert page.get_attribute("html", "lang") == "en"  # the cookie remembers


def test_a_hostile_name_is_only_a_name(browse: Watch, sample: Running) -> None:
    page = browse.open(sample.address + "/workers?sort=worker&size=200")
    assert page.locator("tbody img").count() == 0
    assert page.locator("text=onerror").count() == 1


def test_a_live_part_follows_and_keeps_the_focus(browse: Watch, sample: Running) -> None:
    page = browse.open(sample.address)
    live(page, "live")
    link = page.locator("[data-live-body] a")
    link.focus()
    sample.beat.count = 2
    sample.clock.advance(61)
    page.wait_for_selector("[data-live-body] dd >> text=/^2$/")
    assert page.evaluate("document.activeElement.textContent") == "Voir les nœuds"
    assert page.inner_text("[data-live-word]") == "En direct"
    # Ages are counted by the server's clock, which is not this machine's: its year is 2026 here
    # and a minute has passed there.
    assert "14:03:06" in page.inner_text("[data-live-body]")


def test_a_live_part_says_since_when_it_is_frozen_and_recovers(
    browse: Watch, sample: Running
) -> None:
    page = browse.open(sample.address)
    live(page, "live")
    browse.expect("htmx:|ERR_CONNECTION|Failed to load resource")
    sample.server.stop()
    live(page, "frozen")
    assert page.inner_text("[data-live-word]") == "Figé depuis 14:02:05"
    sample.beat.count = 5
    sample.restart()
    live(page, "live")
    page.wait_for_selector("[data-live-body] dd >> text=/^5$/")
    page.wait_for_selector("[data-live-said] >> text=De nouveau en direct", state="attached")


def test_a_page_that_loads_while_the_stream_is_refused_recovers_too(
    browse: Watch, sample: Running
) -> None:
    browse.expect("503|htmx:")
    page = browse.open(sample.address + "/workers")
    page.route("**/live/beat", lambda route: route.fulfill(status=503, body="no"))
    page.goto(sample.address)
    live(page, "frozen")
    assert "no" not in page.inner_text("[data-live-body]").split()
    page.unroute("**/live/beat")
    live(page, "live")


def test_a_pause_holds_until_it_is_ended(browse: Watch, sample: Running) -> None:
    page = browse.open(sample.address)
    live(page, "live")
    page.click("[data-live-pause]")
    live(page, "paused")
    assert page.inner_text("[data-live-word]") == "En pause depuis 14:02:05"
    sample.beat.count = 9
    assert page.get_attribute("[data-live-pause]", "aria-pressed") == "true"
    page.wait_for_function("!document.querySelector('[data-live-body]')._htmx?.sse")
    page.click("[data-live-pause]")
    live(page, "live")
    page.wait_for_selector("[data-live-body] dd >> text=/^9$/")


def test_new_files_on_the_server_are_said(browse: Watch, sample: Running) -> None:
    page = browse.open(sample.address + "/workers")
    page.route(
        sample.address + "/",
        lambda route: route.fulfill(
            body=route.fetch().text().replace('data-version="', 'data-version="old'),
            content_type="text/html",
        ),
    )
    page.goto(sample.address)
    live(page, "old")
    assert "rechargez" in page.inner_text("[data-live-word]")


def test_no_stream_is_opened_before_its_listeners_are_there(browse: Watch, sample: Running) -> None:
    """The server greets once: a page whose script came after it never knew that it was old."""
    page = browse.open(sample.address + "/workers")
    asked: list[str] = []
    held: list[Any] = []
    page.on("request", lambda request: asked.append(request.url))
    page.route("**/kit*.js", lambda route: held.append(route))  # noqa: PLW0108 - playwright marks it
    with page.expect_response("**/hx-sse*.js"):
        page.goto(sample.address, wait_until="commit")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    assert held, asked
    assert not [url for url in asked if "/live" in url]
    held[0].continue_()
    live(page, "live")


def test_an_id_is_copied_whole(browse: Watch, sample: Running) -> None:
    page = browse.open(sample.address)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click(".ident .copy")
    page.wait_for_selector(".copy[data-done]")
    assert page.evaluate("navigator.clipboard.readText()") == "sha256:" + "8f1c" * 16


def test_a_series_is_drawn_from_its_table(browse: Watch, sample: Running) -> None:
    page = browse.open(sample.address, scheme="dark")
    page.wait_for_selector("[data-series][data-drawn] canvas")
    assert page.locator("[data-series] svg.chart").is_hidden()
    names = page.locator("[data-series] .u-legend .u-label").all_inner_texts()
    assert names == ["moment", "en attente", "terminées"]


def test_motion_stops_where_it_is_unwelcome(browse: Watch, sample: Running) -> None:
    page = browse.open(sample.address, motion=False)
    live(page, "live")
    style = "getComputedStyle(document.querySelector('.live-mark')).animationName"
    assert page.evaluate(style) == "none"


def test_paper_gets_no_buttons(browse: Watch, sample: Running) -> None:
    page = browse.open(sample.address, scheme="dark")
    page.emulate_media(media="print")
    assert page.locator(".top-nav").is_hidden()
    assert page.locator(".confirm").is_hidden()
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


def test_the_watch_sees_what_it_must(chromium: Any, sample: Running) -> None:
    """An inline script, an inline style, another host and an exception are each a complaint."""
    watch = Watch(chromium)
    page = watch.open(sample.address + "/workers")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"color:red\">x</p>')")
    page.evaluate(
        "const s = document.createElement('script'); s.textContent = '1'; document.body.append(s)"
    )
    page.evaluate("fetch('http://127.0.0.1:9/').catch(() => 0)")
    page.evaluate("setTimeout(() => { throw new Error('planted') })")
    page.wait_for_function("true")
    page.goto(sample.address + "/workers?size=0")
    watch.close()
    said = "\n".join(watch.complaints())
    for part in ("style", "script", "connect", "planted", "422"):
        assert part in said, said
