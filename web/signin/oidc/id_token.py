"""What the identity provider signed: checked here, or refused.

OpenID Connect Core 3.1.3.7, stricter where it leaves a choice: algorithms from a short list that
has neither `none` nor anything symmetric, one audience (ours), a nonce that must be there. The
signature is joserfc's work, the claims' rules are authlib's; what they leave open follows here.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from web.signin import lifetimes
from web.signin.errors import IssuerAnswerRefused
from web.signin.oidc.fetching import read_object
from web.signin.tickets import read_letters

# Signatures with a public key, of a hash of 256 bits or more.
ALGORITHMS = ("RS256", "PS256", "ES256", "RS384", "PS384", "ES384", "RS512", "PS512")
_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC"}
LONGEST_TOKEN = 32 * 1024  # letters; some have hundreds of groups
LEAST_RSA_BITS = 2048  # NIST SP 800-131A
MOST_KEYS = 100
SKEW = timedelta(minutes=1)  # between the issuer's clock and ours
OLDEST = timedelta(minutes=10)  # an ID token is made while its code is redeemed
_HEADER_NAMES = {"alg", "kid", "typ", "x5t", "x5t#S256", "x5c"}  # of which the last are not used
_LAST_MOMENT = 2**33  # the year 2242
_SUBJECT_LETTERS = 255  # OpenID Connect Core, section 2

Key = RSAKey | ECKey


@dataclass(frozen=True)
class Expected:
    """What a token has to say to be the one that was asked for."""

    issuer: str
    client_id: str
    nonce: str = field(repr=False)
    access_token: str = field(repr=False)
    now: datetime
    fresh: bool  # whether the person had to prove anew who they are


@dataclass(frozen=True)
class KeySet:
    """The issuer's signature keys that are usable here."""

    keys: tuple[Key, ...]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> KeySet:
        """The keys of a JWK set, without those of other kinds. Raises IssuerAnswerRefused."""
        listed = document.get("keys")
        if not isinstance(listed, list) or len(listed) > MOST_KEYS:
            raise IssuerAnswerRefused("key set")
        found = tuple(key for each in listed if (key := _key(each)) is not None)
        if not found:
            raise IssuerAnswerRefused("key set")
        return cls(found)

    def find(self, algorithm: str, kid: object) -> Key | None:
        """The one key for a token's header; None when there is none, or no telling which."""
        fitting = [
            key
            for key in self.keys
            if key.key_type == _KEY_TYPES[algorithm[:2]]
            and key.get("alg", algorithm) == algorithm
            and (kid is None or key.get("kid") == kid)
        ]
        return fitting[0] if len(fitting) == 1 else None


def header(token: str) -> dict[str, Any]:
    """The unverified header of a signed token. Raises IssuerAnswerRefused."""
    if len(token) > LONGEST_TOKEN or not token.isascii() or token.count(".") != 2:
        raise IssuerAnswerRefused("token form")
    raw = read_letters(token.partition(".")[0])
    if raw is None:
        raise IssuerAnswerRefused("token form")
    found = read_object(raw)
    if found.get("alg") not in ALGORITHMS:
        raise IssuerAnswerRefused("alg")
    # A `crit` that we don't know must be refused; keys that a token brings along are none.
    if not set(found) <= _HEADER_NAMES or str(found.get("typ", "JWT")).lower() != "jwt":
        raise IssuerAnswerRefused("token header")
    return found


def signed_claims(token: str, keys: KeySet) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token that one of `keys` signed. Raises IssuerAnswerRefused."""
    head = header(token)
    key = keys.find(head["alg"], head.get("kid"))
    if key is None:
        raise IssuerAnswerRefused("kid")
    try:
        decoded = jwt.decode(token, key, algorithms=[head["alg"]])
    except (JoseError, ValueError) as error:
        raise IssuerAnswerRefused("signature") from error
    return dict(decoded.header), dict(decoded.claims)


def verified(token: str, keys: KeySet, expected: Expected) -> dict[str, Any]:
    """The claims of the ID token that was `expected`. Raises IssuerAnswerRefused."""
    head, plain = signed_claims(token, keys)
    claims = CodeIDToken(
        plain,
        head,
        options={
            "iss": {"essential": True, "value": expected.issuer},
            "sub": {"essential": True},
            "nonce": {"essential": True},
        },
        params={
            "client_id": expected.client_id,
            "nonce": expected.nonce,
            "access_token": expected.access_token,
        },
    )
    _require_types(plain)
    try:
        claims.validate(now=int(expected.now.timestamp()), leeway=int(SKEW.total_seconds()))
    except (JoseError, ValueError, TypeError) as error:
        name = getattr(error, "claim", None) or type(error).__name__
        raise IssuerAnswerRefused(f"claim {name}") from error
    _require_rest(plain, expected)
    return plain


def proved_at(claims: Mapping[str, Any]) -> datetime:
    """When the person proved who they are; `UNKNOWN` where the issuer does not say so.

    A sign-in without a word about it may be a silent one, of whoever sits there now.
    """
    said = claims.get("auth_time")
    return datetime.fromtimestamp(said, UTC) if _moment(said) else lifetimes.UNKNOWN


def _require_types(claims: Mapping[str, Any]) -> None:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _SUBJECT_LETTERS:
        raise IssuerAnswerRefused("claim sub")
    if not subject.isprintable():
        raise IssuerAnswerRefused("claim sub")
    for name in ("exp", "iat"):
        if not _moment(claims.get(name)):
            raise IssuerAnswerRefused(f"claim {name}")
    for name in ("nbf", "auth_time"):
        if name in claims and not _moment(claims[name]):
            raise IssuerAnswerRefused(f"claim {name}")
    for name in ("iss", "nonce", "azp", "at_hash"):
        if name in claims and not isinstance(claims[name], str):
            raise IssuerAnswerRefused(f"claim {name}")


def _require_rest(claims: Mapping[str, Any], expected: Expected) -> None:
    audience = claims["aud"]
    if audience not in (expected.client_id, [expected.client_id]):
        # More than us is refused too: whoever else is named could be handed this token.
        raise IssuerAnswerRefused("claim aud")
    if claims.get("azp", expected.client_id) != expected.client_id:
        raise IssuerAnswerRefused("claim azp")
    if not hmac.compare_digest(claims["nonce"].encode(), expected.nonce.encode()):
        raise IssuerAnswerRefused("claim nonce")
    age = expected.now - datetime.fromtimestamp(claims["iat"], UTC)
    if not -SKEW <= age <= OLDEST + SKEW:
        raise IssuerAnswerRefused("claim iat")
    if expected.fresh:
        said = claims.get("auth_time")
        if not _moment(said):
            raise IssuerAnswerRefused("claim auth_time")
        if expected.now - datetime.fromtimestamp(said, UTC) > lifetimes.FRESH + SKEW:
            raise IssuerAnswerRefused("claim auth_time")


def _moment(value: object) -> TypeGuard[float]:
    """Whether `value` is a number of seconds that is a date of this and the next centuries."""
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LAST_MOMENT
    )


def _key(each: object) -> Key | None:
    """A key of the set, if it is one to verify with; anything else is left out, not refused."""
    if not isinstance(each, dict) or each.get("use", "sig") != "sig":
        return None
    operations = each.get("key_ops", ["verify"])
    if not isinstance(operations, Sequence) or "verify" not in operations:
        return None
    kinds: dict[object, type[RSAKey | ECKey]] = {"RSA": RSAKey, "EC": ECKey}
    kind = kinds.get(each.get("kty"))
    if kind is None or "d" in each or (kind is RSAKey and _bits(each.get("n")) < LEAST_RSA_BITS):
        return None
    try:
        return kind.import_key(each)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _bits(number: object) -> int:
    """How long a number of a JWK is; 0 for what is none."""
    raw = read_letters(number) if isinstance(number, str) else None
    return int.from_bytes(raw, "big").bit_length() if raw else 0
