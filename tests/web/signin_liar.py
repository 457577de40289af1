"""A site whose identity provider lies, and the way there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.web.hostile_issuer import CODE, HostileIssuer
from tests.web.signin_browser import Answer, Browser, query
from tests.web.signin_site import LOOPBACK, Site
from web.signin.memory import MemoryStore
from web.signin.oidc import configuration


def trusting(issuer: HostileIssuer, store: MemoryStore | None = None, **changes: Any) -> Site:
    """A site whose identity provider the liar is."""
    plain = {
        "issuer": issuer.url,
        "client_id": issuer.client_id,
        "roles": {"operator": ["grid-operators"]},
    }
    made = configuration.parse(plain | changes, Path())
    return Site(origin=LOOPBACK, issuer=made, store=store or MemoryStore())


def leave(browser: Browser, issuer: HostileIssuer, back_to: str = "/workers") -> str:
    """On the way to the issuer, which is told the nonce; the state."""
    asked = query(browser.get(f"/sign-in/away?next={back_to}").location)
    issuer.nonce = asked["nonce"]
    return asked["state"]


def come_back(browser: Browser, issuer: HostileIssuer, state: str, **changes: str) -> Answer:
    answer = {"code": CODE, "state": state, "iss": issuer.url} | changes
    return browser.get(
        "/sign-in/return?" + "&".join(f"{name}={value}" for name, value in answer.items()),
        source=issuer.url,
    )


def refusal(answer: Answer) -> str:
    """The code that a way back from the issuer ended with."""
    assert answer.status == 303
    assert answer.location.startswith("/sign-in?refused=")
    return answer.location.removeprefix("/sign-in?refused=")


def nobody_is_in(site: Site, browser: Browser) -> bool:
    return not site.store._sessions and browser.get("/workers").status == 303


def leave_again(browser: Browser, issuer: HostileIssuer) -> str:
    asked = query(browser.get("/sign-in/away?again=1").location)
    issuer.nonce = asked["nonce"]
    issuer.claims = {"auth_time": int(issuer.now.timestamp())}
    return asked["state"]
