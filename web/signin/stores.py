"""Where sign-in keeps what it must remember: ports, and what each of them promises.

Every method is one transaction: it happened entirely, durably and once, or not at all, also when
several programs share the store. Nothing here ever sees a secret, only SHA-256 digests. Whatever
`now` a method is given, the caller's clock said it. `sweep` may be called at any time and from
several programs; it removes nothing that could still open something.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from web.signin.credentials import Credential, CredentialKind
from web.signin.departures import Departure
from web.signin.sessions import Session
from web.signin.tickets import CredentialId, DepartureId, SessionId


class SessionStore(Protocol):
    """Sessions by their public id."""

    def add_session(
        self,
        session: Session,
        *,
        now: datetime,
        replacing: SessionId | None,
        each: int,
        most: int,
    ) -> None:
        """Keep `session`, end `replacing`, and the person's least recently seen beyond `each`.

        When `most` would be passed, those that are over at `now` are removed first. Raises
        TooManySessions when that is not enough; then nothing was changed.
        """
        ...

    def find_session(self, session: SessionId) -> Session | None:
        """The session, over or not; None once it was ended."""
        ...

    def touch_session(self, session: SessionId, seen: datetime) -> None:
        """Note a sign of the person; never back in time, and nothing for an ended session."""
        ...

    def end_session(self, session: SessionId) -> bool:
        """End it; whether it was there."""
        ...

    def end_sessions_of(self, subject: str) -> int:
        """End all of that person's; how many there were."""
        ...

    def end_every_session(self) -> int:
        """End all of everybody's; how many there were."""
        ...

    def sessions_of(self, subject: str) -> tuple[Session, ...]:
        """That person's sessions, over or not, in any order."""
        ...


class CredentialStore(Protocol):
    """Tokens and keys by their public id. Used and revoked ones are kept until they expire."""

    def add_credential(
        self, credential: Credential, *, now: datetime, each: int, most: int
    ) -> None:
        """Keep it. Raises TooManyCredentials beyond `each` good ones of a subject, `most` of all.

        Those that are not good at `now` do not count for `each`, and are removed when `most`
        would be passed.
        """
        ...

    def find_credential(self, credential: CredentialId) -> Credential | None:
        """The credential, good or not; None when there is none."""
        ...

    def use_once(self, credential: CredentialId, now: datetime) -> bool:
        """Use a one-time token up: True for exactly one caller, ever, and never once revoked."""
        ...

    def note_use(self, credential: CredentialId, now: datetime) -> None:
        """Write down that a key was used."""
        ...

    def revoke(self, credential: CredentialId, now: datetime) -> bool:
        """Take it back; whether it was there and not taken back before."""
        ...

    def revoke_kind(self, kind: CredentialKind, now: datetime) -> int:
        """Take back all of a kind; how many were not taken back before."""
        ...

    def credentials_of(self, subject: str) -> tuple[Credential, ...]:
        """That person's, good or not, in any order."""
        ...


class DepartureStore(Protocol):
    """Ways to the identity provider by their public id."""

    def add_departure(self, departure: Departure, *, now: datetime, most: int) -> None:
        """Keep it. When `most` would be passed those over at `now` go, then the oldest."""
        ...

    def find_departure(self, departure: DepartureId) -> Departure | None:
        """The departure; None when there is none or it was taken."""
        ...

    def take_departure(self, departure: DepartureId) -> bool:
        """Remove it: True for exactly one caller."""
        ...


class SignInStore(SessionStore, CredentialStore, DepartureStore, Protocol):
    """All of it, as a program gives it."""

    def sweep(self, now: datetime) -> int:
        """Remove what is over or expired at `now`; how many things that were."""
        ...
