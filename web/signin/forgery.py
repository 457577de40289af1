"""Whether one of our own pages sent a request that changes something.

Two proofs, both asked for: the browser says that it comes from this origin, and the request
carries a token that only a page given to this very session (or, before a sign-in, to this
browser's door cookie) has.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from trust.entropy import Entropy
from web.signin.errors import ForgeryRefused
from web.signin.tickets import derived, from_letters, to_letters

HEADER = "x-csrf-token"  # what scripts send; forms have the field of `web.visitors`
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_BYTES = 32


def token(secret: bytes, entropy: Entropy) -> str:
    """A token for the holder of `secret`, written otherwise each time.

    Masked by random bytes: a page that is packed beside letters of an attacker's choice tells
    nothing of it by its length (the BREACH attack).
    """
    pad = entropy(_BYTES)
    return to_letters(pad + _mixed(pad, derived(secret, "forgery")))


def belongs(text: str, secret: bytes) -> bool:
    """Whether `text` is a token for the holder of `secret`. Constant time."""
    both = from_letters(text, 2 * _BYTES)
    if both is None:
        return False
    return hmac.compare_digest(_mixed(both[:_BYTES], both[_BYTES:]), derived(secret, "forgery"))


def require_own_page(headers: Mapping[str, str], origin: str) -> None:
    """Raises ForgeryRefused unless the browser says that a page of `origin` sent the request.

    `Sec-Fetch-Site` is the browser's own word and cannot be set by a page. `Origin` is "null"
    where a page hides it. A browser that says neither is older than 2020 and is refused.
    """
    site = headers.get("sec-fetch-site")
    said = headers.get("origin")
    if said is not None and said not in {origin, "null"}:
        raise ForgeryRefused
    if site is None and said != origin:
        raise ForgeryRefused
    if site is not None and site != "same-origin":
        raise ForgeryRefused


def require_person(headers: Mapping[str, str], *, own: bool) -> None:
    """Raises ForgeryRefused unless a person went to the page, as far as the browser says.

    A picture's or a frame's address is no person's wish, and with `own` neither is another site's
    link. Programs and old browsers say nothing and are let through: what they ask for here begins
    a sign-in and ends none.
    """
    expected = {"sec-fetch-mode": {"navigate"}, "sec-fetch-dest": {"document"}}
    if own:
        expected["sec-fetch-site"] = {"same-origin", "none"}
    if any(headers.get(name, next(iter(good))) not in good for name, good in expected.items()):
        raise ForgeryRefused


def _mixed(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
