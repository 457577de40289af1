"""The two cookies: the session's, and the door's for whoever is not signed in yet.

Over https they are `__Host-` cookies: browsers keep them for this very host, refuse them from a
neighbour under the same domain and over plain http. On this machine without https, where that
prefix is not taken everywhere, the name carries the port, since cookies don't tell ports apart.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from web.signin.address import PublicAddress

_LONGEST_HEADER = 8192  # bytes of cookies that are looked at; a browser's session is about 100


class Purpose(enum.StrEnum):
    """What a cookie is for."""

    SESSION = "session"  # a ticket: who is signed in
    DOOR = "door"  # 32 random bytes: the browser that a form or a way to the issuer belongs to


@dataclass(frozen=True)
class Cookies:
    """Writes and reads both for one public address."""

    address: PublicAddress

    def name(self, purpose: Purpose) -> str:
        """The cookie's name."""
        if self.address.secure:
            return f"__Host-cadastre-{purpose}"
        return f"cadastre-{purpose}-{self.address.port}"

    def setting(self, purpose: Purpose, value: str) -> str:
        """A Set-Cookie header's value. It lives until the browser closes, the server permitting."""
        return f"{self.name(purpose)}={value}; {self._manners}"

    def ending(self, purpose: Purpose) -> str:
        """A Set-Cookie header's value that removes it."""
        return f"{self.name(purpose)}=; Max-Age=0; {self._manners}"

    def read(self, purpose: Purpose, headers: Iterable[str]) -> str | None:
        """The cookie's value in these Cookie headers; None when it is missing or there twice.

        Twice means that somebody planted a second one beside ours: neither is believed.
        """
        wanted = self.name(purpose)
        found: list[str] = []
        for header in headers:
            if len(header) > _LONGEST_HEADER:
                return None
            pairs = (part.strip().partition("=") for part in header.split(";"))
            found += [value for name, _, value in pairs if name == wanted]
        return found[0] if len(found) == 1 else None

    @property
    def _manners(self) -> str:
        # Lax, not Strict: the identity provider sends the browser back by a link.
        base = "Path=/; HttpOnly; SameSite=Lax"
        return f"{base}; Secure" if self.address.secure else base
