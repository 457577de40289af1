"""Sessions: what a browser holds after a sign-in, and when it ends.

The cookie is a ticket; the store has the session under its public id with the secret's digest.
An id never outlives the roles that it was issued for: a sign-in always draws a new one and ends
the one the browser had, and whoever changes a person's roles ends that person's sessions.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from trust.clock import Clock
from trust.entropy import Entropy
from web.signin import lifetimes
from web.signin.roles import Person
from web.signin.tickets import SessionId, Ticket, opens

if TYPE_CHECKING:
    from web.signin.stores import SessionStore


class Means(enum.StrEnum):
    """How somebody proved who they are."""

    ISSUER = "issuer"  # at the identity provider
    INVITED = "invited"  # with a one-time token
    KEY = "key"  # with a key of their own
    API = "api"  # a program with a person's token: no session, each call by itself


@dataclass(frozen=True)
class Session:
    """One sign-in of one browser. Times are aware UTC."""

    id: SessionId
    digest: bytes = field(repr=False)  # 32 bytes
    person: Person
    means: Means
    proved: datetime  # when the person last proved who they are; the issuer may say earlier
    started: datetime
    seen: datetime
    ends: datetime

    def over(self, now: datetime) -> bool:
        """Whether it has ended by itself: too old, or too long without a sign."""
        return now >= self.ends or now - self.seen >= lifetimes.IDLE

    def fresh(self, now: datetime) -> bool:
        """Whether the person proved lately who they are."""
        return now - self.proved <= lifetimes.FRESH


class Sessions:
    """Begins, finds and ends sessions."""

    def __init__(self, store: SessionStore, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy

    def begin(
        self,
        person: Person,
        means: Means,
        *,
        replacing: Ticket | None = None,
        proved: datetime | None = None,
    ) -> Ticket:
        """A new session's ticket; the session that `replacing` opens has ended.

        Raises TooManySessions.
        """
        now = self._clock.now()
        ticket = Ticket.draw(self._entropy)
        session = Session(
            id=ticket.name(SessionId),
            digest=ticket.digest,
            person=person,
            means=means,
            proved=min(now, proved or now),
            started=now,
            seen=now,
            ends=now + lifetimes.LONGEST_SESSION,
        )
        former = self._opened(replacing)
        self._store.add_session(
            session,
            now=now,
            replacing=former.id if former else None,
            each=lifetimes.SESSIONS_EACH,
            most=lifetimes.SESSIONS_ALL,
        )
        return ticket

    def find(self, ticket: Ticket, *, sign: bool = True) -> Session | None:
        """The live session that `ticket` opens; None when there is none.

        `sign` is whether the request is one of the person, and so keeps the session alive.
        """
        session = self._opened(ticket)
        if session is None:
            return None
        now = self._clock.now()
        if session.over(now):
            self._store.end_session(session.id)
            return None
        if sign and now - session.seen >= lifetimes.TOUCH_EVERY:
            self._store.touch_session(session.id, now)
        return session

    def stands(self, ticket: Ticket) -> bool:
        """Whether `ticket` still opens a live session; asking is no sign of the person."""
        session = self._opened(ticket)
        return session is not None and not session.over(self._clock.now())

    def end(self, ticket: Ticket) -> None:
        """End the session that `ticket` opens, if there is one."""
        if session := self._opened(ticket):
            self._store.end_session(session.id)

    def end_one(self, subject: str, session: SessionId) -> bool:
        """End that session if it is one of `subject`'s; whether it was."""
        return any(held.id == session for held in self.of(subject)) and self._store.end_session(
            session
        )

    def end_all(self, subject: str) -> int:
        """End every session of `subject`; how many there were."""
        return self._store.end_sessions_of(subject)

    def narrow(self, person: Person) -> int:
        """End every session that has roles which the person has no more; how many."""
        beyond = [one for one in self.of(person.subject) if not one.person.roles <= person.roles]
        return sum(self._store.end_session(one.id) for one in beyond)

    def end_everybodys(self) -> int:
        """End every session there is; how many there were."""
        return self._store.end_every_session()

    def of(self, subject: str) -> tuple[Session, ...]:
        """The live sessions of `subject`, the one seen last first."""
        now = self._clock.now()
        live = (one for one in self._store.sessions_of(subject) if not one.over(now))
        return tuple(sorted(live, key=lambda one: one.seen, reverse=True))

    def _opened(self, ticket: Ticket | None) -> Session | None:
        if ticket is None:
            return None
        session = self._store.find_session(ticket.name(SessionId))
        return session if opens(ticket, session.digest if session else None) else None
