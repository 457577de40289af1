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
from tests.web.browser import LANGUAGES, PHONE, SCHEMES, Watch, axe, fits, reachable
from tests.web.signin_site import Site
from tests.web.test_signin_oidc import SECRET, configured
from trust.clock import ManualClock
from web.serving import WebServer
from web.signin.roles import Role

pytestmark = [pytest.mark.external, pytest.mark.processes]


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


def test_what_only_signed_in_people_see_is_for_everybody(running: Running, browse: Watch) -> None:
    """What is shown once, what one holds, what was refused; the other pages are the scheduler's."""
    page = sign_in(browse, running, key_of(running, *Role), width=PHONE)
    for language in LANGUAGES:
        page.goto(f"{running.url}/account?lang={language}")
        for name in ("secret", "account", "refused"):
            if name == "secret":
                page.click("form[action='/account/keys'] button")
            elif name == "account":
                page.click("main a[href='/account']")
            else:
                page.goto(f"{running.url}/sign-in?again=1&refused=no-role")
            assert page.get_attribute("html", "lang") == language
            assert fits(page), (name, language)
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                assert axe(page) == [], (name, language, scheme)


def test_a_session_a_key_and_a_token_are_taken_back_on_the_page(
    running: Running, browse: Watch
) -> None:
    """Pressed by somebody who lost a computer: what it had opens nothing from then on."""
    browse.expect("status of 4")
    key = key_of(running, Role.OPERATOR)
    lost, page = sign_in(browse, running, key), sign_in(browse, running, key)
    secrets = []
    for form in ("keys", "tokens"):
        page.goto(f"{running.url}/account")
        page.fill(f"form[action='/account/{form}'] input[name=label]", f"perdu, {form}")
        for box in page.locator(f"form[action='/account/{form}'] input[type=checkbox]").all():
            box.check()
        page.click(f"form[action='/account/{form}'] button")
        secrets.append(page.inner_text("code.secret"))
    page.click("main a[href='/account']")
    assert reachable(page) == []

    def program() -> int:
        bearer = {"authorization": f"Bearer {secrets[1]}"}
        return int(lost.context.request.get(f"{running.url}/api/v1/me", headers=bearer).status)

    page.click("tr:not(:has-text('ce navigateur')) form[action*='/sessions/'] button")
    page.wait_for_url(f"{running.url}/account")
    lost.goto(f"{running.url}/mine")
    assert lost.url == f"{running.url}/sign-in?next=/mine"
    assert program() == 200
    for form in ("keys", "tokens"):
        page.click(f"tr:has-text('perdu, {form}') button")
        page.wait_for_selector(f"tr:has-text('perdu, {form}')", state="detached")
    assert program() == 401
    lost.fill("#token", secrets[0])
    lost.click("main button[type=submit]")
    assert lost.query_selector("main [role=alert]")
    assert page.goto(f"{running.url}/mine").status == 200, "whoever pressed is still here"


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
