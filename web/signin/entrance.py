"""Signing in and out: what happens, without the pages that it happens on.

One object for a surface. Every way in ends in `Sessions.begin`, which draws a new id and ends the
session that the browser had; every way out ends sessions in the store, so that an old cookie is
worth nothing. What goes wrong for a stranger is logged without anything that they sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from trust.clock import Clock
from trust.entropy import Entropy
from web.signin.address import PublicAddress
from web.signin.cookies import Cookies
from web.signin.credentials import CredentialKind, Credentials
from web.signin.departures import Departures
from web.signin.errors import (
    IssuerAnswerRefused,
    IssuerUnreachable,
    NoRole,
    NotSignedIn,
    SignInLost,
    SignInRefused,
)
from web.signin.local_path import local_path
from web.signin.oidc.configuration import IssuerConfiguration
from web.signin.oidc.flow import Flow
from web.signin.oidc.issuer import Issuer
from web.signin.pace import Pace
from web.signin.roles import Person
from web.signin.sessions import Means, Sessions
from web.signin.stores import SignInStore
from web.signin.tickets import Ticket

CALLBACK = "/sign-in/return"  # what is registered with the issuer, after the public address
_log = logging.getLogger("cadastre.web.sign-in")


@dataclass(frozen=True)
class Entered:
    """A sign-in that went well."""

    ticket: Ticket = field(repr=False)
    person: Person
    means: Means
    back_to: str


class Entrance:
    """Everything that sign-in consists of, for one public address.

    `contact` tells people whom to ask for a role: a name, an address or a telephone number.
    """

    def __init__(
        self,
        *,
        address: PublicAddress,
        store: SignInStore,
        clock: Clock,
        entropy: Entropy,
        contact: str,
        issuer: IssuerConfiguration | None = None,
    ) -> None:
        self.address = address
        self.clock = clock
        self.entropy = entropy
        self.contact = contact
        self.cookies = Cookies(address)
        self.pace = Pace(clock)
        self.sessions = Sessions(store, clock, entropy)
        self.credentials = Credentials(store, clock, entropy)
        self._departures = Departures(store, clock, entropy)
        self._store = store
        self.flow = (
            Flow(
                Issuer(issuer, clock),
                clock,
                redirect=address.url(CALLBACK),
                contact=contact,
            )
            if issuer
            else None
        )

    def start_line(self) -> tuple[str, str]:
        """A fresh one-time token for the first operator: the address to open, and the token.

        The address has the token behind a `#`: browsers keep that to themselves, so that it
        reaches no server's or proxy's log. Without scripts the token is typed in.
        Raises TooManyCredentials.
        """
        token = self.credentials.start()
        return self.address.url(f"/sign-in#{token}"), token

    def redeem(self, text: str, host: str, former: Ticket | None, back_to: str) -> Entered:
        """Sign in with a one-time token or a key.

        Raises SignInRefused, TooManyTries, TooManySessions.
        """
        self.pace.take(host)
        try:
            found = self.credentials.redeem(text)
        except SignInRefused:
            _log.warning("a token or key was refused")
            raise
        self.pace.give_back(host)
        means = Means.KEY if found.kind is CredentialKind.KEY else Means.INVITED
        entered = self._enter(found.person, means, former, local_path(back_to))
        if self.credentials.taken_back(found.id):
            # Excluded after the look at what they hold, before the session was there to be ended.
            self.sessions.end(entered.ticket)
            _log.warning("what %s signed in with was taken back meanwhile", found.person.tag)
            raise SignInRefused
        return entered

    def hand_out(self, ticket: Ticket, make: Callable[[], str]) -> str:
        """The key or token that `make` makes for whoever the session of `ticket` is.

        Raises NotSignedIn when that session ended meanwhile, and what `make` raises.
        """
        secret = make()
        if not self.sessions.stands(ticket):
            self.credentials.take_back(secret)
            raise NotSignedIn
        return secret

    def depart(self, door: bytes, host: str, back_to: str, *, fresh: bool) -> str:
        """The issuer's address to go to, from the browser whose door secret is `door`.

        Raises TooManyTries, SignInLost without an issuer, and what the issuer's answers raise.
        """
        self.pace.take(host)
        flow = self._flow()
        way = self._departures.leave(door, flow.name, local_path(back_to), fresh=fresh)
        try:
            return flow.way_out(way, fresh=fresh)
        except (IssuerAnswerRefused, IssuerUnreachable) as error:
            _log.warning("the identity provider was not used: %s (%s)", error.code, error.check)
            raise

    def arrive(
        self, answer: Mapping[str, str], door: bytes | None, host: str, former: Ticket | None
    ) -> Entered:
        """Sign in with what the issuer sent back.

        Raises SignInLost, TooManyTries, IssuerDeclined, NoRole, TooManySessions,
        IssuerUnreachable, IssuerAnswerRefused.
        """
        self.pace.take(host)
        flow = self._flow()
        found = self._departures.arrive(answer.get("state", ""), door)
        if found is None or found[0].issuer != flow.name:
            _log.warning("a return from the identity provider was not begun here")
            raise SignInLost
        departure, way = found
        try:
            code = flow.require_ours(answer)
            arrival = flow.identify(code, way, fresh=departure.fresh)
        except (IssuerAnswerRefused, IssuerUnreachable) as error:
            _log.warning("the identity provider's answer: %s (%s)", error.code, error.check)
            raise
        except NoRole:
            _log.warning("somebody without a role tried to sign in")
            raise
        self.pace.give_back(host, 2)  # the way out was an attempt, too
        # What was handed out with a role that they have no more ends with it; so does what a
        # session that has it hands out between the two steps.
        tokens, sessions = (
            self.credentials.narrow(arrival.person),
            self.sessions.narrow(arrival.person),
        )
        narrowed = tokens + self.credentials.narrow(arrival.person), sessions
        if any(narrowed):
            _log.info(
                "%s has fewer roles: ended %d tokens, %d sessions", arrival.person.tag, *narrowed
            )
        return self._enter(
            arrival.person, Means.ISSUER, former, departure.back_to, proved=arrival.proved
        )

    def leave(self, ticket: Ticket, person: Person, *, everywhere: bool) -> None:
        """Sign out of this browser, or of all of them."""
        if everywhere:
            ended = self.sessions.end_all(person.subject)
            _log.info("%s signed out everywhere: %d sessions", person.tag, ended)
        else:
            self.sessions.end(ticket)
            _log.info("%s signed out", person.tag)

    def sweep(self) -> int:
        """Forget what is over; how many things that were. Called now and then by a clock."""
        return self._store.sweep(self.clock.now())

    def _enter(
        self,
        person: Person,
        means: Means,
        former: Ticket | None,
        back_to: str,
        proved: datetime | None = None,
    ) -> Entered:
        ticket = self.sessions.begin(person, means, replacing=former, proved=proved)
        _log.info("%s signed in (%s): %s", person.tag, means, ", ".join(sorted(person.roles)))
        return Entered(ticket, person, means, back_to)

    def _flow(self) -> Flow:
        if self.flow is None:
            raise SignInLost
        return self.flow


def shut_out(credentials: Credentials, sessions: Sessions, subject: str) -> tuple[int, int]:
    """End all sessions of `subject` and take back all keys and tokens; how many of each.

    For whoever administers the machine, when somebody leaves or their roles change.
    """
    # Keys first: the other way round, one of them would open a session in between. And again
    # at the end: until it was ended, a session may have made another one.
    revoked = credentials.revoke_all(subject)
    ended = sessions.end_all(subject)
    return ended, revoked + credentials.revoke_all(subject)
