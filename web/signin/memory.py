"""A store in this process's memory: for one program, and gone with it.

Enough for a demonstration and for tests; a program that restarts without signing everybody out
keeps a database behind the same ports.
"""

from __future__ import annotations

import dataclasses
import threading
from datetime import datetime

from web.signin.credentials import Credential, CredentialKind
from web.signin.departures import Departure
from web.signin.errors import TooManyCredentials, TooManySessions
from web.signin.sessions import Session
from web.signin.tickets import CredentialId, DepartureId, SessionId


class MemoryStore:
    """Every port of `web.signin.stores`; one lock makes each method a transaction."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[SessionId, Session] = {}
        self._credentials: dict[CredentialId, Credential] = {}
        self._departures: dict[DepartureId, Departure] = {}

    def add_session(
        self,
        session: Session,
        *,
        now: datetime,
        replacing: SessionId | None,
        each: int,
        most: int,
    ) -> None:
        with self._lock:
            kept = {key: one for key, one in self._sessions.items() if key != replacing}
            subject = session.person.subject
            own = [one for one in kept.values() if one.person.subject == subject]
            own.sort(key=lambda one: one.seen)
            for surplus in own[: max(0, len(own) + 1 - each)]:
                del kept[surplus.id]
            if len(kept) >= most:
                kept = {key: one for key, one in kept.items() if not one.over(now)}
            if len(kept) >= most:
                raise TooManySessions
            self._sessions = {**kept, session.id: session}

    def find_session(self, session: SessionId) -> Session | None:
        with self._lock:
            return self._sessions.get(session)

    def touch_session(self, session: SessionId, seen: datetime) -> None:
        with self._lock:
            if found := self._sessions.get(session):
                self._sessions[session] = dataclasses.replace(found, seen=max(found.seen, seen))

    def end_session(self, session: SessionId) -> bool:
        with self._lock:
            return self._sessions.pop(session, None) is not None

    def end_sessions_of(self, subject: str) -> int:
        with self._lock:
            before = len(self._sessions)
            self._sessions = {
                key: one for key, one in self._sessions.items() if one.person.subject != subject
            }
            return before - len(self._sessions)

    def end_every_session(self) -> int:
        with self._lock:
            ended, self._sessions = len(self._sessions), {}
            return ended

    def sessions_of(self, subject: str) -> tuple[Session, ...]:
        with self._lock:
            return tuple(one for one in self._sessions.values() if one.person.subject == subject)

    def add_credential(
        self, credential: Credential, *, now: datetime, each: int, most: int
    ) -> None:
        with self._lock:
            subject = credential.person.subject
            own = [one for one in self._credentials.values() if one.person.subject == subject]
            if sum(one.good(now) for one in own) >= each:
                raise TooManyCredentials
            if len(self._credentials) >= most:
                self._credentials = {
                    key: one for key, one in self._credentials.items() if one.good(now)
                }
            if len(self._credentials) >= most:
                raise TooManyCredentials
            self._credentials[credential.id] = credential

    def find_credential(self, credential: CredentialId) -> Credential | None:
        with self._lock:
            return self._credentials.get(credential)

    def use_once(self, credential: CredentialId, now: datetime) -> bool:
        with self._lock:
            found = self._credentials.get(credential)
            if found is None or found.used is not None or found.revoked is not None:
                return False
            self._credentials[credential] = dataclasses.replace(found, used=now)
            return True

    def note_use(self, credential: CredentialId, now: datetime) -> None:
        with self._lock:
            if found := self._credentials.get(credential):
                self._credentials[credential] = dataclasses.replace(found, used=now)

    def revoke(self, credential: CredentialId, now: datetime) -> bool:
        with self._lock:
            return self._revoke(credential, now)

    def revoke_kind(self, kind: CredentialKind, now: datetime) -> int:
        with self._lock:
            of_kind = [one.id for one in self._credentials.values() if one.kind is kind]
            return sum(self._revoke(each, now) for each in of_kind)

    def credentials_of(self, subject: str) -> tuple[Credential, ...]:
        with self._lock:
            return tuple(one for one in self._credentials.values() if one.person.subject == subject)

    def add_departure(self, departure: Departure, *, now: datetime, most: int) -> None:
        with self._lock:
            if len(self._departures) >= most:
                self._departures = {
                    key: one for key, one in self._departures.items() if not one.over(now)
                }
            while len(self._departures) >= most:
                oldest = min(self._departures.values(), key=lambda one: one.left)
                del self._departures[oldest.id]
            self._departures[departure.id] = departure

    def find_departure(self, departure: DepartureId) -> Departure | None:
        with self._lock:
            return self._departures.get(departure)

    def take_departure(self, departure: DepartureId) -> bool:
        with self._lock:
            return self._departures.pop(departure, None) is not None

    def sweep(self, now: datetime) -> int:
        with self._lock:
            before = len(self._sessions) + len(self._credentials) + len(self._departures)
            self._sessions = {k: one for k, one in self._sessions.items() if not one.over(now)}
            self._credentials = {
                k: one for k, one in self._credentials.items() if now < one.expires
            }
            self._departures = {k: one for k, one in self._departures.items() if not one.over(now)}
            after = len(self._sessions) + len(self._credentials) + len(self._departures)
            return before - after

    def _revoke(self, credential: CredentialId, now: datetime) -> bool:
        found = self._credentials.get(credential)
        if found is None or found.revoked is not None:
            return False
        self._credentials[credential] = dataclasses.replace(found, revoked=now)
        return True
