"""The helper's share: a 32-byte seed, sealed to the helper's key of one campaign.

HPKE (RFC 9180) base mode, X25519, HKDF-SHA-256, ChaCha20-Poly1305, as for grants. The seal's
`info` names the report (protection.scope): a seed that was sealed for another round, worker,
report, bundle or parameter set does not open. HPKE's base mode does not say who sealed; the
worker's signature on the partial, which names the digest of the sealed seed, does.
"""

from __future__ import annotations

import hmac
from typing import NoReturn, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from protection.errors import SeedRefused, SeedUnopenable
from protection.scope import Binding
from trust.entropy import Entropy

SEED_BYTES = 32
# X25519's encapsulated key, the seed, and the tag of ChaCha20-Poly1305.
SEALED_BYTES = 32 + SEED_BYTES + 16

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


class Seed:
    """A secret of 32 bytes: shown, copied into messages or pickled by nobody."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        if len(raw) != SEED_BYTES:
            raise SeedRefused(f"a seed has {SEED_BYTES} bytes, not {len(raw)}")
        self._raw = bytes(raw)

    @classmethod
    def draw(cls, entropy: Entropy) -> Self:
        """A fresh seed, for one report only: two values under one seed show their difference."""
        return cls(entropy(SEED_BYTES))

    def reveal(self) -> bytes:
        """The bytes, for the cipher and the seal."""
        return self._raw

    def __repr__(self) -> str:
        return "Seed(hidden)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Seed) and hmac.compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash(self._raw)

    def __reduce__(self) -> NoReturn:
        raise SeedRefused("a seed is never pickled or copied", remedy="seal it to the helper's key")


def helper_key(raw: bytes) -> X25519PublicKey:
    """The helper's campaign key, tried once, so that sealing to it cannot fail later.

    Raises SeedRefused for another length, and for a point of small order: with it every shared
    secret is zero.
    """
    try:
        key = X25519PublicKey.from_public_bytes(raw)
        X25519PrivateKey.generate().exchange(key)
    except ValueError as error:
        raise _unusable() from error
    return key


def seal(seed: Seed, helper: X25519PublicKey, binding: Binding) -> bytes:
    """`seed` for the helper's eyes and this report only; SEALED_BYTES long. Raises SeedRefused.

    The ephemeral key comes from the library's own generator: sealing twice gives other bytes,
    so the sealed seed is persisted with the partial and replayed with it.
    """
    try:
        return _SUITE.encrypt(seed.reveal(), helper, info=binding.info())
    except ValueError as error:
        raise _unusable() from error


def _unusable() -> SeedRefused:
    return SeedRefused(
        "the helper's campaign key is not a usable X25519 key",
        remedy="the helper publishes a fresh key for another campaign, signed with its own",
    )


def open_seed(sealed: bytes, helper: X25519PrivateKey, binding: Binding) -> Seed:
    """The seed that was sealed for exactly this report. Raises SeedUnopenable.

    Whatever the cause (another key, another report, damage), the refusal is the same: a helper
    that told them apart would answer questions about sealed seeds that are not its sender's.
    """
    refusal = SeedUnopenable(
        "the sealed seed does not open under this campaign's key for this report",
        remedy="the report is left out of the batch; the worker reports again in the next round",
        report=binding.report,
    )
    if len(sealed) != SEALED_BYTES:
        raise refusal
    try:
        return Seed(_SUITE.decrypt(sealed, helper, info=binding.info()))
    except (InvalidTag, ValueError) as error:  # whatever the library says, one report only
        raise refusal from error
