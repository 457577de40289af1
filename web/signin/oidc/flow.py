"""One sign-in at the identity provider: the way out, and what is made of the way back.

authlib writes the authorization request with its PKCE challenge and redeems the code; the answer
is believed only as far as `id_token` verifies it. Nothing the issuer handed out is kept: no
access token, no refresh token, no ID token.
"""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus, urlencode

from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client

from trust.clock import Clock
from web.signin import lifetimes
from web.signin.departures import Way
from web.signin.errors import IssuerAnswerRefused, IssuerDeclined, IssuerUnreachable, NoRole
from web.signin.oidc import id_token
from web.signin.oidc.fetching import Answer, Fetcher
from web.signin.oidc.id_token import Expected
from web.signin.oidc.issuer import Issuer
from web.signin.roles import Person, tidy_name

# A slow issuer keeps a thread for each sign-in; so many, and the others are asked to wait.
AT_ONCE = 8
LONGEST_CODE = 4096
_JWT = "application/jwt"
_NAMES = ("name", "preferred_username", "given_name", "email")


@dataclass(frozen=True)
class Arrival:
    """Who came back, and when they proved it."""

    person: Person
    proved: datetime
    claims: Mapping[str, Any] = field(repr=False)


class Flow:
    """Signs people in at one issuer; `redirect` is our address that it sends them back to."""

    def __init__(self, issuer: Issuer, clock: Clock, *, redirect: str, contact: str) -> None:
        self.issuer = issuer
        self._clock = clock
        self._redirect = redirect
        self._contact = contact
        self._places = threading.BoundedSemaphore(AT_ONCE)

    @property
    def name(self) -> str:
        """The issuer, as it is pinned."""
        return self.issuer.configuration.issuer

    def way_out(self, way: Way, *, fresh: bool) -> str:
        """The issuer's address to send the browser to. IssuerUnreachable, IssuerAnswerRefused."""
        with self._place():
            addresses = self.issuer.addresses()
        extra: dict[str, Any] = {"nonce": way.nonce}
        if fresh:
            extra["max_age"] = int(lifetimes.FRESH.total_seconds())
        url, _ = self._client(addresses.basic).create_authorization_url(
            addresses.authorization, state=way.state, code_verifier=way.verifier, **extra
        )
        return str(url)

    def require_ours(self, answer: Mapping[str, str]) -> str:
        """The code in an authorization response of this issuer.

        Raises IssuerDeclined for its own refusal, IssuerAnswerRefused for another's response.
        """
        said = answer.get("iss")
        with self._place():
            silent = said is None and not self.issuer.addresses().says_who
        if said != self.name and not silent:
            raise IssuerAnswerRefused("iss of the response")
        if "error" in answer:
            raise IssuerDeclined
        code = answer.get("code", "")
        if not 0 < len(code) <= LONGEST_CODE or not code.isprintable():
            raise IssuerAnswerRefused("code")
        return code

    def identify(self, code: str, way: Way, *, fresh: bool) -> Arrival:
        """Who came back with `code`. Raises NoRole, IssuerUnreachable, IssuerAnswerRefused."""
        with self._place():
            token = self._redeem(code, way)
            access = _text(token, "access_token")
            claims = self._verified(
                _text(token, "id_token"),
                Expected(
                    issuer=self.name,
                    client_id=self.issuer.configuration.client_id,
                    nonce=way.nonce,
                    access_token=access,
                    now=self._clock.now(),
                    fresh=fresh,
                ),
            )
            told = self._told(access, claims)
        roles = self.issuer.configuration.roles_of(told)
        if not roles:
            raise NoRole(self._contact)
        subject = f"{self.name}#{claims['sub']}"
        name = next(filter(None, (_name(told.get(each)) for each in _NAMES)), "")
        person = Person(subject, name or tidy_name(claims["sub"]) or "?", roles)
        return Arrival(person, id_token.proved_at(claims), told)

    def farewell(self, back: str) -> str:
        """Where the browser can end its session at the issuer too; "" where there is no such page.

        No ID token is sent along, since none is kept: the issuer asks the person itself.
        """
        end = self.issuer.end_session
        if not end:
            return ""
        query = {
            "client_id": self.issuer.configuration.client_id,
            "post_logout_redirect_uri": back,
        }
        return f"{end}{'&' if '?' in end else '?'}{urlencode(query)}"

    def _redeem(self, code: str, way: Way) -> dict[str, Any]:
        addresses = self.issuer.addresses()
        client = self._client(addresses.basic)
        try:
            return dict(
                client.fetch_token(
                    addresses.token,
                    grant_type="authorization_code",
                    code=code,
                    redirect_uri=self._redirect,
                    code_verifier=way.verifier,
                )
            )
        except AuthlibBaseError as error:
            # invalid_grant: a code that was redeemed before, or for another verifier.
            raise IssuerAnswerRefused("code") from error
        except ValueError as error:
            raise IssuerAnswerRefused("token answer") from error

    def _verified(self, token: str, expected: Expected) -> dict[str, Any]:
        keys = self.issuer.keys()
        head = id_token.header(token)
        if keys.find(head["alg"], head.get("kid")) is None:
            keys = self.issuer.keys(unknown=True)
        return id_token.verified(token, keys, expected)

    def _told(self, access: str, claims: dict[str, Any]) -> dict[str, Any]:
        """The claims that name and roles are taken from."""
        if self.issuer.configuration.claims_from != "userinfo":
            return claims
        url = self.issuer.addresses().userinfo
        if not url:
            raise IssuerAnswerRefused("userinfo_endpoint missing")
        answer = self.issuer.fetcher.get(url, {"Authorization": f"Bearer {access}"})
        told = self._signed(answer) if answer.kind == _JWT else answer.json()
        if told.get("sub") != claims["sub"]:
            # OpenID Connect Core 5.3.2: somebody else's claims under this person's token.
            raise IssuerAnswerRefused("userinfo sub")
        return told

    def _signed(self, answer: Answer) -> dict[str, Any]:
        """A userinfo answer that is a token itself, as France's public identity providers send."""
        try:
            token = answer.body.decode("ascii")
        except UnicodeDecodeError as error:
            raise IssuerAnswerRefused("userinfo") from error
        _, claims = id_token.signed_claims(token, self.issuer.keys())
        ours = self.issuer.configuration.client_id
        if claims.get("iss") != self.name or claims.get("aud") not in (ours, [ours]):
            raise IssuerAnswerRefused("userinfo")
        return claims

    def _client(self, basic: bool) -> Any:  # noqa: FBT001 - from one place each
        configuration = self.issuer.configuration
        method = "client_secret_basic" if basic else "client_secret_post"
        client = OAuth2Client(
            _Session(self.issuer.fetcher),
            client_id=configuration.client_id,
            client_secret=configuration.client_secret or None,
            token_endpoint_auth_method=method if configuration.client_secret else "none",
            scope=" ".join(("openid", *configuration.scopes)),
            redirect_uri=self._redirect,
            code_challenge_method="S256",
        )
        client.register_client_auth_method(("client_secret_basic", _basic))
        return client

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise IssuerUnreachable("busy")
        try:
            yield
        finally:
            self._places.release()


def _basic(client: Any, method: str, uri: str, headers: dict[str, str], body: str) -> Any:
    """RFC 6749, section 2.3.1: both parts are form-encoded first, which authlib leaves out."""
    del method
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode()
    return uri, headers, body


class _Session:
    """What authlib's client sends by: our bounded fetcher in the shape that it expects."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def post(self, url: str, *, data: Mapping[str, str], headers: Any, auth: Any) -> _Reply:
        _, sent, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        return _Reply(self._fetcher.post(url, body.encode(), sent))


class _Reply:
    """An answer in the shape that authlib expects."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.status_code = answer.status

    def json(self) -> dict[str, Any]:
        return self._answer.json()

    def raise_for_status(self) -> None:
        if self.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise IssuerUnreachable("status")
        if self.status_code != HTTPStatus.OK:
            raise IssuerAnswerRefused("status")


def _text(token: Mapping[str, Any], name: str) -> str:
    found = token.get(name)
    if not isinstance(found, str) or not found:
        raise IssuerAnswerRefused(f"{name} missing")
    return found


def _name(value: object) -> str:
    return tidy_name(value) if isinstance(value, str) else ""
