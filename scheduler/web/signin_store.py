"""Sign-in's ports on the scheduler's store: each method one transaction, group commit and all."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, CursorResult, Executable
from sqlmodel import SQLModel, col, delete, func, or_, select, update

from scheduler.store.store import Store, Transaction
from scheduler.store.tables import WebCredentialRow, WebDepartureRow, WebSessionRow
from web.signin import lifetimes
from web.signin.credentials import Credential, CredentialKind
from web.signin.departures import Departure
from web.signin.errors import TooManyCredentials, TooManySessions
from web.signin.roles import Person, Role, in_order
from web.signin.sessions import Means, Session
from web.signin.tickets import CredentialId, DepartureId, SessionId

T = TypeVar("T")


class SignInTables:
    """Every port of `web.signin.stores`, in the database of one scheduler."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add_session(
        self,
        session: Session,
        *,
        now: datetime,
        replacing: SessionId | None,
        each: int,
        most: int,
    ) -> None:
        """As the port says; a refusal rolls all of it back."""
        subject = session.person.subject

        def add(tx: Transaction) -> None:
            if replacing is not None:
                _remove(tx, WebSessionRow, col(WebSessionRow.id) == replacing)
            own = tx.session.exec(
                select(WebSessionRow)
                .where(WebSessionRow.subject == subject)
                .order_by(col(WebSessionRow.seen))
            ).all()
            for surplus in own[: max(0, len(own) + 1 - each)]:
                tx.session.delete(surplus)
            tx.session.flush()
            if _count(tx, WebSessionRow) >= most:
                _remove(tx, WebSessionRow, _over(now))
                if _count(tx, WebSessionRow) >= most:
                    raise TooManySessions
            tx.session.add(_session_row(session))

        self._store.run("web-sign-in", add)

    def find_session(self, session: SessionId) -> Session | None:
        """As the port says."""
        row = self._find(WebSessionRow, session)
        return None if row is None else _session(row)

    def touch_session(self, session: SessionId, seen: datetime) -> None:
        """As the port says."""
        self._change(
            "web-touch",
            update(WebSessionRow)
            .where(col(WebSessionRow.id) == session, col(WebSessionRow.seen) < seen)
            .values(seen=seen),
        )

    def end_session(self, session: SessionId) -> bool:
        """As the port says."""
        return self._forget("web-sign-out", WebSessionRow, col(WebSessionRow.id) == session) == 1

    def end_sessions_of(self, subject: str) -> int:
        """As the port says."""
        return self._forget(
            "web-sign-out-all", WebSessionRow, col(WebSessionRow.subject) == subject
        )

    def end_every_session(self) -> int:
        """As the port says."""
        return self._forget(
            "web-sign-out-everybody", WebSessionRow, col(WebSessionRow.id).is_not(None)
        )

    def sessions_of(self, subject: str) -> tuple[Session, ...]:
        """As the port says."""
        query = select(WebSessionRow).where(WebSessionRow.subject == subject)
        return self._store.read(
            "web-sessions", lambda tx: tuple(_session(row) for row in tx.session.exec(query))
        )

    def add_credential(
        self, credential: Credential, *, now: datetime, each: int, most: int
    ) -> None:
        """As the port says."""
        subject = credential.person.subject

        def add(tx: Transaction) -> None:
            own = tx.session.exec(
                select(WebCredentialRow).where(WebCredentialRow.subject == subject)
            )
            if sum(_credential(row).good(now) for row in own) >= each:
                raise TooManyCredentials
            if _count(tx, WebCredentialRow) >= most:
                _remove(tx, WebCredentialRow, _spent(now))
                if _count(tx, WebCredentialRow) >= most:
                    raise TooManyCredentials
            tx.session.add(_credential_row(credential))

        self._store.run("web-credential", add)

    def find_credential(self, credential: CredentialId) -> Credential | None:
        """As the port says."""
        row = self._find(WebCredentialRow, credential)
        return None if row is None else _credential(row)

    def use_once(self, credential: CredentialId, now: datetime) -> bool:
        """As the port says: the writer runs one transaction after the other."""
        unused = (col(WebCredentialRow.used).is_(None), col(WebCredentialRow.revoked).is_(None))
        return (
            self._change(
                "web-use-once",
                update(WebCredentialRow)
                .where(col(WebCredentialRow.id) == credential, *unused)
                .values(used=now),
            )
            == 1
        )

    def note_use(self, credential: CredentialId, now: datetime) -> None:
        """As the port says."""
        self._change(
            "web-note-use",
            update(WebCredentialRow).where(col(WebCredentialRow.id) == credential).values(used=now),
        )

    def revoke(self, credential: CredentialId, now: datetime) -> bool:
        """As the port says."""
        return self._revoke(col(WebCredentialRow.id) == credential, now) == 1

    def revoke_kind(self, kind: CredentialKind, now: datetime) -> int:
        """As the port says."""
        return self._revoke(col(WebCredentialRow.kind) == kind.value, now)

    def credentials_of(self, subject: str) -> tuple[Credential, ...]:
        """As the port says."""
        query = select(WebCredentialRow).where(WebCredentialRow.subject == subject)
        return self._store.read(
            "web-credentials", lambda tx: tuple(_credential(row) for row in tx.session.exec(query))
        )

    def add_departure(self, departure: Departure, *, now: datetime, most: int) -> None:
        """As the port says."""

        def add(tx: Transaction) -> None:
            if _count(tx, WebDepartureRow) >= most:
                _remove(tx, WebDepartureRow, _late(now))
            surplus = _count(tx, WebDepartureRow) + 1 - most
            if surplus > 0:
                oldest = select(WebDepartureRow.id).order_by(col(WebDepartureRow.left))
                ids = tx.session.exec(oldest.limit(surplus)).all()
                _remove(tx, WebDepartureRow, col(WebDepartureRow.id).in_(ids))
            tx.session.add(
                WebDepartureRow(
                    id=departure.id,
                    digest=departure.digest,
                    door=departure.door,
                    issuer=departure.issuer,
                    back_to=departure.back_to,
                    fresh=departure.fresh,
                    left=departure.left,
                )
            )

        self._store.run("web-depart", add)

    def find_departure(self, departure: DepartureId) -> Departure | None:
        """As the port says."""
        row = self._find(WebDepartureRow, departure)
        if row is None:
            return None
        return Departure(
            id=DepartureId(row.id),
            digest=row.digest,
            door=row.door,
            issuer=row.issuer,
            back_to=row.back_to,
            fresh=row.fresh,
            left=row.left,
        )

    def take_departure(self, departure: DepartureId) -> bool:
        """As the port says."""
        gone = self._forget("web-arrive", WebDepartureRow, col(WebDepartureRow.id) == departure)
        return gone == 1

    def sweep(self, now: datetime) -> int:
        """As the port says."""

        def forget(tx: Transaction) -> int:
            return (
                _remove(tx, WebSessionRow, _over(now))
                + _remove(tx, WebCredentialRow, col(WebCredentialRow.expires) <= now)
                + _remove(tx, WebDepartureRow, _late(now))
            )

        return self._store.run("web-sweep", forget)

    def operator_can_enter(self, now: datetime) -> bool:
        """Whether somebody holds a key or an invitation that makes them an operator."""
        query = select(WebCredentialRow).where(
            col(WebCredentialRow.kind).in_(
                [CredentialKind.KEY.value, CredentialKind.INVITATION.value]
            )
        )
        return self._store.read(
            "web-operators",
            lambda tx: any(
                found.good(now) and Role.OPERATOR in found.person.roles
                for found in map(_credential, tx.session.exec(query))
            ),
        )

    def _find(self, table: type[T], key: str) -> T | None:
        return self._store.read("web-find", lambda tx: tx.session.get(table, key))

    def _forget(self, name: str, table: type[SQLModel], which: ColumnElement[bool]) -> int:
        return self._store.run(name, lambda tx: _remove(tx, table, which))

    def _change(self, name: str, statement: Executable) -> int:
        return self._store.run(name, lambda tx: _rows(tx, statement))

    def _revoke(self, which: ColumnElement[bool], now: datetime) -> int:
        return self._change(
            "web-revoke",
            update(WebCredentialRow)
            .where(which, col(WebCredentialRow.revoked).is_(None))
            .values(revoked=now),
        )


def _rows(tx: Transaction, statement: Executable) -> int:
    found = tx.session.execute(statement)
    assert isinstance(found, CursorResult)  # an UPDATE or a DELETE has no rows of its own
    return found.rowcount


def _remove(tx: Transaction, table: type[SQLModel], which: ColumnElement[bool]) -> int:
    return _rows(tx, delete(table).where(which))


def _count(tx: Transaction, table: type[SQLModel]) -> int:
    return tx.session.exec(select(func.count()).select_from(table)).one()


def _over(now: datetime) -> ColumnElement[bool]:
    """Sessions that have ended by themselves."""
    return or_(col(WebSessionRow.ends) <= now, col(WebSessionRow.seen) <= now - lifetimes.IDLE)


def _late(now: datetime) -> ColumnElement[bool]:
    return col(WebDepartureRow.left) <= now - lifetimes.DEPARTURE_LIFE


def _spent(now: datetime) -> ColumnElement[bool]:
    """Credentials that are good no more."""
    once = [kind.value for kind in CredentialKind if kind.once]
    return or_(
        col(WebCredentialRow.expires) <= now,
        col(WebCredentialRow.revoked).is_not(None),
        col(WebCredentialRow.kind).in_(once) & col(WebCredentialRow.used).is_not(None),
    )


def _roles(roles: Iterable[Role]) -> str:
    return " ".join(in_order(roles))


def _person(subject: str, name: str, roles: str) -> Person:
    return Person(subject, name, frozenset(map(Role, roles.split())))


def _session_row(one: Session) -> WebSessionRow:
    return WebSessionRow(
        id=one.id,
        digest=one.digest,
        subject=one.person.subject,
        name=one.person.name,
        roles=_roles(one.person.roles),
        means=one.means.value,
        proved=one.proved,
        started=one.started,
        seen=one.seen,
        ends=one.ends,
    )


def _session(row: WebSessionRow) -> Session:
    return Session(
        id=SessionId(row.id),
        digest=row.digest,
        person=_person(row.subject, row.name, row.roles),
        means=Means(row.means),
        proved=row.proved,
        started=row.started,
        seen=row.seen,
        ends=row.ends,
    )


def _credential_row(one: Credential) -> WebCredentialRow:
    return WebCredentialRow(
        id=one.id,
        kind=one.kind.value,
        digest=one.digest,
        subject=one.person.subject,
        name=one.person.name,
        roles=_roles(one.person.roles),
        label=one.label,
        issued_by=one.issued_by,
        issued=one.issued,
        expires=one.expires,
        used=one.used,
        revoked=one.revoked,
    )


def _credential(row: WebCredentialRow) -> Credential:
    return Credential(
        id=CredentialId(row.id),
        kind=CredentialKind(row.kind),
        digest=row.digest,
        person=_person(row.subject, row.name, row.roles),
        label=row.label,
        issued_by=row.issued_by,
        issued=row.issued,
        expires=row.expires,
        used=row.used,
        revoked=row.revoked,
    )
