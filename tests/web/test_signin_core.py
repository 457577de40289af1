"""The pure parts of sign-in: tickets, sessions, credentials, departures, pace, paths, addresses."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.clock import ManualClock
from trust.entropy import seeded
from web.signin import forgery, lifetimes
from web.signin.address import PublicAddress
from web.signin.cookies import Cookies, Purpose
from web.signin.credentials import Credentials
from web.signin.departures import Departures, Way
from web.signin.errors import (
    ConfigurationRefused,
    NoSuchCredential,
    RequestRefused,
    SignInRefused,
    TooManyTries,
)
from web.signin.local_path import HOME, local_path, sign_in_path
from web.signin.memory import MemoryStore
from web.signin.pace import ALL_BURST, EACH_BURST, NETWORKS, Pace, network
from web.signin.roles import Person, Role, tidy_name
from web.signin.sessions import Means, Sessions
from web.signin.tickets import (
    CredentialId,
    SessionId,
    Ticket,
    from_letters,
    opens,
    read_letters,
    to_letters,
)

START = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
ADA = Person("https://issuer.example#ada", "Ada", frozenset({Role.OPERATOR, Role.AUTHOR}))
HTTPS = PublicAddress.parse("https://grille.example.fr")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def sessions(store: MemoryStore, clock: ManualClock) -> Sessions:
    return Sessions(store, clock, seeded(b"sessions"))


@pytest.fixture
def credentials(store: MemoryStore, clock: ManualClock) -> Credentials:
    return Credentials(store, clock, seeded(b"credentials"))


# Tickets


@given(st.binary(min_size=32, max_size=32))
def test_a_ticket_reads_what_it_reveals_and_shows_it_nowhere_else(seed: bytes) -> None:
    ticket = Ticket.draw(seeded(seed))
    text = ticket.reveal()
    assert Ticket.read(text) == ticket
    assert to_letters(ticket.secret) not in repr(ticket) + str(ticket)
    assert ticket.secret.hex() not in repr(ticket)


@pytest.mark.parametrize(
    "text", ["", "a" * 63, "a" * 65, "a" * 63 + "=", "é" * 64, "a" * 63 + "\n"]
)
def test_what_is_no_ticket_reads_as_none(text: str) -> None:
    assert Ticket.read(text) is None


def test_a_ticket_opens_its_own_digest_alone() -> None:
    one, other = Ticket.draw(seeded(b"1")), Ticket.draw(seeded(b"2"))
    assert opens(one, one.digest)
    assert not opens(one, other.digest)
    assert not opens(one, None)
    assert not opens(Ticket(one.raw, b"\0" * 32), None)


@given(st.binary(max_size=70))
def test_letters_have_one_spelling(data: bytes) -> None:
    text = to_letters(data)
    assert from_letters(text, len(data)) == data
    assert read_letters(text) == data
    if len(data) % 3 == 1:
        # Stray bits in the last letter: another spelling of the same bytes.
        assert from_letters(text[:-1] + chr(ord(text[-1]) + 1), len(data)) is None


# Sessions


def test_a_session_ends_after_an_hour_without_a_sign(
    sessions: Sessions, clock: ManualClock
) -> None:
    ticket = sessions.begin(ADA, Means.ISSUER)
    for _ in range(5):
        clock.advance(lifetimes.IDLE.total_seconds() - 1)
        assert sessions.find(ticket)
    clock.advance(lifetimes.IDLE.total_seconds())
    assert sessions.find(ticket) is None
    assert sessions.of(ADA.subject) == ()


def test_a_session_ends_after_twelve_hours_whatever_happens(
    sessions: Sessions, clock: ManualClock
) -> None:
    ticket = sessions.begin(ADA, Means.ISSUER)
    for _ in range(24):
        assert sessions.find(ticket)
        clock.advance(1800)
    assert sessions.find(ticket) is None
    assert not sessions.stands(ticket)


def test_asking_whether_a_session_stands_keeps_nobody_signed_in(
    sessions: Sessions, clock: ManualClock
) -> None:
    ticket = sessions.begin(ADA, Means.ISSUER)
    for _ in range(3):
        assert sessions.stands(ticket)
        clock.advance(1300)
    assert not sessions.stands(ticket)


def test_a_session_is_written_at_most_once_a_minute(
    sessions: Sessions, clock: ManualClock, store: MemoryStore
) -> None:
    ticket = sessions.begin(ADA, Means.ISSUER)
    clock.advance(59)
    sessions.find(ticket)
    held = store.find_session(ticket.name(SessionId))
    assert held is not None
    assert held.seen == START
    clock.advance(1)
    sessions.find(ticket)
    held = store.find_session(ticket.name(SessionId))
    assert held is not None
    assert held.seen == START + timedelta(seconds=60)


def test_a_clock_that_is_set_back_ends_no_session_and_lengthens_none(
    sessions: Sessions, clock: ManualClock
) -> None:
    ticket = sessions.begin(ADA, Means.ISSUER)
    clock.jump(-3600)
    assert sessions.find(ticket)
    clock.jump(3600 + 12 * 3600)
    assert sessions.find(ticket) is None


def test_the_store_has_no_secret(sessions: Sessions, store: MemoryStore) -> None:
    ticket = sessions.begin(ADA, Means.ISSUER)
    (held,) = store.sessions_of(ADA.subject)
    assert ticket.secret not in (held.digest, held.id.encode())
    assert to_letters(ticket.secret) not in repr(held)


def test_fewer_roles_end_the_sessions_that_have_more(sessions: Sessions) -> None:
    wide = sessions.begin(ADA, Means.ISSUER)
    less = Person(ADA.subject, ADA.name, frozenset({Role.AUTHOR}))
    narrow = sessions.begin(less, Means.ISSUER)
    assert sessions.narrow(less) == 1
    assert sessions.find(wide) is None
    assert sessions.find(narrow)


# Credentials


def test_an_invitation_signs_one_person_in_once(credentials: Credentials) -> None:
    text = credentials.invite("Béatrice", {Role.AUDITOR})
    found = credentials.redeem(f"  {text}\n")
    assert found.person.name == "Béatrice"
    assert found.person.roles == {Role.AUDITOR}
    assert found.person.local
    with pytest.raises(SignInRefused):
        credentials.redeem(text)


def test_a_start_token_lives_a_quarter_of_an_hour(
    credentials: Credentials, clock: ManualClock
) -> None:
    text = credentials.start()
    clock.advance(15 * 60 - 1)
    assert credentials.redeem(text).person.roles == {Role.OPERATOR}
    late = credentials.start()
    clock.advance(15 * 60)
    with pytest.raises(SignInRefused):
        credentials.redeem(late)


def test_a_new_start_token_takes_the_former_back(credentials: Credentials) -> None:
    former, new = credentials.start(), credentials.start()
    with pytest.raises(SignInRefused):
        credentials.redeem(former)
    assert credentials.redeem(new).person.local


@pytest.mark.parametrize(
    ("name", "roles", "life"),
    [
        ("", {Role.VIEWER}, timedelta(days=1)),
        ("two\nlines", {Role.VIEWER}, timedelta(days=1)),
        ("a" * 81, {Role.VIEWER}, timedelta(days=1)),
        ("turned \u202e round", {Role.VIEWER}, timedelta(days=1)),
        ("Ada", set(), timedelta(days=1)),
        ("Ada", {Role.VIEWER}, timedelta(days=15)),
        ("Ada", {Role.VIEWER}, timedelta()),
    ],
)
def test_an_invitation_that_cannot_be_is_refused(
    credentials: Credentials, name: str, roles: set[Role], life: timedelta
) -> None:
    with pytest.raises(RequestRefused):
        credentials.invite(name, roles, life=life)


def test_a_key_is_for_people_whom_no_issuer_knows(credentials: Credentials) -> None:
    with pytest.raises(RequestRefused):
        credentials.key(ADA)
    person = credentials.redeem(credentials.invite("Bea", {Role.VIEWER})).person
    key = credentials.key(person)
    assert credentials.redeem(key).person == person
    assert credentials.redeem(key).person == person


@pytest.mark.parametrize("roles", [set(), {Role.AUDITOR}, {Role.OPERATOR, Role.AUDITOR}])
def test_a_programs_token_never_has_more_than_its_owner(
    credentials: Credentials, roles: set[Role]
) -> None:
    with pytest.raises(RequestRefused):
        credentials.api(ADA, roles, "notebook")


def test_kinds_are_not_taken_for_each_other(credentials: Credentials) -> None:
    api = credentials.api(ADA, {Role.AUTHOR}, "notebook")
    invitation = credentials.invite("Bea", {Role.VIEWER})
    swapped = api.replace("cadastre-api-v1.", "cadastre-sign-in-v1.")
    for text in (api, swapped):
        with pytest.raises(SignInRefused):
            credentials.redeem(text)
    assert credentials.bearer(invitation) is None
    as_api = invitation.replace("cadastre-sign-in-v1.", "cadastre-api-v1.")
    assert credentials.bearer(as_api) is None
    assert credentials.redeem(invitation).person.local  # none of that used it up


def test_only_ones_own_are_taken_back(credentials: Credentials) -> None:
    text = credentials.api(ADA, {Role.AUTHOR}, "notebook")
    (held,) = credentials.of(ADA.subject)
    with pytest.raises(NoSuchCredential):
        credentials.revoke("local:somebody-else", held.id)
    assert credentials.bearer(text)
    credentials.revoke(ADA.subject, held.id)
    assert credentials.bearer(text) is None
    with pytest.raises(NoSuchCredential):
        credentials.revoke(ADA.subject, CredentialId.draw(seeded(b"none")))


def test_a_token_ends_with_the_role_it_was_made_with(credentials: Credentials) -> None:
    operator = credentials.api(ADA, {Role.OPERATOR}, "one")
    author = credentials.api(ADA, {Role.AUTHOR}, "two")
    assert credentials.narrow(Person(ADA.subject, "Ada", frozenset({Role.AUTHOR}))) == 1
    assert credentials.bearer(operator) is None
    assert credentials.bearer(author)


# Departures


def test_a_way_is_made_again_in_the_same_browser_only(clock: ManualClock) -> None:
    departures = Departures(MemoryStore(), clock, seeded(b"ways"))
    way = departures.leave(b"d" * 32, "https://issuer.example", "/workers", fresh=False)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", way.verifier)  # RFC 7636
    assert way.nonce != way.verifier
    arrived = departures.arrive(way.state, b"d" * 32)
    assert arrived is not None
    assert arrived[1] == way
    assert arrived[0].back_to == "/workers"
    ticket = Ticket.read(way.state)
    assert ticket is not None
    other = Way.of(ticket, b"e" * 32)
    assert other.nonce != way.nonce
    assert other.verifier != way.verifier


# Pace


def test_one_network_is_slowed_down_and_the_others_are_not(clock: ManualClock) -> None:
    pace = Pace(clock)
    for _ in range(EACH_BURST):
        pace.take("198.51.100.1")
    with pytest.raises(TooManyTries):
        pace.take("198.51.100.1")
    pace.take("198.51.100.2")
    clock.advance(6)
    pace.take("198.51.100.1")
    with pytest.raises(TooManyTries):
        pace.take("198.51.100.1")


def test_all_networks_together_are_slowed_down(clock: ManualClock) -> None:
    pace = Pace(clock)
    for count in range(ALL_BURST):
        pace.take(f"198.51.{count}.1")
    with pytest.raises(TooManyTries):
        pace.take("203.0.113.1")


def test_attempts_that_were_good_do_not_count(clock: ManualClock) -> None:
    pace = Pace(clock)
    for _ in range(3 * EACH_BURST):
        pace.take("198.51.100.1")
        pace.give_back("198.51.100.1")
        clock.advance(0.1)


def test_what_pace_remembers_is_bounded(clock: ManualClock) -> None:
    pace = Pace(clock)
    for count in range(NETWORKS + 100):
        clock.advance(1)
        pace.take(f"2001:db8:{count:x}::1")
    assert len(pace._each) == NETWORKS


def test_a_subscriber_is_one_network_whatever_address_they_take() -> None:
    assert network("2001:db8:1:2:3::4") == network("2001:db8:1:2:ffff::1")
    assert network("2001:db8:1:2::1") != network("2001:db8:1:3::1")
    assert network("::ffff:198.51.100.1") == network("198.51.100.1")
    assert network("") == network("testclient") == "unknown"


# Paths


@pytest.mark.parametrize(
    "path", ["/", "/workers", "/workers?state=late&sort=seen", "/log/12", "/a%20b?q=%C3%A9", "/~x"]
)
def test_a_page_of_ours_is_gone_back_to(path: str) -> None:
    assert local_path(path) == path


@given(st.text(max_size=60))
def test_whatever_is_asked_for_the_way_back_stays_here(text: str) -> None:
    for asked in (text, "/" + text, "//" + text, "/\\" + text):
        path = local_path(asked)
        assert path.startswith("/")
        assert not path.startswith("//")
        assert not set(path) & set("\\\r\n\t #<>\"'\0") - {"'"}


def test_the_sign_in_page_is_no_place_to_go_back_to() -> None:
    for path in ("/sign-in", "/sign-in?next=/x", "/sign-in/away", "/sign-out"):
        assert local_path(path) == HOME
    assert sign_in_path("/sign-in?next=%2Fsign-in") == "/sign-in"
    assert local_path("/sign-inventory") == "/sign-inventory"


# Addresses and cookies


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://Grille.Example.fr/", "https://grille.example.fr"),
        ("https://grille.example.fr:443", "https://grille.example.fr"),
        ("https://grille.example.fr:8443", "https://grille.example.fr:8443"),
        ("http://127.0.0.1:8480", "http://127.0.0.1:8480"),
        ("http://[::1]:8480", "http://[::1]:8480"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_a_public_address(text: str, origin: str) -> None:
    assert PublicAddress.parse(text).origin == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "grille.example.fr",
        "ftp://grille.example.fr",
        "http://grille.example.fr",
        "http://127.0.0.1.example.fr",
        "http://localhost.example.fr",
        "https://user:pass@grille.example.fr",
        "https://grille.example.fr/path",
        "https://grille.example.fr?x=1",
        "https://grille.example.fr#x",
        "https://grille.example.fr:99999",
        "https://gril le.example.fr",
        "https://grille.example.fr\\@evil.example",
        "https://",
        "https://grillé.example.fr",
    ],
)
def test_what_is_no_public_address(text: str) -> None:
    with pytest.raises(ConfigurationRefused):
        PublicAddress.parse(text)


def test_cookies_over_tls_are_of_this_host_only() -> None:
    cookies = Cookies(HTTPS)
    assert cookies.setting(Purpose.SESSION, "x") == (
        "__Host-cadastre-session=x; Path=/; HttpOnly; SameSite=Lax; Secure"
    )
    assert cookies.ending(Purpose.DOOR) == (
        "__Host-cadastre-door=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure"
    )


def test_cookies_on_this_machine_know_their_port() -> None:
    cookies = Cookies(PublicAddress.parse("http://127.0.0.1:8480"))
    assert cookies.setting(Purpose.SESSION, "x") == (
        "cadastre-session-8480=x; Path=/; HttpOnly; SameSite=Lax"
    )


# Forgery


def test_a_token_is_written_otherwise_each_time_and_belongs_to_one_secret() -> None:
    draws = seeded(b"pads")
    one, other = forgery.token(b"s" * 32, draws), forgery.token(b"s" * 32, draws)
    assert one != other
    assert forgery.belongs(one, b"s" * 32)
    assert forgery.belongs(other, b"s" * 32)
    assert not forgery.belongs(one, b"t" * 32)
    assert not forgery.belongs("", b"s" * 32)
    assert not forgery.belongs(one[:-1], b"s" * 32)
    # A page that shows the token shows nothing of the session's own secret.
    raw = from_letters(one, 64)
    assert raw is not None
    assert b"s" * 32 not in (raw[:32], raw[32:])


# People


def test_a_name_is_shown_on_one_line() -> None:
    assert tidy_name("  Ada\n<b>\u202eLovelace\x00 ") == "Ada <b> Lovelace"
    assert len(tidy_name("x" * 200)) == 80
    with pytest.raises(ValueError, match="name"):
        Person("local:x", "a\nb", frozenset())
    with pytest.raises(ValueError, match="subject"):
        Person("", "a", frozenset())
