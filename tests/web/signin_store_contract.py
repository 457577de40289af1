"""What every store of sign-in must do: memory here, a program's database where it is built.

A test module of a store subclasses `SignInStoreContract` and gives a fixture `store`, an empty one
for each test.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from trust.entropy import seeded
from web.signin import lifetimes
from web.signin.credentials import Credential, CredentialKind
from web.signin.departures import Departure
from web.signin.errors import TooManyCredentials, TooManySessions
from web.signin.roles import Person, Role
from web.signin.sessions import Means, Session
from web.signin.stores import SignInStore
from web.signin.tickets import CredentialId, DepartureId, SessionId, Ticket

NOW = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
ADA = Person("https://issuer.example#ada", "Ada Lovelace", frozenset({Role.OPERATOR, Role.AUTHOR}))
BEA = Person("local:bea", "Béatrice 东", frozenset({Role.VIEWER}))
_DRAWS = seeded(b"contract")
ALL = 1000


def session(person: Person = ADA, seen: datetime = NOW) -> Session:
    ticket = Ticket.draw(_DRAWS)
    return Session(
        id=ticket.name(SessionId),
        digest=ticket.digest,
        person=person,
        means=Means.ISSUER,
        proved=seen - timedelta(seconds=90),
        started=seen,
        seen=seen,
        ends=seen + lifetimes.LONGEST_SESSION,
    )


def credential(
    person: Person = BEA,
    kind: CredentialKind = CredentialKind.KEY,
    life: timedelta = timedelta(days=1),
) -> Credential:
    ticket = Ticket.draw(_DRAWS)
    return Credential(
        id=ticket.name(CredentialId),
        kind=kind,
        digest=ticket.digest,
        person=person,
        label="ce poste",
        issued_by="this machine",
        issued=NOW,
        expires=NOW + life,
    )


def departure(left: datetime = NOW) -> Departure:
    ticket = Ticket.draw(_DRAWS)
    return Departure(
        id=ticket.name(DepartureId),
        digest=ticket.digest,
        door=b"d" * 32,
        issuer="https://issuer.example",
        back_to="/workers?state=late",
        fresh=True,
        left=left,
    )


def together(count: int, deed: Callable[[], bool]) -> int:
    """How many of `count` threads that start at once were told True."""
    told: list[bool] = []
    gate = threading.Barrier(count)

    def run() -> None:
        gate.wait()
        told.append(deed())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(told)


class SignInStoreContract:
    """Run against every store."""

    def add(self, store: SignInStore, one: Session, **options: object) -> None:
        given: dict[str, object] = {"now": NOW, "replacing": None, "each": ALL, "most": ALL}
        store.add_session(one, **(given | options))  # type: ignore[arg-type]

    # Sessions

    def test_a_session_comes_back_whole(self, store: SignInStore) -> None:
        one, other = session(), session(BEA)
        self.add(store, one)
        self.add(store, other)
        assert store.find_session(one.id) == one
        assert store.find_session(other.id) == other
        assert store.sessions_of(ADA.subject) == (one,)

    def test_an_unknown_session_is_none(self, store: SignInStore) -> None:
        assert store.find_session(session().id) is None
        assert store.sessions_of(ADA.subject) == ()

    def test_a_new_session_ends_the_one_it_replaces(self, store: SignInStore) -> None:
        old, new, foreign = session(), session(), session(BEA)
        self.add(store, old)
        self.add(store, foreign)
        self.add(store, new, replacing=old.id)
        assert store.find_session(old.id) is None
        self.add(store, session(), replacing=foreign.id)  # somebody else signs in there
        assert store.find_session(foreign.id) is None

    def test_beyond_its_number_the_one_unseen_for_longest_ends(self, store: SignInStore) -> None:
        early, late = session(seen=NOW), session(seen=NOW + timedelta(minutes=1))
        self.add(store, late)
        self.add(store, early)
        self.add(store, other := session(BEA, seen=NOW - timedelta(minutes=9)), each=2)
        self.add(store, newest := session(seen=NOW + timedelta(minutes=2)), each=2)
        assert {one.id for one in store.sessions_of(ADA.subject)} == {late.id, newest.id}
        assert store.find_session(other.id) == other

    def test_the_number_of_all_is_bounded(self, store: SignInStore) -> None:
        first, second = session(), session(BEA)
        self.add(store, first, most=2)
        self.add(store, second, most=2)
        third = session(dataclasses.replace(BEA, subject="local:third"))
        with pytest.raises(TooManySessions):
            self.add(store, third, most=2)
        assert store.find_session(third.id) is None
        assert store.find_session(first.id) == first
        assert store.find_session(second.id) == second
        # Replacing one's own takes no further place.
        self.add(store, third, most=2, replacing=first.id)
        assert store.find_session(third.id) == third

    def test_a_refusal_ends_nothing(self, store: SignInStore) -> None:
        mine, others = session(), [session(BEA), session(BEA)]
        self.add(store, mine)
        for other in others:
            self.add(store, other)
        with pytest.raises(TooManySessions):
            self.add(store, session(), most=1, replacing=others[0].id)
        assert store.find_session(others[0].id) == others[0]
        assert store.find_session(mine.id) == mine

    def test_sessions_that_are_over_make_place(self, store: SignInStore) -> None:
        old = session(BEA, seen=NOW - lifetimes.IDLE)
        self.add(store, old, most=1)
        self.add(store, new := session(), most=1)
        assert store.find_session(old.id) is None
        assert store.find_session(new.id) == new

    def test_a_sign_of_the_person_never_goes_back_in_time(self, store: SignInStore) -> None:
        one = session()
        self.add(store, one)
        later = NOW + timedelta(minutes=5)
        store.touch_session(one.id, later)
        store.touch_session(one.id, NOW)
        assert store.find_session(one.id) == dataclasses.replace(one, seen=later)

    def test_an_ended_session_stays_ended(self, store: SignInStore) -> None:
        one = session()
        self.add(store, one)
        assert store.end_session(one.id)
        store.touch_session(one.id, NOW + timedelta(minutes=1))
        assert store.find_session(one.id) is None
        assert not store.end_session(one.id)

    def test_all_sessions_of_a_person_end_and_nobody_elses(self, store: SignInStore) -> None:
        other = session(BEA)
        for one in (session(), session(), other):
            self.add(store, one)
        assert store.end_sessions_of(ADA.subject) == 2
        assert store.end_sessions_of(ADA.subject) == 0
        assert store.find_session(other.id) == other

    def test_every_session_of_everybody_ends(self, store: SignInStore) -> None:
        for one in (session(), session(), session(BEA)):
            self.add(store, one)
        assert store.end_every_session() == 3
        assert store.end_every_session() == 0
        assert store.sessions_of(ADA.subject) == store.sessions_of(BEA.subject) == ()

    # Credentials

    def test_a_credential_comes_back_whole(self, store: SignInStore) -> None:
        one = credential()
        store.add_credential(one, now=NOW, each=ALL, most=ALL)
        assert store.find_credential(one.id) == one
        assert store.credentials_of(BEA.subject) == (one,)
        assert store.credentials_of(ADA.subject) == ()
        assert store.find_credential(credential().id) is None

    def test_a_one_time_token_is_used_once(self, store: SignInStore) -> None:
        one = credential(kind=CredentialKind.INVITATION)
        store.add_credential(one, now=NOW, each=ALL, most=ALL)
        assert store.use_once(one.id, NOW)
        assert not store.use_once(one.id, NOW)
        found = store.find_credential(one.id)
        assert found is not None
        assert found.used == NOW
        assert not found.good(NOW)
        assert not store.use_once(credential().id, NOW)

    def test_a_one_time_token_is_used_once_however_many_try(self, store: SignInStore) -> None:
        one = credential(kind=CredentialKind.START)
        store.add_credential(one, now=NOW, each=ALL, most=ALL)
        assert together(8, lambda: store.use_once(one.id, NOW)) == 1

    def test_what_was_taken_back_is_not_used(self, store: SignInStore) -> None:
        one = credential(kind=CredentialKind.INVITATION)
        store.add_credential(one, now=NOW, each=ALL, most=ALL)
        assert store.revoke(one.id, NOW)
        assert not store.revoke(one.id, NOW)
        assert not store.use_once(one.id, NOW)
        found = store.find_credential(one.id)
        assert found is not None
        assert found.revoked == NOW

    def test_a_kind_is_taken_back_and_no_other(self, store: SignInStore) -> None:
        starts = [credential(kind=CredentialKind.START) for _ in range(2)]
        key = credential()
        for one in (*starts, key):
            store.add_credential(one, now=NOW, each=ALL, most=ALL)
        assert store.revoke_kind(CredentialKind.START, NOW) == 2
        assert store.revoke_kind(CredentialKind.START, NOW) == 0
        assert store.find_credential(key.id) == key

    def test_a_use_of_a_key_is_noted(self, store: SignInStore) -> None:
        one = credential()
        store.add_credential(one, now=NOW, each=ALL, most=ALL)
        store.note_use(one.id, NOW + timedelta(hours=2))
        found = store.find_credential(one.id)
        assert found == dataclasses.replace(one, used=NOW + timedelta(hours=2))

    def test_the_credentials_of_a_person_are_bounded(self, store: SignInStore) -> None:
        one = credential()
        store.add_credential(one, now=NOW, each=1, most=ALL)
        with pytest.raises(TooManyCredentials):
            store.add_credential(credential(), now=NOW, each=1, most=ALL)
        store.add_credential(credential(ADA), now=NOW, each=1, most=ALL)
        store.revoke(one.id, NOW)
        store.add_credential(two := credential(), now=NOW, each=1, most=ALL)
        assert store.find_credential(two.id) == two

    def test_the_credentials_of_all_are_bounded(self, store: SignInStore) -> None:
        one = credential(life=timedelta(hours=1))
        store.add_credential(one, now=NOW, each=ALL, most=1)
        with pytest.raises(TooManyCredentials):
            store.add_credential(credential(ADA), now=NOW, each=ALL, most=1)
        later = NOW + timedelta(hours=1)
        store.add_credential(credential(ADA), now=later, each=ALL, most=1)
        assert store.find_credential(one.id) is None

    # Departures

    def test_a_departure_comes_back_whole_and_is_taken_once(self, store: SignInStore) -> None:
        one = departure()
        store.add_departure(one, now=NOW, most=ALL)
        assert store.find_departure(one.id) == one
        assert store.take_departure(one.id)
        assert not store.take_departure(one.id)
        assert store.find_departure(one.id) is None

    def test_a_departure_is_taken_once_however_many_try(self, store: SignInStore) -> None:
        one = departure()
        store.add_departure(one, now=NOW, most=ALL)
        assert together(8, lambda: store.take_departure(one.id)) == 1

    def test_departures_are_bounded_the_oldest_goes(self, store: SignInStore) -> None:
        old, young = departure(), departure(NOW + timedelta(seconds=1))
        store.add_departure(young, now=NOW, most=2)
        store.add_departure(old, now=NOW, most=2)
        store.add_departure(new := departure(NOW + timedelta(seconds=2)), now=NOW, most=2)
        assert store.find_departure(old.id) is None
        assert store.find_departure(young.id) == young
        assert store.find_departure(new.id) == new

    # All of it

    def test_sweeping_removes_what_is_over_and_nothing_else(self, store: SignInStore) -> None:
        idle = session(seen=NOW - lifetimes.IDLE)
        live, key, gone = session(), credential(), credential(life=timedelta(seconds=-1))
        late, way = departure(NOW - lifetimes.DEPARTURE_LIFE), departure()
        for one in (idle, live):
            self.add(store, one)
        for each in (key, gone):
            store.add_credential(each, now=NOW, each=ALL, most=ALL)
        for on_the_way in (late, way):
            store.add_departure(on_the_way, now=NOW, most=ALL)
        assert store.sweep(NOW) == 3
        assert store.sweep(NOW) == 0
        assert store.find_session(idle.id) is None
        assert store.find_session(live.id) == live
        assert store.find_credential(gone.id) is None
        assert store.find_credential(key.id) == key
        assert store.find_departure(late.id) is None
        assert store.find_departure(way.id) == way

    def test_a_used_token_is_remembered_until_it_expires(self, store: SignInStore) -> None:
        one = credential(kind=CredentialKind.INVITATION)
        store.add_credential(one, now=NOW, each=ALL, most=ALL)
        store.use_once(one.id, NOW)
        store.sweep(NOW)
        assert store.find_credential(one.id) is not None
