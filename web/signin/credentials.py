"""Tokens and keys that were handed out: what they open, once or often, and for how long.

Four kinds of one thing, all shown once and stored hashed:

- `start`: printed when the program starts and nobody can sign in yet; once, 15 minutes.
- `invitation`: made for somebody by whoever administers the machine; once, some days.
- `key`: what a person without an identity provider signs in with from then on; often, a year.
- `api`: what a program sends as a Bearer, with some of its owner's roles; often, 30 days.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from trust.clock import Clock
from trust.entropy import Entropy
from web.sentences import say
from web.signin import lifetimes
from web.signin.errors import NoSuchCredential, RequestRefused, SignInRefused
from web.signin.roles import LONGEST_NAME, Person, Role, tidy_name
from web.signin.tickets import LETTERS, CredentialId, Ticket, opens

if TYPE_CHECKING:
    from web.signin.stores import CredentialStore

# What a secret starts with: a person knows what it is, a scanner of published files finds it.
SIGN_IN_PREFIX = "cadastre-sign-in-v1."
API_PREFIX = "cadastre-api-v1."
THIS_MACHINE = "this machine"  # who made what a person at its command line asked for
LONGEST_TEXT = len(SIGN_IN_PREFIX) + LETTERS
# A key's last use is written at most so often.
_NOTE_EVERY = timedelta(hours=1)


class CredentialKind(enum.StrEnum):
    """What a credential is good for."""

    START = "start"
    INVITATION = "invitation"
    KEY = "key"
    API = "api"

    @property
    def once(self) -> bool:
        """Whether one use is all."""
        return self in {CredentialKind.START, CredentialKind.INVITATION}


@dataclass(frozen=True)
class Credential:
    """One token or key. Times are aware UTC."""

    id: CredentialId
    kind: CredentialKind
    digest: bytes = field(repr=False)  # 32 bytes
    person: Person  # whom it signs in, with which roles
    label: str  # what its owner calls it; may be empty
    issued_by: str  # the subject of who made it, or "this machine"
    issued: datetime
    expires: datetime
    used: datetime | None = None  # when it was last used
    revoked: datetime | None = None

    def good(self, now: datetime) -> bool:
        """Whether it still opens something."""
        spent = self.kind.once and self.used is not None
        return self.revoked is None and not spent and now < self.expires


def subject_of(text: str) -> str:
    """Whom an invitation will sign in. Raises ValueError for text that is none."""
    ticket = Ticket.read(text.removeprefix(SIGN_IN_PREFIX))
    if ticket is None:
        raise ValueError("this is no token of ours")
    return _subject(ticket)


def _subject(ticket: Ticket) -> str:
    return f"local:{ticket.name(CredentialId)}"


class Credentials:
    """Makes, takes and takes back tokens and keys."""

    def __init__(self, store: CredentialStore, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy

    def start(self, name: str = "administration") -> str:
        """A token for the first operator; every earlier one is taken back. TooManyCredentials."""
        self.end_start()
        return self._issue(
            CredentialKind.START,
            name,
            {Role.OPERATOR},
            issued_by=THIS_MACHINE,
            life=lifetimes.START_LIFE,
        )

    def end_start(self) -> None:
        """Take back whatever token an earlier start printed."""
        self._store.revoke_kind(CredentialKind.START, self._clock.now())

    def invite(
        self,
        name: str,
        roles: Iterable[Role],
        *,
        issued_by: str = THIS_MACHINE,
        life: timedelta = lifetimes.INVITATION_LIFE,
    ) -> str:
        """A token that signs a new person in, once. Raises RequestRefused, TooManyCredentials."""
        if not timedelta() < life <= lifetimes.LONGEST_INVITATION:
            raise RequestRefused(
                say("an invitation lives for at most {life}", life=lifetimes.LONGEST_INVITATION)
            )
        return self._issue(CredentialKind.INVITATION, name, roles, issued_by=issued_by, life=life)

    def key(self, person: Person, label: str = "") -> str:
        """A key for somebody whom no identity provider knows.

        Raises RequestRefused, TooManyCredentials.
        """
        if not person.local:
            raise RequestRefused(say("you sign in at your identity provider and need no key"))
        return self._issue_for(CredentialKind.KEY, person, label, lifetimes.KEY_LIFE)

    def api(self, person: Person, roles: Iterable[Role], label: str) -> str:
        """A program's token with some of its owner's roles. RequestRefused, TooManyCredentials."""
        wanted = frozenset(roles)
        if not wanted or not wanted <= person.roles:
            raise RequestRefused(say("a program's token has one or more of your own roles"))
        limited = Person(person.subject, person.name, wanted)
        return self._issue_for(CredentialKind.API, limited, label, lifetimes.API_LIFE)

    def redeem(self, text: str) -> Credential:
        """What the token or key in `text` opens; a one-time token is used up now.

        Raises SignInRefused, the same whatever is wrong with it.
        """
        found = self._good(text, SIGN_IN_PREFIX)
        if found is None or found.kind is CredentialKind.API:
            raise SignInRefused
        now = self._clock.now()
        if found.kind.once:
            if not self._store.use_once(found.id, now):
                raise SignInRefused  # somebody else was quicker
        else:
            self._note(found, now)
        return found

    def bearer(self, text: str) -> Credential | None:
        """What the program's token in `text` opens; None when it is not good."""
        found = self._good(text, API_PREFIX)
        if found is None or found.kind is not CredentialKind.API:
            return None
        self._note(found, self._clock.now())
        return found

    def stands(self, credential: CredentialId) -> bool:
        """Whether it still opens something."""
        found = self._store.find_credential(credential)
        return found is not None and found.good(self._clock.now())

    def of(self, subject: str) -> tuple[Credential, ...]:
        """The live keys and tokens of `subject`, the newest first."""
        now = self._clock.now()
        live = (one for one in self._store.credentials_of(subject) if one.good(now))
        return tuple(sorted(live, key=lambda one: one.issued, reverse=True))

    def revoke(self, subject: str, credential: CredentialId) -> None:
        """Take back one of `subject`'s own. Raises NoSuchCredential."""
        if all(one.id != credential for one in self.of(subject)):
            raise NoSuchCredential
        self._store.revoke(credential, self._clock.now())

    def revoke_all(self, subject: str) -> int:
        """Take back all of `subject`'s; how many of them were good.

        What is used up is taken back too: it may be opening a session at this moment.
        """
        now = self._clock.now()
        held = self._store.credentials_of(subject)
        for one in held:
            self._store.revoke(one.id, now)
        return sum(one.good(now) for one in held)

    def taken_back(self, credential: CredentialId) -> bool:
        """Whether somebody revoked it, however good it was before."""
        found = self._store.find_credential(credential)
        return found is None or found.revoked is not None

    def take_back(self, text: str) -> None:
        """Revoke what was handed out as `text` just now."""
        ticket = Ticket.read(text.rpartition(".")[2])
        if ticket is not None:
            self._store.revoke(ticket.name(CredentialId), self._clock.now())

    def narrow(self, person: Person) -> int:
        """Take back every key and token that has roles which the person has no more; how many."""
        beyond = [one for one in self.of(person.subject) if not one.person.roles <= person.roles]
        for one in beyond:
            self._store.revoke(one.id, self._clock.now())
        return len(beyond)

    def _good(self, text: str, prefix: str) -> Credential | None:
        text = text.strip() if len(text) <= 2 * LONGEST_TEXT else ""
        ticket = Ticket.read(text.removeprefix(prefix)) if text.startswith(prefix) else None
        if ticket is None:
            return None
        found = self._store.find_credential(ticket.name(CredentialId))
        if not opens(ticket, found.digest if found else None):
            return None
        return found if found and found.good(self._clock.now()) else None

    def _note(self, found: Credential, now: datetime) -> None:
        if found.used is None or now - found.used >= _NOTE_EVERY:
            self._store.note_use(found.id, now)

    def _issue(
        self,
        kind: CredentialKind,
        name: str,
        roles: Iterable[Role],
        *,
        issued_by: str,
        life: timedelta,
    ) -> str:
        held = frozenset(roles)
        tidy = tidy_name(name)
        if not tidy or tidy != name:
            raise RequestRefused(
                say("a name has 1 to {most} printable letters on one line", most=LONGEST_NAME)
            )
        if not held:
            raise RequestRefused(say("an invitation gives one role or more"))
        ticket = Ticket.draw(self._entropy)
        person = Person(_subject(ticket), tidy, held)
        return self._keep(kind, ticket, person, issued_by=issued_by, life=life)

    def _issue_for(self, kind: CredentialKind, person: Person, label: str, life: timedelta) -> str:
        if tidy_name(label) != label:
            raise RequestRefused(
                say("a label has at most {most} printable letters", most=LONGEST_NAME)
            )
        ticket = Ticket.draw(self._entropy)
        return self._keep(kind, ticket, person, label=label, issued_by=person.subject, life=life)

    def _keep(
        self,
        kind: CredentialKind,
        ticket: Ticket,
        person: Person,
        *,
        issued_by: str,
        life: timedelta,
        label: str = "",
    ) -> str:
        now = self._clock.now()
        credential = Credential(
            id=ticket.name(CredentialId),
            kind=kind,
            digest=ticket.digest,
            person=person,
            label=label,
            issued_by=issued_by,
            issued=now,
            expires=now + life,
        )
        self._store.add_credential(
            credential,
            now=now,
            each=lifetimes.CREDENTIALS_EACH,
            most=lifetimes.CREDENTIALS_ALL,
        )
        prefix = API_PREFIX if kind is CredentialKind.API else SIGN_IN_PREFIX
        return prefix + ticket.reveal()
