"""What a reading against OWASP ASVS 5.0 (chapters 3, 6, 7, 10, 16) found, one test each."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.web.hostile_issuer import HostileIssuer, serving
from tests.web.signin_liar import come_back, leave, leave_again, refusal, trusting
from tests.web.signin_site import HTTPS, LOOPBACK, START, Site, present
from web.signin import lifetimes
from web.signin.errors import SignInRefused
from web.signin.memory import MemoryStore
from web.signin.roles import Role


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def issuer() -> Iterator[HostileIssuer]:
    with serving(START) as running:
        yield running


def test_3_4_1_browsers_are_told_to_come_by_tls_only() -> None:
    said = Site(origin=HTTPS).browser().get("/").header("strict-transport-security")
    assert said == "max-age=31536000; includeSubDomains"
    assert not Site(origin=LOOPBACK).browser().get("/").header("strict-transport-security")


@pytest.mark.parametrize("accept", ["text/event-stream", "text/html, text/event-stream"])
def test_7_3_1_a_live_page_that_nobody_looks_at_is_no_sign_of_its_person(
    site: Site, accept: str
) -> None:
    """htmx's extension, which says the second, asks for its stream again and again."""
    browser = site.enter(Role.OPERATOR)
    stream = {"accept": accept}
    for _ in range(6):
        assert browser.get("/mine", headers=stream, mode="cors", dest="empty").status == 200
        site.clock.advance(lifetimes.IDLE.total_seconds() / 6)
    assert browser.get("/workers").status == 303


def test_7_4_2_who_is_excluded_does_not_slip_in_by_a_key_meanwhile(site: Site) -> None:
    """The key is tried at the very moment between the two steps."""
    held = site.entrance.credentials.redeem(
        site.entrance.credentials.invite("Mallory", {Role.OPERATOR})
    )
    key = site.entrance.credentials.key(held.person)
    attacker = site.browser()
    page = attacker.get("/sign-in")
    tried: list[int] = []

    class Watching(MemoryStore):
        def end_sessions_of(self, subject: str) -> int:
            tried.append(attacker.send(page, "/sign-in", token=key).status)
            return super().end_sessions_of(subject)

    watching = Watching()
    watching.__dict__ |= site.store.__dict__
    site.entrance.sessions._store = watching
    site.shut_out(held.person.subject)
    assert tried == [403]
    assert attacker.get("/workers").status == 303


def test_7_4_5_every_session_can_be_ended_at_once(site: Site) -> None:
    first, second = site.enter(Role.OPERATOR), site.enter(Role.VIEWER, name="Bea")
    assert site.entrance.sessions.end_everybodys() == 2
    assert first.get("/workers").status == second.get("/workers").status == 303


def test_7_5_3_a_silent_single_sign_on_is_no_fresh_proof(issuer: HostileIssuer) -> None:
    """Most issuers say when the person proved it only if they are asked."""
    site = trusting(issuer)
    browser = site.browser()
    come_back(browser, issuer, leave(browser, issuer))
    assert browser.send(browser.get("/mine"), "/drain").status == 403
    come_back(browser, issuer, leave_again(browser, issuer))
    assert browser.send(browser.get("/mine"), "/drain").text == "drained"


def test_7_5_3_what_an_issuer_says_about_the_future_is_no_fresher_proof(
    issuer: HostileIssuer,
) -> None:
    site = trusting(issuer)
    browser = site.browser()
    state = leave(browser, issuer)
    issuer.claims = {"auth_time": int(START.timestamp()) + 7200}
    came = come_back(browser, issuer, state)
    if came.location == "/workers":
        site.clock.advance(lifetimes.FRESH.total_seconds() + 1)
        assert browser.send(browser.get("/mine"), "/drain").status == 403
    else:
        assert refusal(came) == "issuer-answer-refused"


def test_7_6_1_a_programs_token_does_not_outlive_its_owner_for_long(site: Site) -> None:
    person = site.entrance.credentials.redeem(
        site.entrance.credentials.invite("Ada", {Role.OPERATOR})
    ).person
    token = site.entrance.credentials.api(person, {Role.OPERATOR}, "n")
    site.clock.advance(30 * 24 * 3600)
    assert site.entrance.credentials.bearer(token) is None


def test_16_3_2_who_asks_for_what_others_may_do_is_noted_without_a_name(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    browser = site.enter(Role.AUTHOR, name="Mallory")
    assert browser.get("/workers?secret=1").status == 403
    (line,) = [one for one in caplog.messages if "other roles" in one]
    assert "Mallory" not in line
    assert "secret" not in line


def test_16_3_1_attempts_are_noted_good_and_bad(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    site.enter(Role.AUTHOR)
    present(site.browser(), "nonsense")
    assert any("signed in (invited): author" in line for line in caplog.messages)
    assert any("refused" in line for line in caplog.messages)


def test_a_form_of_a_session_that_ended_says_so(site: Site) -> None:
    browser = site.enter(Role.OPERATOR)
    page = browser.get("/mine")
    kept = dict(browser.jar)
    site.clock.advance(lifetimes.IDLE.total_seconds())
    answer = browser.send(page, "/workers/w1/ban", reason="late")
    assert answer.status == 401
    assert "not-signed-in" in answer.text
    assert site.done == []
    assert browser.jar == kept


def test_6_4_1_a_one_time_token_is_never_what_one_signs_in_with_for_long(site: Site) -> None:
    token = site.entrance.credentials.invite("Ada", {Role.VIEWER})
    held = site.entrance.credentials.redeem(token)
    assert site.entrance.credentials.key(held.person) != token
    with pytest.raises(SignInRefused):
        site.entrance.credentials.redeem(token)
