"""Sign-in in a real browser: what no imitation of one proves (its cookies, policies and keys)."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.web import oidc_process
from tests.web.browser import Watch, axe, every_look, fits, walk
from tests.web.signin_site import Site
from tests.web.test_signin_oidc import SECRET, configured
from trust.clock import ManualClock
from web.serving import WebServer
from web.signin.roles import Role

pytestmark = [pytest.mark.external, pytest.mark.processes]
PHONE = 360


@dataclass
class Running:
    site: Site
    server: WebServer

    @property
    def url(self) -> str:
        return self.site.origin


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def run(site: Site, port: int) -> WebServer:
    server = WebServer(site.app, "127.0.0.1", port)
    server.start()
    return server


@pytest.fixture
def running() -> Iterator[Running]:
    port = free_port()
    site = Site(origin=f"http://127.0.0.1:{port}", clock=ManualClock(datetime.now(UTC)))
    server = run(site, port)
    yield Running(site, server)
    server.stop()


def key_of(running: Running, *roles: Role) -> str:
    credentials = running.site.entrance.credentials
    held = credentials.redeem(credentials.invite("Ada Lovelace", roles)).person
    return credentials.key(held, "a key")


def sign_in(browse: Watch, running: Running, key: str, **look: Any) -> Any:
    page = browse.open(f"{running.url}/sign-in?next=/mine", **look)
    page.fill("#token", key)
    page.click("main button[type=submit]")
    page.wait_for_url(f"{running.url}/mine")
    return page


def test_the_first_operator_opens_the_printed_address(running: Running, browse: Watch) -> None:
    address, token = running.site.entrance.start_line()
    page = browse.open(address)
    assert page.url == f"{running.url}/sign-in", "the token has left the address"
    assert page.input_value("#token") == token
    assert page.evaluate("document.activeElement.textContent") == "Se connecter"
    page.keyboard.press("Enter")
    page.wait_for_url(f"{running.url}/account")
    assert not page.evaluate("document.cookie.includes('cadastre-session')"), "scripts see none"
    page.fill("#key-label", "mon poste")
    page.click("form[action='/account/keys'] button")
    key = page.inner_text("code.secret")
    assert key.startswith("cadastre-sign-in-v1.")
    page.click("main a[href='/account']")
    assert "mon poste" in page.content()
    page.click(".top-tools button[type=submit]")
    page.wait_for_url(f"{running.url}/sign-out")
    page.go_back()
    assert "mon poste" not in page.content(), "the back button shows nothing of before"
    assert page.url == f"{running.url}/sign-in?next=/account"
    assert sign_in(browse, running, key).url == f"{running.url}/mine"


def test_it_works_without_scripts(running: Running, browse: Watch) -> None:
    _, token = running.site.entrance.start_line()
    page = browse.open(f"{running.url}/sign-in", scripts=False)
    page.fill("#token", token)
    page.click("main button[type=submit]")
    page.wait_for_url(f"{running.url}/account")
    page.fill("#token-label", "carnet")
    page.check("#role-operator")
    page.click("form[action='/account/tokens'] button")
    assert page.inner_text("code.secret").startswith("cadastre-api-v1.")


def test_every_page_is_for_everybody(running: Running, browse: Watch) -> None:
    key = key_of(running, *Role)

    def look(language: str, scheme: str) -> None:
        options: dict[str, Any] = {"language": language, "scheme": scheme, "width": PHONE}
        pages = {"enter": browse.open(f"{running.url}/sign-in?again=1&refused=no-role", **options)}
        pages["account"] = sign_in(browse, running, key, **options)
        pages["account"].goto(f"{running.url}/account")
        pages["secret"] = sign_in(browse, running, key, **options)
        pages["secret"].goto(f"{running.url}/account")
        pages["secret"].click("form[action='/account/keys'] button")
        pages["left"] = browse.open(f"{running.url}/sign-out", **options)
        for name, page in pages.items():
            assert axe(page) == [], (name, language, scheme)
            assert fits(page), (name, language)
        for held in running.site.entrance.credentials.of(_subject(running)):
            if held.label != "a key":
                running.site.entrance.credentials.revoke(_subject(running), held.id)

    every_look(look)


def _subject(running: Running) -> str:
    return next(iter(running.site.store._sessions.values())).person.subject


def test_the_keyboard_is_enough(running: Running, browse: Watch) -> None:
    page = browse.open(f"{running.url}/sign-in")
    stops = walk(page)
    assert {"token"} <= {stop["id"] for stop in stops}
    assert all(stop["shown"] for stop in stops)
    account = sign_in(browse, running, key_of(running, Role.OPERATOR))
    account.goto(f"{running.url}/account")
    assert {"key-label", "token-label", "role-operator"} <= {stop["id"] for stop in walk(account)}


def test_another_sites_form_is_stopped_by_a_real_browser_too(
    running: Running, browse: Watch
) -> None:
    """The attacker's page has everything but our origin: even the token is right."""
    page = sign_in(browse, running, key_of(running, Role.OPERATOR))
    csrf = page.get_attribute("input[name=csrf]", "value")
    evil = "http://localhost:" + running.url.rpartition(":")[2]  # another site on this machine
    html = (
        f"<form method=post action='{running.url}/workers/w1/ban'>"
        f"<input name=csrf value='{csrf}'><input name=reason value=evil></form>"
    )
    browse.expect("request to another host")
    browse.expect("status of 4")
    page.route(f"{evil}/evil", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(f"{evil}/evil")
    page.evaluate("document.forms[0].submit()")
    page.wait_for_url(re.compile("/workers/w1/ban"))
    assert "forgery-refused" in page.content()
    assert running.site.done == []


def test_the_way_to_a_real_provider_and_back(browse: Watch, tmp_path: Path) -> None:
    """Two origins, a browser that sends Lax cookies where it does, and our policy on forms."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    provider = oidc_process.start(
        f"{origin}/sign-in/return", f"{origin}/sign-out", client_secret=SECRET
    )
    try:
        issuer = configured(tmp_path, provider.issuer)
        site = Site(origin=origin, issuer=issuer, clock=ManualClock(datetime.now(UTC)))
        server = run(site, port)
        browse.expect("request to another host")
        # The provider's sample pages want a font of some other host: nobody asks for it.
        browse.expect("Failed to load resource")
        page = browse.open(f"{origin}/workers")
        page.route(re.compile(r"https://"), lambda route: route.abort())
        page.click("text=Ville d'Essai >> nth=-1")
        page.fill("input[name=login]", "ada")
        page.fill("input[name=password]", "x")
        page.click("button[type=submit]")
        page.click("button[type=submit]")  # the provider asks whether we may know the name
        page.wait_for_url(f"{origin}/workers")
        assert "twelve workers" in page.content()
        server.stop()
    finally:
        provider.stop()
