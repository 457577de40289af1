"""Attacks on sign-in, each as its attacker would make it; at the end nobody is where they aren't.

The issuer that lies is a real server (`hostile_issuer`); the browser that is abused behaves as
browsers do (`signin_browser`); the site is the real kit, gate and pages (`signin_site`).
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.web.hostile_issuer import ACCESS, CODE, HostileIssuer, serving
from tests.web.signin_browser import exchange, query
from tests.web.signin_liar import come_back, leave, leave_again, trusting
from tests.web.signin_site import HTTPS, LOOPBACK, START, Site, present
from web.signin import lifetimes
from web.signin.roles import Person, Role
from web.signin.sessions import Means
from web.signin.tickets import SessionId, Ticket

SESSION, DOOR = "__Host-cadastre-session", "__Host-cadastre-door"
EVIL = "https://evil.example"


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def issuer() -> Iterator[HostileIssuer]:
    with serving(START) as running:
        yield running


# Sessions that are none


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "x",
        "A" * 64,
        "A" * 63 + "é",
        "../../etc/passwd",
        "' OR 1=1 --",
        base64.urlsafe_b64encode(b"\0" * 48).decode(),
    ],
)
def test_a_forged_session_is_nobody(site: Site, forged: str) -> None:
    site.enter(Role.OPERATOR)
    attacker = site.browser()
    attacker.jar[SESSION] = forged
    answer = attacker.get("/workers")
    assert (answer.status, answer.location) == (303, "/sign-in?next=/workers")


def test_the_id_of_a_session_without_its_secret_is_nobody(site: Site) -> None:
    """Ids are shown, listed and logged: alone they open nothing."""
    browser = site.enter(Role.OPERATOR)
    ticket = Ticket.read(browser.jar[SESSION])
    assert ticket is not None
    attacker = site.browser()
    for secret in (b"\0" * 32, ticket.digest, hashlib.sha256(ticket.digest).digest()):
        attacker.jar[SESSION] = Ticket(ticket.raw, secret).reveal()
        assert attacker.get("/workers").status == 303
    assert browser.get("/workers").status == 200


def test_what_the_store_holds_opens_nothing(site: Site) -> None:
    """A stolen database: every digest in it, as cookie, token, key or state."""
    browser = site.enter(Role.OPERATOR)
    browser.send(browser.get("/account"), "/account/keys")
    held = [(one.id, one.digest) for one in site.store._sessions.values()]
    held += [(one.id, one.digest) for one in site.store._credentials.values()]  # type: ignore[misc]
    attacker = site.browser()
    for name, digest in held:
        text = Ticket(_bytes_of(name), digest).reveal()
        attacker.jar[SESSION] = text
        assert attacker.get("/workers").status == 303
        attacker.jar.pop(SESSION)
        assert present(attacker, f"cadastre-sign-in-v1.{text}").status == 403


def _bytes_of(name: str) -> bytes:
    letters = "0123456789abcdefghjkmnpqrstvwxyz"
    number = 0
    for letter in name.partition("_")[2]:
        number = number * 32 + letters.index(letter)
    return number.to_bytes(16, "big")


def test_an_expired_session_is_nobody_and_gone(site: Site) -> None:
    browser = site.enter(Role.OPERATOR)
    site.clock.advance(lifetimes.IDLE.total_seconds())
    assert browser.get("/workers").status == 303
    site.clock.jump(-2 * 3600)  # and setting the clock back brings it to life again for nobody
    assert browser.get("/workers").status == 303


def test_a_session_that_was_signed_out_cannot_be_replayed(site: Site) -> None:
    browser = site.enter(Role.OPERATOR)
    copy = site.browser()
    copy.jar = dict(browser.jar)
    assert copy.get("/workers").status == 200
    browser.send(browser.get("/mine"), "/sign-out")
    assert copy.get("/workers").status == 303


def test_two_cookies_of_one_name_are_none(site: Site) -> None:
    """Somebody planted theirs beside the victim's: which one is first is up to chance."""
    browser, attacker = site.enter(Role.VIEWER), site.enter(Role.OPERATOR, name="Mallory")
    both = f"{SESSION}={attacker.jar[SESSION]}; {SESSION}={browser.jar[SESSION]}"
    answer = site.browser().get("/workers", headers={"cookie": both})
    assert answer.status == 303


def test_a_page_after_the_sign_out_is_in_no_cache(site: Site) -> None:
    browser = site.enter(Role.OPERATOR)
    for path in ("/workers", "/mine", "/account", "/export"):
        assert browser.get(path).header("cache-control") == "no-store"


# Fixation


def test_a_sign_in_never_keeps_an_id_that_was_there_before(site: Site) -> None:
    """The attacker plants an id of their own, or one that they saw, and waits for the victim."""
    attacker = site.enter(Role.VIEWER, name="Mallory")
    planted = attacker.jar[SESSION]
    victim = site.browser()
    victim.jar[SESSION] = planted
    site.enter(Role.OPERATOR, browser=victim)
    assert victim.jar[SESSION] != planted
    assert attacker.get("/workers").status == 303, "the planted session has ended"
    assert victim.get("/workers").status == 200


def test_a_planted_unknown_id_is_not_adopted(site: Site) -> None:
    victim = site.browser()
    victim.jar[SESSION] = "A" * 64
    site.enter(Role.OPERATOR, browser=victim)
    assert victim.jar[SESSION] != "A" * 64
    assert all(one.id != "sess_" + "0" * 26 for one in site.store._sessions.values())


def test_the_door_cookie_ends_with_the_sign_in(site: Site) -> None:
    browser = site.browser()
    browser.get("/sign-in")
    door = browser.jar[DOOR]
    site.enter(Role.OPERATOR, browser=browser)
    assert DOOR not in browser.jar
    browser.send(browser.get("/mine"), "/sign-out")
    browser.get("/sign-in")
    assert browser.jar[DOOR] != door


# Role escalation by URL


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.AUTHOR])
@pytest.mark.parametrize(
    "path",
    [
        "/workers",
        "/workers?role=operator",
        "/workers?roles=operator&as=operator",
        "/workers/",
        "//workers",
        "/./workers",
        "/api/../workers",
        "/assets/../workers",
        "/assets/..%2fworkers",
        "/WORKERS",
        "/workers%00",
        "/workers;role=operator",
    ],
)
def test_another_role_sees_nothing_however_the_address_is_written(
    site: Site, role: Role, path: str
) -> None:
    browser = site.enter(role)
    answer = browser.get(path)
    assert answer.status != 200
    assert "twelve" not in answer.text


def test_methods_and_headers_that_claim_another_address_or_role_change_nothing(site: Site) -> None:
    browser = site.enter(Role.AUTHOR)
    for claimed in (
        {"x-original-url": "/", "x-rewrite-url": "/"},
        {"x-http-method-override": "GET"},
        {"x-forwarded-user": "operator", "remote-user": "operator", "x-roles": "operator"},
    ):
        assert browser.get("/workers", headers=claimed).status == 403
    page = browser.get("/mine")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = browser.ask(method, "/workers/w/ban", headers={"x-csrf-token": page.csrf})
        assert answer.status in {403, 405}
    assert site.done == []


def test_a_viewer_cannot_act(site: Site) -> None:
    browser = site.enter(Role.VIEWER)
    answer = browser.send(browser.get("/mine"), "/workers/w1/ban", reason="because")
    assert answer.status == 403
    assert site.done == []


def test_one_cannot_end_sessions_or_tokens_of_others(site: Site) -> None:
    victim, attacker = site.enter(Role.OPERATOR), site.enter(Role.OPERATOR, name="Mallory")
    victim.send(victim.get("/account"), "/account/keys")
    ticket = Ticket.read(victim.jar[SESSION])
    assert ticket is not None
    page = attacker.get("/account")
    session = ticket.name(SessionId)
    assert attacker.send(page, f"/account/sessions/{session}/end").status == 404
    subject = site.store._sessions[session].person.subject
    (key,) = site.entrance.credentials.of(subject)
    assert attacker.send(page, f"/account/credentials/{key.id}/revoke").status == 404
    assert victim.get("/workers").status == 200
    assert site.entrance.credentials.of(subject)


# Hosts, cookies, secrets


@pytest.mark.parametrize(
    "host",
    ["evil.example", "grille.example.fr.evil.example", "grille.example.fr:8443", "127.0.0.1", ""],
)
def test_another_host_name_is_not_answered(site: Site, host: str) -> None:
    """A name that an attacker points at this machine, so that browsers take it for theirs."""
    browser = site.enter(Role.OPERATOR)
    headers = [("host", host), ("cookie", f"{SESSION}={browser.jar[SESSION]}")]
    answer = exchange(site.app, "GET", "/workers", headers, b"", "192.0.2.1", HTTPS)
    assert answer.status == 421
    assert "twelve" not in answer.text


def test_only_whether_we_are_alive_is_told_by_any_name(site: Site) -> None:
    headers = [("host", "10.0.0.7:7481")]
    answer = exchange(site.app, "GET", "/healthz", headers, b"", "192.0.2.1", HTTPS)
    assert (answer.status, answer.text) == (200, "alive\n")
    assert exchange(site.app, "POST", "/healthz", headers, b"", "192.0.2.1", HTTPS).status == 405


def test_two_host_headers_are_none(site: Site) -> None:
    headers = [("host", "grille.example.fr"), ("host", "evil.example")]
    assert exchange(site.app, "GET", "/", headers, b"", "192.0.2.1", HTTPS).status == 421


def test_a_forwarded_scheme_or_host_changes_no_cookie(site: Site) -> None:
    browser = site.browser()
    answer = browser.get(
        "/sign-in",
        headers={"x-forwarded-proto": "http", "x-forwarded-host": "evil.example"},
    )
    (cookie,) = answer.all("set-cookie")
    assert cookie.startswith(f"{DOOR}=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")
    assert "evil" not in answer.text


def test_a_cookie_without_our_prefix_is_not_read_over_tls(site: Site) -> None:
    browser = site.enter(Role.OPERATOR)
    text = browser.jar[SESSION]
    for name in ("cadastre-session", "cadastre-session-443", "session", SESSION.lower()):
        other = site.browser()
        other.jar[name] = text
        assert other.get("/workers").status == 303


def test_nothing_secret_is_logged_shown_or_part_of_an_address(
    issuer: HostileIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    site = trusting(issuer)
    site.entrance.credentials.start()
    browser = site.browser()
    came = come_back(browser, issuer, leave_again(browser, issuer))
    page = browser.get("/account")
    shown = browser.send(page, "/account/tokens", label="n", **{"role-operator": "1"})
    token = shown.text.split("cadastre-api-v1.")[1][:64]
    site.browser().get("/api/v1/me", headers={"authorization": f"Bearer cadastre-api-v1.{token}"})
    present(site.browser(), "cadastre-sign-in-v1." + "S" * 64)
    issuer.claims = {"aud": "x"}
    other = site.browser()
    come_back(other, issuer, leave(other, issuer))
    secrets = [ACCESS, CODE, "S" * 64, token, browser.jar["cadastre-session-8480"], issuer.nonce]
    said = caplog.text + repr(site.entrance.__dict__) + repr(site.store.__dict__)
    for secret in secrets:
        assert secret not in said
    assert "Ada" not in caplog.text, "the log names nobody"
    assert "(claim " in caplog.text, "but says which check failed"
    assert browser.jar["cadastre-session-8480"] not in came.text + page.text + came.location


def test_the_verifier_is_sent_to_the_token_endpoint_alone(issuer: HostileIssuer) -> None:
    site = trusting(issuer)
    browser = site.browser()
    away = browser.get("/sign-in/away")
    asked = query(away.location)
    issuer.nonce = asked["nonce"]
    come_back(browser, issuer, asked["state"])
    (form,) = [form for path, form, _ in issuer.asked if path == "/token"]
    challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
    assert challenge.decode().rstrip("=") == asked["code_challenge"]
    assert form["code_verifier"] not in away.location
    assert form["redirect_uri"] == f"{LOOPBACK}/sign-in/return"
    assert form["grant_type"] == "authorization_code"


def test_sessions_of_one_person_and_of_all_are_bounded(site: Site) -> None:
    person = Person("local:x", "Ada", frozenset({Role.VIEWER}))
    tickets = []
    for _ in range(lifetimes.SESSIONS_EACH + 3):
        tickets.append(site.entrance.sessions.begin(person, Means.KEY))
        site.clock.advance(1)
    assert len(site.store._sessions) == lifetimes.SESSIONS_EACH
    assert site.entrance.sessions.find(tickets[0]) is None
    assert site.entrance.sessions.find(tickets[-1])


def test_a_person_is_counted_as_one_however_often_they_sign_in(site: Site) -> None:
    """Streams are shared out by this: a second browser or a new session is no second share."""
    credentials = site.entrance.credentials
    key = credentials.key(credentials.redeem(credentials.invite("Ada", {Role.VIEWER})).person)
    browsers = [site.browser(), site.browser()]
    for browser in browsers:
        assert present(browser, key).status == 303
    one, other = (browser.get("/api/v1/tag").json for browser in browsers)
    assert one == other != ""
    assert site.enter(Role.VIEWER).get("/api/v1/tag").json not in {one, ""}
    assert site.browser().get("/api/v1/tag").json == ""


def test_a_flood_of_ways_out_is_bounded_in_memory(issuer: HostileIssuer) -> None:
    site = trusting(issuer)
    statuses = [
        site.browser(address=f"198.51.{count}.1").get("/sign-in/away").status
        for count in range(230)
    ]
    assert statuses.count(429) >= 25
    assert len(site.store._departures) <= 205


def test_excluding_somebody_ends_all_they_have(site: Site) -> None:
    browser = site.enter(Role.OPERATOR)
    shown = browser.send(
        browser.get("/account"), "/account/tokens", label="n", **{"role-operator": "1"}
    )
    token = shown.text.split("cadastre-api-v1.")[1][:64]
    (held,) = site.store._sessions.values()
    assert site.shut_out(held.person.subject) == (1, 1)
    assert browser.get("/workers").status == 303
    bearer = {"authorization": f"Bearer cadastre-api-v1.{token}"}
    assert site.browser().get("/api/v1/me", headers=bearer).status == 401


def test_a_name_of_the_issuers_choice_cannot_write_our_page(issuer: HostileIssuer) -> None:
    site = trusting(issuer)
    browser = site.browser()
    issuer.claims = {"name": "<script>alert(1)</script>\n\u202eoperator"}
    come_back(browser, issuer, leave(browser, issuer))
    page = browser.get("/mine").text
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;" in page


def test_a_door_is_no_session_and_a_session_no_door(site: Site) -> None:
    browser = site.browser()
    browser.get("/sign-in")
    other = site.browser()
    other.jar[SESSION] = browser.jar[DOOR]
    assert other.get("/workers").status == 303
    signed = site.enter(Role.OPERATOR)
    planted = site.browser()
    planted.jar[DOOR] = signed.jar[SESSION]
    assert planted.get("/workers").status == 303


def test_a_session_outlives_no_departure_of_the_clock(site: Site) -> None:
    """A wall clock that was set far ahead and back again leaves nobody signed in for longer."""
    browser = site.enter(Role.OPERATOR)
    site.clock.jump(lifetimes.LONGEST_SESSION.total_seconds())
    assert browser.get("/workers").status == 303
    site.clock.jump(-lifetimes.LONGEST_SESSION.total_seconds())
    assert browser.get("/workers").status == 303
    assert timedelta(hours=12) == lifetimes.LONGEST_SESSION
