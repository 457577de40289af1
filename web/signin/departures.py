"""Ways to the identity provider and back: begun in one browser, finished in it, once.

The `state` that travels through the issuer is a ticket. Nonce and PKCE verifier are made from the
secret of the browser's door cookie and the ticket's id: no address ever shows them, the store
doesn't have them, and in another browser they come out differently.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from trust.clock import Clock
from trust.entropy import Entropy
from web.signin import lifetimes
from web.signin.tickets import DepartureId, Ticket, derived, opens, to_letters

if TYPE_CHECKING:
    from web.signin.stores import DepartureStore


@dataclass(frozen=True)
class Departure:
    """Somebody on their way to the issuer, as the store keeps them."""

    id: DepartureId
    digest: bytes = field(repr=False)  # of the state's secret
    door: bytes = field(repr=False)  # SHA-256 of the browser's door secret
    issuer: str
    back_to: str  # a local path
    fresh: bool  # whether the person must prove anew who they are
    left: datetime

    def over(self, now: datetime) -> bool:
        """Whether it is too late to come back."""
        return now - self.left >= lifetimes.DEPARTURE_LIFE


@dataclass(frozen=True)
class Way:
    """What one way's messages carry."""

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)  # 43 letters, as RFC 7636 asks for

    @classmethod
    def of(cls, ticket: Ticket, door: bytes) -> Way:
        """The way that `ticket` names in the browser whose door secret is `door`."""
        name = ticket.name(DepartureId)
        return cls(
            state=ticket.reveal(),
            nonce=to_letters(derived(door, f"nonce/{name}")),
            verifier=to_letters(derived(door, f"verifier/{name}")),
        )


class Departures:
    """Notes who leaves, and lets each come back once."""

    def __init__(self, store: DepartureStore, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy

    def leave(self, door: bytes, issuer: str, back_to: str, *, fresh: bool) -> Way:
        """A new way for the browser whose door secret is `door`."""
        now = self._clock.now()
        ticket = Ticket.draw(self._entropy)
        departure = Departure(
            id=ticket.name(DepartureId),
            digest=ticket.digest,
            door=_digest(door),
            issuer=issuer,
            back_to=back_to,
            fresh=fresh,
            left=now,
        )
        self._store.add_departure(departure, now=now, most=lifetimes.DEPARTURES_ALL)
        return Way.of(ticket, door)

    def arrive(self, state: str, door: bytes | None) -> tuple[Departure, Way] | None:
        """The way that `state` finishes in this browser; None when it finishes none.

        It is used up by whoever shows the right secret, in whichever browser: a state that
        reached another browser has leaked.
        """
        ticket = Ticket.read(state)
        if ticket is None:
            return None
        found = self._store.find_departure(ticket.name(DepartureId))
        if not opens(ticket, found.digest if found else None) or found is None:
            return None
        if not self._store.take_departure(found.id):
            return None  # somebody was quicker
        if door is None or found.door != _digest(door) or found.over(self._clock.now()):
            return None
        return found, Way.of(ticket, door)


def _digest(door: bytes) -> bytes:
    return hashlib.sha256(door).digest()
