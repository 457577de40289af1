"""Ed25519 keys through PyNaCl, which refuses small-order public keys (pyca does not)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from nacl import bindings
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from trust.entropy import Entropy
from trust.errors import KeyRefused, SignatureInvalid
from trust.ids import WorkerId

_PUBLIC_PREFIX = "ed25519:"
SIGNATURE_BYTES = 64
# The same few dozen keys are read with every document, and what is a point stays one.
_is_point = lru_cache(maxsize=4096)(bindings.crypto_core_ed25519_is_valid_point)


@dataclass(frozen=True, order=True)
class PublicKey:
    """A checked Ed25519 public key (32 bytes); equality is equality of key bytes."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != bindings.crypto_sign_PUBLICKEYBYTES:
            raise KeyRefused(f"an Ed25519 public key has 32 bytes, not {len(self.raw)}")
        if not _is_point(self.raw):
            raise KeyRefused(
                "the Ed25519 public key is not a point of the prime-order group",
                remedy="ask its holder for a key made by a standard tool",
            )

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """The key written as `ed25519:<base64url>`. Raises KeyRefused."""
        if not text.startswith(_PUBLIC_PREFIX):
            raise KeyRefused(f"{text[:60]!r} is not a public key: expected ed25519:…")
        body = text.removeprefix(_PUBLIC_PREFIX)
        try:
            raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise KeyRefused(f"{text[:60]!r} is not base64url after ed25519:") from error
        key = cls(raw)
        if str(key) != text:
            raise KeyRefused(f"{text[:60]!r} is not the canonical spelling of its key")
        return key

    def __str__(self) -> str:
        return _PUBLIC_PREFIX + base64.urlsafe_b64encode(self.raw).decode().rstrip("=")

    @cached_property
    def keyid(self) -> str:
        """A short name of the key: 16 hex digits of its SHA-256. Never used to count signers."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    @cached_property
    def worker_id(self) -> WorkerId:
        """The worker that holds this key: one key, one worker."""
        return WorkerId.from_bytes(hashlib.sha256(b"cadastre/worker/v1" + self.raw).digest()[:16])

    def verify(self, message: bytes, signature: bytes) -> None:
        """Return when `signature` is this key's over `message`. Raises SignatureInvalid."""
        if len(signature) != SIGNATURE_BYTES:
            raise SignatureInvalid(f"an Ed25519 signature has 64 bytes, not {len(signature)}")
        try:
            VerifyKey(self.raw).verify(message, signature)
        except BadSignatureError as error:
            raise SignatureInvalid(
                f"the signature does not verify under key {self.keyid}", keyid=self.keyid
            ) from error


@dataclass(frozen=True)
class PrivateKey:
    """An Ed25519 signing key; its seed never appears in `repr`, logs or errors."""

    seed: bytes = field(repr=False)
    public: PublicKey = field(init=False)

    def __post_init__(self) -> None:
        if len(self.seed) != bindings.crypto_sign_SEEDBYTES:
            raise KeyRefused("an Ed25519 seed has 32 bytes")
        object.__setattr__(self, "public", PublicKey(bytes(SigningKey(self.seed).verify_key)))

    @classmethod
    def generate(cls, entropy: Entropy) -> PrivateKey:
        """A fresh key."""
        return cls(entropy(bindings.crypto_sign_SEEDBYTES))

    def sign(self, message: bytes) -> bytes:
        """64 bytes of signature over `message`."""
        return SigningKey(self.seed).sign(message).signature
