"""Shamir's secret sharing of 32 bytes over GF(2^8), one polynomial per byte (Shamir 1979).

The field is that of AES: bytes as polynomials over GF(2) modulo x^8 + x^4 + x^3 + x + 1. Share i
holds the values at x = i, i = 1 to n. Fewer than t shares say nothing about the secret.

Each share, and the secret, is committed to by a hash that is published when they are dealt. A
share has 256 random bits, so its hash tells nothing; a wrong share is found before it is used,
and by name. Without that, one wrong share gives a wrong secret and nobody to ask.

Products are computed by eight shifts and masks, with no table to leave a trace in the cache and
no branch on a secret bit.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from protection.errors import ProtectionError
from trust.entropy import Entropy
from trust.problem import Kind

SECRET_BYTES = 32
DEFAULT_THRESHOLD, DEFAULT_TOTAL = 3, 5  # DESIGN 10: three of five trustees
MAXIMUM_TOTAL = 16  # more people than that do not meet; the field would allow 255
_REDUCTION = 0x1B
_SHARE_LABEL = b"cadastre/shamir-share/v1"
_SECRET_LABEL = b"cadastre/shamir-secret/v1"


class SharingRefused(ProtectionError):
    """A threshold, a secret or a set of shares that sharing is not defined for."""

    code = "shamir-refused"
    advice = "share among 2 to 255 people, with a threshold of at least 2 and at most their number"


class ShareInvalid(ProtectionError):
    """A share that is not the one that was dealt; its place is named."""

    code = "shamir-share-invalid"
    kind = Kind.UNVERIFIED
    advice = "ask the trustee at this place for its share again, or take another trustee's"


class SharesMissing(ProtectionError):
    """Fewer distinct shares than the threshold."""

    code = "shamir-shares-missing"
    kind = Kind.UNAVAILABLE


@dataclass(frozen=True)
class Share:
    """One trustee's part: its place (1 to n) and 32 bytes that no `repr` shows."""

    place: int
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Dealing:
    """What everybody may know of a sharing: its rule and the hashes that hold it to account."""

    context: bytes  # what the secret is for; binds the commitments to one epoch
    threshold: int
    shares: tuple[bytes, ...]  # commitment of share i at i - 1
    secret: bytes  # commitment of the secret

    @property
    def total(self) -> int:
        """How many shares there are."""
        return len(self.shares)


def deal(
    secret: bytes,
    context: bytes,
    entropy: Entropy,
    *,
    threshold: int = DEFAULT_THRESHOLD,
    total: int = DEFAULT_TOTAL,
) -> tuple[Dealing, tuple[Share, ...]]:
    """Share `secret` (32 uniformly random bytes: its hash is published). Raises SharingRefused."""
    _check_rule(threshold, total)
    if len(secret) != SECRET_BYTES:
        raise SharingRefused(f"a shared secret has {SECRET_BYTES} bytes, not {len(secret)}")
    random = np.frombuffer(entropy((threshold - 1) * SECRET_BYTES), np.uint8)
    coefficients = [_bytes(secret), *random.reshape(threshold - 1, SECRET_BYTES)]
    shares = []
    for place in range(1, total + 1):
        value = np.zeros(SECRET_BYTES, np.uint8)
        for coefficient in reversed(coefficients):  # Horner
            value = _multiply(value, place) ^ coefficient
        shares.append(Share(place, value.tobytes()))
    dealing = Dealing(
        context,
        threshold,
        tuple(_commit_share(context, threshold, share) for share in shares),
        _commit_secret(context, secret),
    )
    return dealing, tuple(shares)


def check_share(dealing: Dealing, share: Share) -> None:
    """Return when `share` is the one that was dealt. Raises ShareInvalid."""
    if not 1 <= share.place <= dealing.total:
        raise ShareInvalid(
            f"there is no share {share.place} of {dealing.total}", share=str(share.place)
        )
    expected = dealing.shares[share.place - 1]
    found = _commit_share(dealing.context, dealing.threshold, share)
    if len(share.body) != SECRET_BYTES or not hmac.compare_digest(found, expected):
        raise ShareInvalid(
            f"share {share.place} is not the one that was dealt",
            remedy="ask that trustee for the share of this epoch, or another trustee for theirs",
            share=str(share.place),
        )


def combine(dealing: Dealing, shares: Sequence[Share]) -> bytes:
    """The secret, from any `threshold` or more distinct shares, each checked first.

    Raises ShareInvalid (naming the place), SharesMissing, SharingRefused.
    """
    _check_rule(dealing.threshold, dealing.total)
    for share in shares:
        check_share(dealing, share)
    distinct = {share.place: share for share in shares}
    if len(distinct) < dealing.threshold:
        raise SharesMissing(
            f"{len(distinct)} of {dealing.threshold} shares are here",
            remedy="wait until more trustees have contributed",
        )
    chosen = [distinct[place] for place in sorted(distinct)[: dealing.threshold]]
    places = [share.place for share in chosen]
    secret = np.zeros(SECRET_BYTES, np.uint8)
    for share in chosen:
        secret ^= _multiply(_bytes(share.body), _weight_at_zero(share.place, places))
    found = secret.tobytes()
    if not hmac.compare_digest(_commit_secret(dealing.context, found), dealing.secret):
        raise SharingRefused(
            "the shares are those that were dealt, and give another secret than was promised",
            remedy="whoever dealt them did it wrongly: hold a new ceremony",
        )
    return found


def _check_rule(threshold: int, total: int) -> None:
    if not 2 <= threshold <= total <= MAXIMUM_TOTAL:
        raise SharingRefused(
            f"{threshold} of {total} is no sharing",
            remedy=f"choose 2 <= threshold <= trustees <= {MAXIMUM_TOTAL}",
        )


def _weight_at_zero(place: int, places: Sequence[int]) -> int:
    """Lagrange's weight of `place` for the value at 0; places are public."""
    weight = 1
    for other in places:
        if other != place:
            weight = multiply(weight, multiply(other, inverse(place ^ other)))
    return weight


def multiply(left: int, right: int) -> int:
    """The product of two field elements."""
    return int(_multiply(np.array([left], np.uint8), right)[0])


def inverse(element: int) -> int:
    """The inverse of a field element that is not 0: its 254th power."""
    if not 0 < element < 256:
        raise SharingRefused(f"{element} has no inverse in GF(2^8)")
    square, result = element, 1
    for _ in range(7):  # 254 = 2 + 4 + ... + 128
        square = multiply(square, square)
        result = multiply(result, square)
    return result


def _multiply(vector: NDArray[np.uint8], scalar: int) -> NDArray[np.uint8]:
    """Every element of `vector` times a public `scalar`."""
    product = np.zeros_like(vector)
    shifted = vector.copy()
    for bit in range(8):
        product ^= shifted * np.uint8(scalar >> bit & 1)
        carry = shifted >> np.uint8(7)
        shifted = (shifted << np.uint8(1)) ^ (carry * np.uint8(_REDUCTION))
    return product


def _bytes(raw: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(raw, np.uint8)


def _commit_share(context: bytes, threshold: int, share: Share) -> bytes:
    head = bytes([threshold, share.place]) + hashlib.sha256(context).digest()
    return hashlib.sha256(_SHARE_LABEL + head + share.body).digest()


def _commit_secret(context: bytes, secret: bytes) -> bytes:
    return hashlib.sha256(_SECRET_LABEL + hashlib.sha256(context).digest() + secret).digest()
