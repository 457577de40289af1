"""Attacks from other sites: forged requests, forged sign-ins, ways that lead elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.web.hostile_issuer import CODE, HostileIssuer, serving
from tests.web.signin_browser import Answer, Browser
from tests.web.signin_liar import come_back, leave, nobody_is_in, refusal, trusting
from tests.web.signin_site import HTTPS, START, Site
from web.signin.roles import Role

SESSION, DOOR = "__Host-cadastre-session", "__Host-cadastre-door"
EVIL = "https://evil.example"


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def issuer() -> Iterator[HostileIssuer]:
    with serving(START) as running:
        yield running


# CSRF


PARTS = '--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{}\r\n--x--\r\n'


def attempts(browser: Browser, csrf: str) -> dict[str, Answer]:
    """Every way in which another site, or a page without a token, can send the action."""
    path, form = "/workers/w1/ban", {"reason": "evil", "csrf": csrf}
    return {
        "another site's form, token and all": browser.post(path, form, source=EVIL),
        "a neighbour under our domain": browser.post(
            path, form, headers={"sec-fetch-site": "same-site", "origin": "https://x.example.fr"}
        ),
        "our host over http": browser.post(
            path, form, headers={"origin": HTTPS.replace("https", "http")}
        ),
        "an origin that begins like ours": browser.post(
            path, form, headers={"origin": f"{HTTPS}.evil.example"}
        ),
        "no origin at all": browser.ask(
            "POST", path, body=b"csrf=" + csrf.encode(), headers={
                "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "none"
            }, source=None,
        ),
        "no token": browser.post(path, {"reason": "evil"}),
        "an empty token": browser.post(path, {"reason": "evil", "csrf": ""}),
        "a token with a flipped letter": browser.post(
            path, {"reason": "evil", "csrf": ("B" if csrf[0] == "A" else "A") + csrf[1:]}
        ),
        "a token in the query": browser.post(f"{path}?csrf={csrf}", {"reason": "evil"}),
        "a token in a cookie": browser.post(
            path, {"reason": "evil"},
            headers={"cookie": f"csrf={csrf}; {SESSION}={browser.jar[SESSION]}"},
        ),
        "plain text, which forms may send": browser.ask(
            "POST", path, body=f"csrf={csrf}".encode(), headers={"content-type": "text/plain"}
        ),
        "many parts, which forms may send": browser.ask(
            "POST", path, body=PARTS.format(csrf).encode(),
            headers={"content-type": "multipart/form-data; boundary=x"},
        ),
        "JSON": browser.ask(
            "POST", path, body=json.dumps({"csrf": csrf}).encode(),
            headers={"content-type": "application/json"},
        ),
        "the token twice": browser.ask(
            "POST", path, body=f"csrf={csrf}&csrf={csrf}".encode(),
            headers={"content-type": "application/x-www-form-urlencoded"},
        ),
    }  # fmt: skip


def test_no_other_page_can_make_an_operator_act(site: Site) -> None:
    browser = site.enter(Role.OPERATOR)
    csrf = browser.get("/mine").csrf
    wrong = {
        how: (answer.status, site.done)
        for how, answer in attempts(browser, csrf).items()
        if answer.status != 403 or site.done
    }
    assert wrong == {}
    assert browser.post("/workers/w1/ban", {"reason": "right", "csrf": csrf}).text == "banned"
    assert site.done == ["w1: right"]


def test_a_token_of_somebody_else_or_of_an_earlier_session_is_none(site: Site) -> None:
    victim, attacker = site.enter(Role.OPERATOR), site.enter(Role.OPERATOR, name="Mallory")
    stolen = attacker.get("/mine").csrf
    assert victim.post("/workers/w1/ban", {"reason": "x", "csrf": stolen}).status == 403
    early = victim.get("/mine").csrf
    site.enter(Role.OPERATOR, browser=victim)
    assert victim.post("/workers/w1/ban", {"reason": "x", "csrf": early}).status == 403
    assert site.done == []


def test_a_get_changes_nothing(site: Site) -> None:
    browser = site.enter(Role.OPERATOR)
    assert browser.get("/workers/w1/ban?reason=x").status == 405
    assert browser.get("/sign-out").location == "/account"
    assert browser.get("/workers").status == 200


def test_a_script_of_our_own_sends_the_token_in_a_header(site: Site) -> None:
    browser = site.enter(Role.OPERATOR)
    csrf = browser.get("/mine").csrf
    options: dict[str, Any] = {"mode": "cors", "dest": "empty"}
    done = browser.post(
        "/workers/w1/ban", {"reason": "ok"}, headers={"x-csrf-token": csrf}, **options
    )
    assert done.text == "banned"
    wrong = browser.post("/workers/w1/ban", {"reason": "ok", "csrf": csrf},
                         headers={"x-csrf-token": csrf[:-4] + "AAAA"}, **options)  # fmt: skip
    assert wrong.status == 403


def test_nobody_is_signed_in_as_the_attacker(site: Site) -> None:
    """Login CSRF: another site sends the victim's browser the attacker's own token."""
    token = site.entrance.credentials.invite("Mallory", {Role.OPERATOR})
    attacker, victim = site.browser(), site.browser()
    csrf = attacker.get("/sign-in").csrf
    victim.get("/sign-in")
    fields = {"token": token, "csrf": csrf}
    assert victim.post("/sign-in", fields, source=EVIL).status == 403
    assert victim.post("/sign-in", fields).status == 403  # as if the origin could be forged
    assert SESSION not in victim.jar
    assert site.store._sessions == {}
    # Nor was the token used up by trying.
    assert attacker.post("/sign-in", fields).status == 303


def test_nobody_comes_back_from_the_issuer_as_the_attacker(issuer: HostileIssuer) -> None:
    """Login CSRF by link: the attacker's own code and state, in the victim's browser."""
    site = trusting(issuer)
    attacker, victim = site.browser(), site.browser()
    state = leave(attacker, issuer)
    leave(victim, issuer)
    answer = come_back(victim, issuer, state)
    assert refusal(answer) == "sign-in-lost"
    assert nobody_is_in(site, victim)
    # A state that reached another browser has leaked: it is worth nothing at home either.
    assert refusal(come_back(attacker, issuer, state)) == "sign-in-lost"


def test_a_picture_signs_nobody_in(issuer: HostileIssuer) -> None:
    site = trusting(issuer)
    browser = site.browser()
    for how in ({"mode": "no-cors", "dest": "image"}, {"mode": "navigate", "dest": "iframe"}):
        assert browser.get("/sign-in/away", source=EVIL, **how).status == 403
    assert browser.get("/sign-in/away", source=EVIL).status == 403  # a link of another site
    assert site.store._departures == {}
    state = leave(browser, issuer)
    url = f"/sign-in/return?code={CODE}&state={state}&iss={issuer.url}"
    assert browser.get(url, source=EVIL, mode="no-cors", dest="image").status == 403
    assert nobody_is_in(site, browser)


# Open redirects and header injection


WAYS_OUT = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "https://evil.example",
    "https:evil.example",
    "//evil.example/%2f..",
    "/%2f/evil.example",
    "/%2fevil.example",
    "/%5cevil.example",
    "/%255cevil.example",
    "/%252fevil.example",
    "/./%2fevil.example",
    "/..//evil.example",
    "/a/../../evil.example//x",
    "/\t/evil.example",
    "/%09/evil.example",
    "/%0a/evil.example",
    " //evil.example",
    "javascript:alert(1)",
    "/javascript:alert(1)//x",
    "data:text/html,x",
    "/@evil.example//",
    "https://grille.example.fr@evil.example",
    "https://grille.example.fr.evil.example",
    "/\u2215/evil.example",
    "/\uff0f/evil.example",
    "#//evil.example",
    "?next=//evil.example",
    "evil.example",
    "",
]


@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_way_back_leads_elsewhere(site: Site, way: str) -> None:
    person = site.entrance.credentials.redeem(site.entrance.credentials.invite("A", {Role.VIEWER}))
    key = site.entrance.credentials.key(person.person)
    browser = site.browser()
    page = browser.get(f"/sign-in?next={quote(way)}")
    assert 'name="next" value="/"' in page.text
    answer = browser.send(page, "/sign-in", token=key, next=way)
    assert (answer.status, answer.location) == (303, "/")
    assert browser.get(f"/sign-in?next={quote(way)}").location == "/"


@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_way_back_from_the_issuer_leads_elsewhere(issuer: HostileIssuer, way: str) -> None:
    site = trusting(issuer)
    browser = site.browser()
    answer = come_back(browser, issuer, leave(browser, issuer, quote(way)))
    assert (answer.status, answer.location) == (303, "/")


@pytest.mark.parametrize(
    "injected",
    [
        "/x\r\nSet-Cookie: a=b",
        "/x%0d%0aSet-Cookie:%20a=b",
        "/x%0aSet-Cookie:%20a=b",
        "/x\u560d\u560aSet-Cookie: a=b",
        "/x\x00y",
    ],
)
def test_no_header_is_injected_through_the_way_back(site: Site, injected: str) -> None:
    browser = site.browser()
    page = browser.get("/sign-in")
    token = site.entrance.credentials.invite("Ada", {Role.VIEWER})
    held = site.entrance.credentials.redeem(token).person
    answer = browser.send(
        page, "/sign-in", token=site.entrance.credentials.key(held), next=injected
    )
    assert answer.location == "/"
    for _, value in answer.headers:
        assert "a=b" not in value
        assert "\n" not in value
        assert "\r" not in value
