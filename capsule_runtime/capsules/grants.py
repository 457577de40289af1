"""Grants: a capsule's key, wrapped for one worker until a date, signed by the owner.

HPKE (RFC 9180) base mode, X25519, HKDF-SHA-256, ChaCha20-Poly1305. The wrap's `info` holds
territory, capsule, worker, grant id and both dates: no field can change without the unwrap
failing, whoever signs. `unwrap` is a pure function because the agent holds the private key and the
broker, which asks for one capsule key at a time, never sees it.

What erasure can promise: this code forgets the grant and the key. A host's administrator could
have kept a key that was once unwrapped; hence short grants (see docs/threat-model.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from capsule_runtime.capsules.card import WorkerCard
from capsule_runtime.capsules.encryption import KEY_BYTES
from capsule_runtime.capsules.errors import GrantExpired, GrantRefused
from trust import clock, dsse, schema
from trust.documents import signed
from trust.entropy import Entropy
from trust.errors import TrustError
from trust.ids import CapsuleId, Identifier, WorkerId
from trust.keys import PrivateKey, PublicKey

# Long enough to survive a week's holiday of the owner, short enough that a forgotten host
# goes blind: the design asks for short grants that are renewed.
DEFAULT_LIFETIME = timedelta(days=7)
MAXIMUM_LIFETIME = timedelta(days=31)
# A worker's clock may be a little behind its owner's.
CLOCK_TOLERANCE = timedelta(minutes=10)

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


class GrantId(Identifier):
    """One wrapping of one capsule key for one worker."""

    prefix = "grant"
    __slots__ = ()


@dataclass(frozen=True)
class Grant:
    """The owner lets one worker open one capsule until `expires_at`."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.grant.v1+json"

    id: GrantId
    territory: str
    capsule: CapsuleId
    worker: WorkerId
    owner: PublicKey
    issued_at: datetime
    expires_at: datetime
    wrapped: bytes  # HPKE encapsulated key and the sealed 32-byte capsule key


def issue(
    capsule: CapsuleId,
    capsule_key: bytes,
    owner: PrivateKey,
    card: WorkerCard,
    *,
    now: datetime,
    entropy: Entropy,
    lifetime: timedelta = DEFAULT_LIFETIME,
) -> bytes:
    """The signed envelope of a fresh grant. Raises GrantRefused on a lifetime out of bounds.

    The HPKE ephemeral key comes from the library's own generator, not from `entropy`.
    """
    if not timedelta(0) < lifetime <= MAXIMUM_LIFETIME:
        raise GrantRefused(
            f"a grant lasts at most {MAXIMUM_LIFETIME.days} days",
            remedy="choose a shorter one and renew it with `cadastre capsule grant`",
        )
    issued_at = clock.from_text(clock.to_text(now))
    empty = Grant(
        id=GrantId.draw(entropy),
        territory=card.territory,
        capsule=capsule,
        worker=card.worker,
        owner=owner.public,
        issued_at=issued_at,
        expires_at=issued_at + lifetime,
        wrapped=b"",
    )
    wrapped = _SUITE.encrypt(capsule_key, card.hpke_key, info=_info(empty))
    grant = Grant(**{**empty.__dict__, "wrapped": wrapped})
    return signed.sign(grant, [owner]).envelope.raw


def claimed(raw: bytes) -> Grant:
    """What `raw` says, unverified: only to look up whose signature must hold."""
    try:
        return schema.decode(Grant, dsse.Envelope.parse(raw).payload)
    except TrustError as error:
        raise GrantRefused(
            f"this is not a grant: {error.sentence}",
            remedy="give a .grant file made by `cadastre capsule seal` or `grant`",
        ) from error


def verify(raw: bytes, owner: PublicKey) -> Grant:
    """The grant in `raw`, signed by `owner`. Raises GrantRefused."""
    try:
        grant = signed.verify(Grant, raw, {owner}).document
    except TrustError as error:
        raise GrantRefused(
            f"this is not a grant by the capsule's owner: {error.sentence}",
            remedy="ask the owner to issue it again with `cadastre capsule grant`",
        ) from error
    if grant.owner != owner or grant.expires_at - grant.issued_at > MAXIMUM_LIFETIME:
        raise GrantRefused(
            "the grant names another owner or lasts too long",
            remedy="ask the owner to issue it again with `cadastre capsule grant`",
        )
    return grant


def unwrap(grant: Grant, private_key: X25519PrivateKey, now: datetime) -> bytes:
    """The 32-byte capsule key. Raises GrantExpired or GrantRefused."""
    if now >= grant.expires_at:
        raise GrantExpired(
            f"the grant ended at {clock.to_text(grant.expires_at)}",
            remedy="the owner renews it with `cadastre capsule grant`",
            capsule=grant.capsule,
        )
    if now < grant.issued_at - CLOCK_TOLERANCE:
        raise GrantRefused(
            f"the grant starts at {clock.to_text(grant.issued_at)}, which is still to come",
            remedy="check this machine's clock (`cadastre doctor`)",
            capsule=grant.capsule,
        )
    try:
        key = _SUITE.decrypt(grant.wrapped, private_key, info=_info(grant))
    except InvalidTag as error:
        raise GrantRefused(
            "the grant was wrapped for another worker's key, or was altered",
            remedy="the owner issues a new one for this worker's present card",
            capsule=grant.capsule,
        ) from error
    if len(key) != KEY_BYTES:
        raise GrantRefused("the grant does not hold a capsule key", capsule=grant.capsule)
    return key


def _info(grant: Grant) -> bytes:
    return "\n".join(
        (
            "cadastre/grant/v1",
            grant.territory,
            grant.capsule,
            grant.worker,
            grant.id,
            clock.to_text(grant.issued_at),
            clock.to_text(grant.expires_at),
        )
    ).encode()
