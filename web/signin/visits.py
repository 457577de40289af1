"""One request's visitor, as the gate found them and as routes ask for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from starlette.requests import HTTPConnection

from web.signin.errors import NotSignedIn
from web.signin.roles import Person
from web.signin.sessions import Means, Session
from web.signin.tickets import CredentialId, Ticket

KEY = "cadastre.visit"


@dataclass
class Visit:
    """Who asks, and by what. The gate makes one for each request."""

    person: Person | None = None
    means: Means | None = None
    proved: datetime | None = None  # when they last proved who they are; None for a program
    session: Session | None = None
    ticket: Ticket | None = field(default=None, repr=False)  # the session's
    credential: CredentialId | None = None  # a program's
    door: bytes | None = field(default=None, repr=False)  # the door cookie's 32 bytes
    lapsed: bool = False  # whether the browser still shows a session that has ended
    new_door: bool = False  # whether the answer has to set the door cookie
    decided: bool = False  # whether a declared requirement let this request through
    cookies: list[str] = field(default_factory=list, repr=False)  # Set-Cookie values to send


def of(request: HTTPConnection) -> Visit:
    """The visit that the gate made. Raises NotSignedIn where there is no gate: nobody passes."""
    found = request.scope.get(KEY)
    if not isinstance(found, Visit):
        raise NotSignedIn
    return found


def person(request: HTTPConnection) -> Person:
    """Who asks. Raises NotSignedIn."""
    found = of(request).person
    if found is None:
        raise NotSignedIn
    return found
