"""What the identity provider says about itself: its addresses and its keys, kept for an hour."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trust.clock import Clock
from web.signin.errors import IssuerAnswerRefused
from web.signin.oidc.configuration import IssuerConfiguration
from web.signin.oidc.fetching import Fetcher
from web.signin.oidc.id_token import KeySet

WELL_KNOWN = "/.well-known/openid-configuration"
KEPT = 3600.0  # seconds that addresses and keys are believed without asking again
# An unknown key may be a new one: asked for at once, but not more often than this.
ASK_AGAIN = 60.0


@dataclass(frozen=True)
class Addresses:
    """Where the issuer does what."""

    authorization: str
    token: str
    keys: str
    userinfo: str  # "" where there is none
    end_session: str  # "" where there is none
    says_who: bool  # whether every authorization response names its issuer (RFC 9207)
    basic: bool  # whether the client's secret goes into a header, not into the body

    @classmethod
    def read(cls, document: Mapping[str, Any], issuer: str, fetcher: Fetcher) -> Addresses:
        """The addresses in a discovery document of `issuer`. Raises IssuerAnswerRefused."""
        if document.get("issuer") != issuer:
            raise IssuerAnswerRefused("issuer")
        if "code" not in _listed(document, "response_types_supported", "code"):
            raise IssuerAnswerRefused("response types")
        if "S256" not in _listed(document, "code_challenge_methods_supported", "S256"):
            raise IssuerAnswerRefused("PKCE")
        methods = _listed(document, "token_endpoint_auth_methods_supported", "client_secret_basic")
        names = {
            "authorization": "authorization_endpoint",
            "token": "token_endpoint",
            "keys": "jwks_uri",
            "userinfo": "userinfo_endpoint",
            "end_session": "end_session_endpoint",
        }
        found = {ours: document.get(theirs, "") for ours, theirs in names.items()}
        for ours, url in found.items():
            if not isinstance(url, str) or (not url and ours in {"authorization", "token", "keys"}):
                raise IssuerAnswerRefused(f"{names[ours]} missing")
            if url:
                fetcher.require_reachable(url)
        return cls(
            **found,
            says_who=document.get("authorization_response_iss_parameter_supported") is True,
            basic="client_secret_basic" in methods,
        )


class Issuer:
    """The configured issuer; asks it when something is not known or an hour old."""

    def __init__(
        self, configuration: IssuerConfiguration, clock: Clock, fetcher: Fetcher | None = None
    ) -> None:
        self.configuration = configuration
        self.fetcher = fetcher or Fetcher(on_this_machine=configuration.on_this_machine)
        self._clock = clock
        self._lock = threading.Lock()
        self._addresses: tuple[float, Addresses] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def addresses(self) -> Addresses:
        """Where it does what. Raises IssuerUnreachable, IssuerAnswerRefused."""
        with self._lock:
            now = self._clock.boottime()
            if self._addresses is None or now - self._addresses[0] >= KEPT:
                url = self.configuration.issuer.rstrip("/") + WELL_KNOWN
                document = self.fetcher.get(url).json()
                found = Addresses.read(document, self.configuration.issuer, self.fetcher)
                self._addresses = (now, found)
            return self._addresses[1]

    @property
    def end_session(self) -> str:
        """Where a session at the issuer ends, as far as that is known without asking; else ""."""
        known = self._addresses
        return known[1].end_session if known else ""

    def keys(self, *, unknown: bool = False) -> KeySet:
        """Its keys; with `unknown`, asked for again unless that was done a moment ago.

        Raises IssuerUnreachable, IssuerAnswerRefused.
        """
        url = self.addresses().keys
        with self._lock:
            now = self._clock.boottime()
            age = now - self._keys[0] if self._keys else KEPT
            if self._keys is None or age >= KEPT or (unknown and age >= ASK_AGAIN):
                self._keys = (now, KeySet.read(self.fetcher.get(url).json()))
            return self._keys[1]


def _listed(document: Mapping[str, Any], name: str, default: str) -> list[Any]:
    found = document.get(name, [default])
    return found if isinstance(found, list) else []
