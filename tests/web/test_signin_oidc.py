"""Sign-in at a certified OpenID Connect provider: npm's `oidc-provider`, in its own process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.web import oidc_process
from tests.web.oidc_process import Provider, Visitor
from tests.web.signin_browser import Answer, Browser, query
from tests.web.signin_site import LOOPBACK, Site
from trust.clock import ManualClock
from web.signin.oidc import configuration
from web.signin.oidc.configuration import IssuerConfiguration
from web.signin.roles import Role

pytestmark = [pytest.mark.external, pytest.mark.processes]
SECRET = "a client secret: of 40 letters, with + & %"
RETURN, LEFT = f"{LOOPBACK}/sign-in/return", f"{LOOPBACK}/sign-out"


def configured(folder: Path, issuer: str, **changes: object) -> IssuerConfiguration:
    secret = folder / "client-secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    plain: dict[str, object] = {
        "issuer": issuer,
        "client_id": "cadastre",
        "client_secret_file": "client-secret",
        "label": "Ville d'Essai",
        "roles": {"operator": ["grid-operators"], "auditor": ["grid-auditors"]},
    }
    return configuration.parse(plain | changes, folder)


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    running = oidc_process.start(RETURN, LEFT, client_secret=SECRET)
    yield running
    running.stop()


@pytest.fixture
def site(provider: Provider, tmp_path: Path) -> Site:
    return site_of(configured(tmp_path, provider.issuer))


def site_of(issuer: IssuerConfiguration) -> Site:
    # The provider has the machine's clock; ours stands still beside it.
    return Site(origin=LOOPBACK, issuer=issuer, clock=ManualClock(datetime.now(UTC)))


def sign_in(browser: Browser, name: str, back_to: str = "/workers") -> Answer:
    return come_back(browser, Visitor(name), back_to)


def come_back(browser: Browser, visitor: Visitor, back_to: str = "/workers") -> Answer:
    away = browser.get(f"/sign-in/away?next={back_to}")
    assert away.status == 303, away.text
    url = visitor.follow(away.location, LOOPBACK)
    parts = urlsplit(url)
    return browser.get(f"{parts.path}?{parts.query}", source="http://issuer.example")


def test_somebody_with_a_role_signs_in_and_is_where_they_wanted_to_be(site: Site) -> None:
    browser = site.browser()
    assert "Ville d&#39;Essai" in browser.get("/sign-in?lang=en").text
    answer = sign_in(browser, "ada", "/workers")
    assert (answer.status, answer.location) == (303, "/workers")
    assert browser.get("/workers").text == "twelve workers"
    (held,) = site.store._sessions.values()
    assert held.person.name == "Ada Lovelace"
    assert held.person.roles == {Role.OPERATOR}
    assert held.person.subject.endswith("#ada")


def test_the_request_carries_state_nonce_and_pkce(site: Site, provider: Provider) -> None:
    browser = site.browser()
    first = query(browser.get("/sign-in/away").location)
    second = query(browser.get("/sign-in/away").location)
    assert first["response_type"] == "code"
    assert first["code_challenge_method"] == "S256"
    assert first["redirect_uri"] == RETURN
    assert first["scope"] == "openid profile"
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
        assert len(first[name]) >= 43
    assert SECRET not in json.dumps(first)


def test_somebody_without_a_role_is_told_whom_to_ask(site: Site) -> None:
    browser = site.browser()
    answer = sign_in(browser, "nobody")
    assert answer.location == "/sign-in?refused=no-role"
    assert "équipe de la grille" in browser.get(answer.location).text
    assert site.store._sessions == {}
    assert browser.get("/workers").status == 303


def test_roles_open_what_they_open(site: Site) -> None:
    browser = site.browser()
    sign_in(browser, "bea")
    refused = browser.get("/workers")
    assert refused.status == 403
    assert "role-missing" in refused.text


def test_a_state_comes_back_once(site: Site) -> None:
    browser = site.browser()
    away = browser.get("/sign-in/away?next=/workers")
    url = urlsplit(Visitor("ada").follow(away.location, LOOPBACK))
    target = f"{url.path}?{url.query}"
    jar = dict(browser.jar)
    assert browser.get(target).status == 303
    replayed = Browser(site.app, LOOPBACK, jar=jar).get(target)
    assert replayed.location == "/sign-in?refused=sign-in-lost"


def test_a_code_is_redeemed_once(site: Site) -> None:
    """The provider refuses a code of a former way, and so do we."""
    browser = site.browser()
    visitor = Visitor("ada")
    first = query(visitor.follow(browser.get("/sign-in/away").location, LOOPBACK))
    browser.get("/sign-in/return?" + "&".join(f"{k}={v}" for k, v in first.items()))
    second = query(visitor.follow(browser.get("/sign-in/away").location, LOOPBACK))
    mixed = {**second, "code": first["code"]}
    answer = browser.get("/sign-in/return?" + "&".join(f"{k}={v}" for k, v in mixed.items()))
    assert answer.location == "/sign-in?refused=issuer-answer-refused"


def test_signing_out_leads_to_the_provider_and_back(site: Site) -> None:
    browser, visitor = site.browser(), Visitor("ada")
    come_back(browser, visitor)
    assert browser.send(browser.get("/mine"), "/sign-out").location == "/sign-out"
    page = browser.get("/sign-out?lang=en").text
    assert "Sign out at Ville d&#39;Essai too" in page
    farewell = site.entrance.flow.farewell(LEFT)  # type: ignore[union-attr]
    assert farewell.replace("&", "&amp;") in page
    assert visitor.follow(farewell, LOOPBACK).startswith(LEFT)


def test_a_delicate_action_makes_the_provider_ask_again(site: Site) -> None:
    browser = site.browser()
    visitor = Visitor("ada")
    come_back(browser, visitor)
    away = browser.get("/sign-in/away?next=/account&again=1")
    assert query(away.location)["max_age"] == "900"
    url = urlsplit(visitor.follow(away.location, LOOPBACK))
    assert browser.get(f"{url.path}?{url.query}").location == "/account"
    (held,) = site.store._sessions.values()
    assert held.proved <= held.started


def test_signing_in_again_ends_the_former_session(site: Site) -> None:
    browser = site.browser()
    sign_in(browser, "ada")
    (before,) = site.store._sessions
    sign_in(browser, "ada")
    (after,) = site.store._sessions
    assert before != after


@pytest.mark.parametrize(
    ("wanted", "changes"),
    [
        ({"client_secret": "s" * 40, "auth_method": "client_secret_post",
          "auth_methods": ["client_secret_post"]}, {}),
        ({}, {"client_secret_file": ""}),
        ({"client_secret": "s" * 40, "conform": True}, {"claims_from": "userinfo"}),
        ({"client_secret": "s" * 40, "conform": True, "signed_userinfo": True},
         {"claims_from": "userinfo"}),
    ],
    ids=["secret in the body", "public client", "userinfo", "signed userinfo"],
)  # fmt: skip
def test_other_customs_of_providers(
    tmp_path: Path, wanted: dict[str, object], changes: dict[str, object]
) -> None:
    running = oidc_process.start(RETURN, LEFT, **wanted)
    try:
        issuer = configured(tmp_path, running.issuer, **changes)
        if issuer.client_secret:
            (tmp_path / "client-secret").write_text("s" * 40)
            issuer = configuration.parse(
                {
                    "issuer": running.issuer,
                    "client_id": "cadastre",
                    "client_secret_file": "client-secret",
                    "roles": {"operator": ["grid-operators"]},
                }
                | changes,
                tmp_path,
            )
        browser = site_of(issuer).browser()
        answer = sign_in(browser, "ada")
        assert (answer.status, answer.location) == (303, "/workers"), answer.text
    finally:
        running.stop()


def test_a_wrong_secret_signs_nobody_in(provider: Provider, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("another secret")
    (tmp_path / "other").chmod(0o600)
    issuer = configured(tmp_path, provider.issuer, client_secret_file="other")
    browser = site_of(issuer).browser()
    answer = sign_in(browser, "ada")
    assert answer.location == "/sign-in?refused=issuer-answer-refused"


def test_a_provider_that_went_away_is_said_to_be_away(tmp_path: Path) -> None:
    issuer = configured(tmp_path, "http://127.0.0.1:9")
    answer = site_of(issuer).browser().get("/sign-in/away")
    assert answer.status == 503
    assert "issuer-unreachable" in answer.text


def test_the_lock_file_names_no_registry() -> None:
    lock = (oidc_process.SOURCE / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert json.loads(lock)["packages"][""]["dependencies"] == {"oidc-provider": "9.13.3"}
