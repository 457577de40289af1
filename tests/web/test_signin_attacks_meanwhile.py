"""Attacks in between: what was true when a request began, and is not when it acts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.web.hostile_issuer import HostileIssuer, serving
from tests.web.signin_browser import Answer, Browser
from tests.web.signin_liar import come_back, leave, trusting
from tests.web.signin_site import START, Site
from web.signin.credentials import Credential
from web.signin.memory import MemoryStore
from web.signin.roles import Person, Role
from web.signin.sessions import Session
from web.signin.tickets import CredentialId, SessionId, Ticket

SESSION = "__Host-cadastre-session"
Ending = Callable[[Site, Person, str], object]


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def issuer() -> Iterator[HostileIssuer]:
    with serving(START) as running:
        yield running


def insider(site: Site, *roles: Role) -> tuple[Browser, Person, str]:
    """Somebody signed in with a key of theirs: browser, person and key."""
    credentials = site.entrance.credentials
    person = credentials.redeem(credentials.invite("Mallory", roles)).person
    key = credentials.key(person)
    browser = site.browser()
    assert browser.send(browser.get("/sign-in"), "/sign-in", token=key).status == 303
    return browser, person, key


# A body that is held back: the head was sent while its sender was somebody


ENDINGS: dict[str, Ending] = {
    "they were excluded": lambda site, who, _: site.shut_out(who.subject),
    "they signed out everywhere": lambda site, who, _: site.entrance.sessions.end_all(who.subject),
    "everybody was signed out": lambda site, *_: site.entrance.sessions.end_everybodys(),
    "twelve hours went by": lambda site, *_: site.clock.advance(12 * 3600),
}


@pytest.mark.parametrize("how", ENDINGS)
@pytest.mark.parametrize("header", [False, True])
def test_a_body_that_was_held_back_does_nothing_for_a_session_that_ended(
    site: Site, how: str, header: bool
) -> None:
    browser, person, key = insider(site, Role.OPERATOR)
    csrf = browser.get("/mine").csrf
    sent = {"headers": {"x-csrf-token": csrf}} if header else {}
    answer = browser.post(
        "/workers/w1/ban",
        {"reason": "late", "csrf": csrf},
        meanwhile=lambda: ENDINGS[how](site, person, key),
        **sent,
    )
    assert answer.status == 401
    assert site.done == []


def test_a_body_that_was_held_back_makes_no_key_for_somebody_who_was_excluded(site: Site) -> None:
    browser, person, _ = insider(site, Role.OPERATOR)
    fields = {"label": "spare", "role-operator": "1", "csrf": browser.get("/account").csrf}
    for path in ("/account/tokens", "/account/keys"):
        answer = browser.post(path, fields, meanwhile=lambda: site.shut_out(person.subject))
        assert answer.status == 401
    assert site.entrance.credentials.of(person.subject) == ()


def test_a_body_that_was_held_back_does_nothing_with_a_token_taken_back(site: Site) -> None:
    _, person, _ = insider(site, Role.OPERATOR)
    token = site.entrance.credentials.api(person, {Role.OPERATOR}, "n")
    answer = site.browser().post(
        "/api/v1/workers/w1/ban",
        {"reason": "late"},
        headers={"authorization": f"Bearer {token}", "accept": "application/json"},
        meanwhile=lambda: site.shut_out(person.subject),
    )
    assert answer.status == 401
    assert site.done == []


# Between two steps of one deed


class Watching(MemoryStore):
    """Lets a test do something once, right before a step that it names."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, Callable[[], object]] = {}

    def add_session(self, session: Session, **options: Any) -> None:
        self.before.pop("add_session", bool)()
        super().add_session(session, **options)

    def add_credential(self, credential: Credential, **options: Any) -> None:
        self.before.pop("add_credential", bool)()
        super().add_credential(credential, **options)

    def end_session(self, session: SessionId) -> bool:
        self.before.pop("end_session", bool)()
        return super().end_session(session)

    def end_sessions_of(self, subject: str) -> int:
        self.before.pop("end_sessions_of", bool)()
        return super().end_sessions_of(subject)


@pytest.fixture
def watching() -> Watching:
    return Watching()


@pytest.mark.parametrize("once", [False, True])
def test_who_is_excluded_while_signing_in_is_not_in(watching: Watching, once: bool) -> None:
    """The key was good when it was looked at; the session is written after the exclusion."""
    site = Site(store=watching)
    credentials = site.entrance.credentials
    token = credentials.invite("Mallory", {Role.OPERATOR})
    subject = f"local:{Ticket.read(token.rpartition('.')[2]).name(CredentialId)}"  # type: ignore[union-attr]
    if not once:
        token = credentials.key(credentials.redeem(token).person)
    browser = site.browser()
    page = browser.get("/sign-in")
    watching.before["add_session"] = lambda: site.shut_out(subject)
    answer = browser.send(page, "/sign-in", token=token)
    assert answer.status == 403
    assert SESSION not in browser.jar
    assert site.entrance.sessions.of(subject) == ()


@pytest.mark.parametrize("path", ["/account/keys", "/account/tokens"])
@pytest.mark.parametrize("step", ["end_sessions_of", "add_credential"])
def test_who_is_being_excluded_keeps_nothing_made_meanwhile(
    watching: Watching, step: str, path: str
) -> None:
    """Between the two steps of the exclusion, and right after both of them."""
    site = Site(store=watching)
    browser, person, _ = insider(site, Role.OPERATOR)
    fields = {"label": "spare", "role-operator": "1", "csrf": browser.get("/account").csrf}

    def make() -> Answer:
        return browser.post(path, fields)

    if step == "end_sessions_of":
        watching.before[step] = lambda: apart(make)
        site.shut_out(person.subject)
    else:
        watching.before[step] = lambda: site.shut_out(person.subject)
        assert make().status == 401
    assert site.entrance.credentials.of(person.subject) == ()
    assert site.entrance.sessions.of(person.subject) == ()


def apart(deed: Callable[[], object]) -> None:
    """`deed` in a thread of its own, to its end."""
    thread = threading.Thread(target=deed)
    thread.start()
    thread.join()


def test_fewer_roles_take_back_what_was_made_meanwhile(
    watching: Watching, issuer: HostileIssuer
) -> None:
    """The old session makes a token of the role that a new sign-in has just taken away."""
    site = trusting(issuer, store=watching, roles={"operator": ["ops"], "viewer": ["look"]})
    issuer.claims = {"groups": ["ops"], "auth_time": int(START.timestamp())}
    old, new = site.browser(), site.browser()
    come_back(old, issuer, leave(old, issuer))
    csrf = old.get("/account").csrf
    fields = {"label": "spare", "role-operator": "1", "csrf": csrf}
    issuer.claims = {"groups": ["look"], "auth_time": int(START.timestamp())}
    watching.before["end_session"] = lambda: apart(lambda: old.post("/account/tokens", fields))
    come_back(new, issuer, leave(new, issuer))
    (subject,) = {one.person.subject for one in watching._sessions.values()}
    assert site.entrance.credentials.of(subject) == ()
