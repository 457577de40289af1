"""Attacks on and with tokens and keys: used twice, guessed, swapped, beside a session."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.web.hostile_issuer import HostileIssuer, serving
from tests.web.signin_liar import come_back, leave, trusting
from tests.web.signin_site import START, Site, present
from web.signin import lifetimes
from web.signin.credentials import Credential
from web.signin.memory import MemoryStore
from web.signin.pace import ALL_BURST, EACH_BURST
from web.signin.roles import Role
from web.signin.tickets import CredentialId, Ticket, opens

SESSION, DOOR = "__Host-cadastre-session", "__Host-cadastre-door"
EVIL = "https://evil.example"


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def issuer() -> Iterator[HostileIssuer]:
    with serving(START) as running:
        yield running


def test_a_one_time_token_opens_once_however_many_try_at_once(site: Site) -> None:
    token = site.entrance.credentials.invite("Ada", {Role.OPERATOR})
    answers: list[int] = []
    start = threading.Barrier(6)

    def run(count: int) -> None:
        browser = site.browser(address=f"198.51.100.{count}")
        page = browser.get("/sign-in")
        start.wait()
        answers.append(browser.send(page, "/sign-in", token=token).status)

    threads = [threading.Thread(target=run, args=(count,)) for count in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [303, 403, 403, 403, 403, 403]


def test_who_read_the_token_while_it_was_good_is_still_too_late(site: Site) -> None:
    """Between finding it and using it up somebody else uses it: only the store can tell."""
    token = site.entrance.credentials.invite("Ada", {Role.OPERATOR})
    quicker: list[str] = []

    class Slow(MemoryStore):
        def find_credential(self, credential: CredentialId) -> Credential | None:
            found = super().find_credential(credential)
            if not quicker:
                quicker.append("")
                quicker.append(site.entrance.credentials.redeem(token).person.name)
            return found

    slow = Slow()
    slow.__dict__ |= site.store.__dict__
    site.entrance.credentials._store = slow
    assert present(site.browser(), token).status == 403
    assert quicker == ["", "Ada"]
    assert site.store._sessions == {}


def test_every_bad_token_is_refused_in_the_same_words(site: Site) -> None:
    credentials = site.entrance.credentials
    used = credentials.invite("Ada", {Role.VIEWER})
    credentials.redeem(used)
    old = credentials.start()
    site.clock.advance(lifetimes.START_LIFE.total_seconds())
    holder = credentials.redeem(credentials.invite("Bea", {Role.VIEWER})).person
    revoked = credentials.key(holder)
    credentials.revoke_all(holder.subject)
    good = credentials.key(holder)
    forged = good[:-1] + ("A" if good[-1] != "A" else "B")
    unknown = "cadastre-sign-in-v1." + "A" * 64
    api = credentials.api(holder, {Role.VIEWER}, "n")
    answers = set()
    for bad in (used, old, revoked, forged, unknown, api, "", "hello", good + " x", "x" * 5000):
        answer = present(site.browser(address=f"203.0.113.{len(bad) % 250}"), bad)
        assert SESSION not in dict(answer.headers)
        answers.add((answer.status, answer.text.replace(good, "")))
    assert len(answers) == 1
    assert present(site.browser(), good).status == 303


class Watched(bytes):
    """Bytes that tell when somebody compares them the quick way, which stops at a difference."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared with ==, letter by letter")

    def __ne__(self, other: object) -> bool:
        raise AssertionError("compared with !=, letter by letter")

    __hash__ = bytes.__hash__


def test_secrets_are_not_compared_letter_by_letter(site: Site) -> None:
    import dataclasses

    browser = site.enter(Role.OPERATOR)
    for name, one in site.store._sessions.items():
        site.store._sessions[name] = dataclasses.replace(one, digest=Watched(one.digest))
    for ref, held in site.store._credentials.items():
        site.store._credentials[ref] = dataclasses.replace(held, digest=Watched(held.digest))
    assert browser.get("/workers").status == 200
    ticket = Ticket.read(browser.jar[SESSION])
    assert ticket is not None
    forged = Ticket(ticket.raw, ticket.secret[:31] + b"\0")
    assert not site.entrance.sessions.stands(forged)
    assert opens(ticket, Watched(ticket.digest))


def test_guessing_is_slowed_down_and_locks_nobody_else_out(site: Site) -> None:
    attacker = site.browser(address="198.51.100.66")
    page = attacker.get("/sign-in")
    statuses = [
        attacker.send(page, "/sign-in", token=f"cadastre-sign-in-v1.{count:064}").status
        for count in range(EACH_BURST + 5)
    ]
    assert statuses == [403] * EACH_BURST + [429] * 5
    token = site.entrance.credentials.invite("Ada", {Role.OPERATOR})
    assert present(site.browser(address="198.51.100.67"), token).status == 303


def test_one_person_who_signs_in_again_and_again_locks_nobody_out(site: Site) -> None:
    """Good attempts don't count: not for their network, and not for everybody together either."""
    credentials = site.entrance.credentials
    held = credentials.redeem(credentials.invite("Mallory", {Role.VIEWER}))
    key, own = credentials.key(held.person), credentials.invite("Ada", {Role.OPERATOR})
    for _ in range(ALL_BURST + 1):
        site.entrance.redeem(key, "198.51.100.66", None, "")
    assert present(site.browser(), own).status == 303


def test_a_whole_office_comes_in_by_the_issuer_at_once(issuer: HostileIssuer) -> None:
    """Who comes back as somebody has made two attempts, out and back, and both were good."""
    site = trusting(issuer)
    for _ in range(2 * EACH_BURST):
        browser = site.browser()
        answer = come_back(browser, issuer, leave(browser, issuer))
        assert (answer.status, answer.location) == (303, "/workers")


def test_a_header_does_not_change_whose_attempts_they_are(site: Site) -> None:
    attacker = site.browser()
    page = attacker.get("/sign-in")
    for count in range(EACH_BURST + 1):
        answer = attacker.post(
            "/sign-in",
            {"csrf": page.csrf, "token": "x"},
            headers={
                "x-forwarded-for": f"203.0.113.{count}",
                "forwarded": f"for=203.0.113.{count}",
            },
        )
    assert answer.status == 429


def test_guessing_programs_tokens_is_slowed_down(site: Site) -> None:
    attacker = site.browser(address="198.51.100.66")
    statuses = [
        attacker.get(
            "/api/v1/me", headers={"authorization": f"Bearer cadastre-api-v1.{count:064}"}
        ).status
        for count in range(EACH_BURST + 2)
    ]
    assert statuses == [401] * EACH_BURST + [429] * 2


def test_a_token_beside_a_session_is_the_tokens_or_nobodys(site: Site) -> None:
    """A bad Bearer never falls back to the cookie, which would get around the CSRF checks."""
    browser = site.enter(Role.OPERATOR)
    for bearer in ("Bearer x", "Bearer cadastre-api-v1." + "A" * 64, "Basic eDp5", "Bearer"):
        answer = browser.ask(
            "POST", "/api/v1/ban", headers={"authorization": bearer}, source=EVIL,
            mode="cors", dest="empty",
        )  # fmt: skip
        assert answer.status == 401
    assert site.done == []


def test_a_programs_token_opens_no_page_and_nothing_delicate(site: Site) -> None:
    person = site.entrance.credentials.redeem(
        site.entrance.credentials.invite("Ada", {Role.OPERATOR})
    ).person
    token = site.entrance.credentials.api(person, {Role.OPERATOR}, "n")
    headers = {"authorization": f"Bearer {token}"}
    program = site.browser()
    assert program.get("/workers", headers=headers).status == 303
    assert program.get("/account", headers=headers).status == 303
    assert program.post("/drain", headers=headers, source=None).status == 403
    assert present(program, token).status == 403


def test_a_session_cookie_is_no_token(site: Site) -> None:
    browser = site.enter(Role.OPERATOR)
    text = browser.jar[SESSION]
    for sent in (text, f"cadastre-api-v1.{text}"):
        answer = site.browser().get("/api/v1/me", headers={"authorization": f"Bearer {sent}"})
        assert answer.status == 401
    assert present(site.browser(), f"cadastre-sign-in-v1.{text}").status == 403


def test_delicate_things_want_a_fresh_proof_not_a_fresh_session(issuer: HostileIssuer) -> None:
    """A silent single sign-on makes a new session and proves nothing."""
    site = trusting(issuer)
    browser = site.browser()
    issuer.claims = {"auth_time": int(START.timestamp()) - 7200}
    assert come_back(browser, issuer, leave(browser, issuer)).status == 303
    answer = browser.send(browser.get("/mine"), "/drain")
    assert answer.status == 403
    assert site.done == []
