"""Who asks, as far as a page shows it.

Sign-in leaves a `Visitor` in the ASGI scope under `KEY`; the kit reads it for the header, for the
navigation and for the hidden field of every form. What a visitor may *do* is decided where the
deed is done, never by what a page shows.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import HTTPConnection

KEY = "cadastre.visitor"
CSRF_FIELD = "csrf"


@dataclass(frozen=True)
class Visitor:
    """A person on the other side; the empty one is nobody in particular."""

    name: str = ""
    roles: frozenset[str] = frozenset()
    csrf: str = ""  # what every form of theirs sends back in the field `csrf`
    tag: str = ""  # the same for the same person, and tells nobody who that is
    sign_in: str = ""  # path of the sign-in page; "" where there is none
    sign_out: str = ""  # path that a POST signs out at
    account: str = ""  # path of their own page: sessions, keys, tokens

    @property
    def known(self) -> bool:
        """Whether somebody is signed in."""
        return bool(self.name)


NOBODY = Visitor()


def of(request: HTTPConnection) -> Visitor:
    """The visitor that sign-in found; nobody where no sign-in is installed."""
    found = request.scope.get(KEY)
    return found if isinstance(found, Visitor) else NOBODY
