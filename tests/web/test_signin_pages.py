"""Signing in and out as a person does it, by token and by key, on the real pages."""

from __future__ import annotations

import re

import pytest

from tests.web.signin_site import HTTPS, LOOPBACK, Site, present
from web.signin.roles import Role


@pytest.fixture(params=[HTTPS, LOOPBACK])
def site(request: pytest.FixtureRequest) -> Site:
    return Site(origin=request.param)


def test_a_page_for_people_leads_to_the_sign_in_and_from_there_back(site: Site) -> None:
    browser = site.browser()
    answer = browser.get("/workers?state=late&sort=seen")
    assert answer.status == 303
    assert answer.location == "/sign-in?next=/workers%3Fstate%3Dlate%26sort%3Dseen"
    page = browser.get(answer.location)
    assert page.status == 200
    token = site.entrance.credentials.invite("Ada", {Role.VIEWER})
    browser.send(page, "/sign-in", token=token, next="/workers?state=late&sort=seen")
    assert browser.get("/workers").text == "twelve workers"


def test_the_first_operator_comes_in_by_the_printed_token_and_makes_a_key(site: Site) -> None:
    address, token = site.entrance.start_line()
    assert address == f"{site.origin}/sign-in#{token}"
    browser = site.browser()
    assert present(browser, token).location == "/account"
    page = browser.get("/account")
    assert "administration" in page.text
    shown = browser.send(page, "/account/keys", label="this computer")
    key = re.search(r"cadastre-sign-in-v1\.[A-Za-z0-9_-]{64}", shown.text)
    assert shown.status == 200
    assert key
    assert shown.header("cache-control") == "no-store"
    # The next day, from another browser: the one-time token opens nothing, the key does.
    site.clock.advance(24 * 3600)
    other = site.browser()
    assert present(other, token).status == 403
    answer = present(other, key[0], "/workers")
    assert (answer.status, answer.location) == (303, "/workers")
    assert other.get("/workers").text == "twelve workers"


def test_every_page_leads_to_ones_account(site: Site) -> None:
    """Keys and tokens are made there: who signed in with a key never came past it again."""
    there = '<a href="/account"'
    assert there in site.enter(Role.AUTHOR).get("/mine").text
    assert there not in site.browser().get("/sign-in").text


def test_signing_out_ends_the_session_on_the_server_too(site: Site) -> None:
    browser = site.enter(Role.OPERATOR)
    page = browser.get("/mine")
    kept = dict(browser.jar)
    answer = browser.send(page, "/sign-out")
    assert (answer.status, answer.location) == (303, "/sign-out")
    assert browser.jar == {}
    assert "Signed out" in browser.get("/sign-out?lang=en").text
    browser.jar = kept  # a copy of the cookie is worth nothing now
    assert browser.get("/workers").status == 303


def test_signing_out_everywhere(site: Site) -> None:
    token = site.entrance.credentials.invite("Ada", {Role.OPERATOR})
    first = site.browser()
    present(first, token)
    shown = first.send(first.get("/account"), "/account/keys")
    key = re.search(r"cadastre-sign-in-v1\.\S{64}", shown.text)
    assert key
    second = site.browser()
    present(second, key[0])
    stranger = site.enter(Role.OPERATOR, name="Bea")
    first.send(first.get("/account"), "/sign-out", everywhere="1")
    assert second.get("/workers").status == 303
    assert stranger.get("/workers").status == 200


def test_one_session_of_several_is_ended_from_the_account(site: Site) -> None:
    browser = site.enter(Role.OPERATOR)
    shown = browser.send(browser.get("/account"), "/account/keys")
    key = re.search(r"cadastre-sign-in-v1\.\S{64}", shown.text)
    assert key
    other = site.browser()
    present(other, key[0])
    page = browser.get("/account")
    names = re.findall(r"/account/sessions/(sess_\w+)/end", page.text)
    assert len(names) == 2
    own = re.search(r"<code>(sess_\w+)…</code> \(", page.text)
    assert own
    (theirs,) = [name for name in names if not name.startswith(own[1])]
    assert browser.send(page, f"/account/sessions/{theirs}/end").location == "/account"
    assert other.get("/workers").status == 303
    assert browser.get("/workers").status == 200


def test_a_program_uses_its_token_until_it_is_taken_back(site: Site) -> None:
    browser = site.enter(Role.OPERATOR, Role.AUDITOR)
    page = browser.get("/account")
    shown = browser.send(page, "/account/tokens", label="notebook", **{"role-auditor": "1"})
    token = re.search(r"cadastre-api-v1\.[A-Za-z0-9_-]{64}", shown.text)
    assert token
    program = site.browser()
    bearer = {"authorization": f"Bearer {token[0]}", "accept": "application/json"}
    answer = program.get("/api/v1/me", headers=bearer)
    assert answer.json == {"name": "Ada", "roles": ["auditor"]}
    refused = program.ask("POST", "/api/v1/ban", headers=bearer, source=None)
    assert (refused.status, refused.json["code"]) == (403, "role-missing")
    page = browser.get("/account")
    (name,) = re.findall(r"/account/credentials/(cred_\w+)/revoke", page.text)
    browser.send(page, f"/account/credentials/{name}/revoke")
    assert program.get("/api/v1/me", headers=bearer).status == 401


def test_a_program_may_act_without_a_form_token(site: Site) -> None:
    browser = site.enter(Role.OPERATOR)
    shown = browser.send(
        browser.get("/account"), "/account/tokens", label="n", **{"role-operator": "1"}
    )
    token = re.search(r"cadastre-api-v1\.\S{64}", shown.text)
    assert token
    answer = site.browser().ask(
        "POST", "/api/v1/ban", headers={"authorization": f"Bearer {token[0]}"}, source=None
    )
    assert answer.json == {"banned": True}


def test_new_keys_want_a_recent_sign_in(site: Site) -> None:
    browser = site.enter(Role.OPERATOR)
    page = browser.get("/account")
    site.clock.advance(16 * 60)
    refused = browser.send(page, "/account/keys")
    assert refused.status == 403
    assert "sign-in-stale" in refused.text
    assert "again=1" in browser.get("/account").text


def test_who_is_signed_in_is_not_asked_again(site: Site) -> None:
    browser = site.enter(Role.VIEWER)
    assert browser.get("/sign-in?next=/workers").location == "/workers"
    assert browser.get("/sign-in?again=1").status == 200
    assert browser.get("/sign-out").location == "/account"


def test_a_part_of_a_page_sends_the_whole_page_to_the_sign_in(site: Site) -> None:
    answer = site.browser().get(
        "/workers",
        headers={"hx-request": "true", "hx-current-url": f"{site.origin}/workers?sort=seen"},
        mode="cors",
        dest="empty",
    )
    assert answer.header("hx-redirect") == "/sign-in?next=/workers%3Fsort%3Dseen"


def test_a_stream_ends_soon_after_its_session(site: Site) -> None:
    browser = site.enter(Role.OPERATOR)
    (session,) = site.store._sessions.values()
    site.watched = session.person.subject
    answer = browser.get("/live")
    assert answer.status == 200
    assert 4 <= answer.body.count(b"tick") <= 8


@pytest.mark.parametrize("language", ["fr", "en"])
def test_pages_speak_both_languages(site: Site, language: str) -> None:
    word = {"fr": "Se connecter", "en": "Sign in"}[language]
    assert word in site.browser().get(f"/sign-in?lang={language}").text
