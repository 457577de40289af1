"""Who can rebuild an epoch's secret key: wrapped once, its wrapping key shared, shares sealed.

    CKKS secret key  --AES-256-GCM under a fresh KEK-->  wrapped key (a file; useless alone)
    KEK (32 bytes)   --Shamir t of n-->                  shares, with public commitments
    each share       --HPKE to one trustee's X25519-->   sealed share

The KEK wraps one key and is forgotten with the call; nothing of it stays anywhere but in the
shares. At a ceremony each trustee opens their share with their own key and gives it to the
keyholder, sealed the same way to the keyholder's ceremony key, which joins them in memory.

Territory, epoch, threshold, trustee and place are bound into every layer: a share of one epoch
opens nothing of another.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protection import shamir
from protection.errors import ProtectionError
from protection.shamir import Dealing, Share
from trust.entropy import Entropy
from trust.ids import KeyEpochId
from trust.problem import Kind

MAXIMUM_KEY_BYTES = 1 << 20  # a CKKS secret key is 62 to 233 kB (reference/crypto.md 1.1)
SEALED_SHARE_BYTES = 32 + 1 + shamir.SECRET_BYTES + 16  # encapsulated key, place, body, tag
_NONCE_BYTES, _TAG_BYTES = 12, 16
_CONTEXT_LABEL = b"cadastre/key-epoch/v1"
_SHARE_LABEL = b"cadastre/trustee-share/v1"
_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


class CustodyRefused(ProtectionError):
    """A wrapped key or sealed share that does not open as what it was given for."""

    code = "custody-refused"
    kind = Kind.UNVERIFIED
    advice = "give the key, share and epoch that belong together; a lost share is not replaced"


class Leg(enum.Enum):
    """Which way a sealed share travels; one way's envelope does not open on the other."""

    ENTRUSTED = b"entrusted"  # from the ceremony that made the key to the trustee
    CONTRIBUTED = b"contributed"  # from the trustee to the keyholder, to open


@dataclass(frozen=True)
class KeyEpoch:
    """What every layer is bound to."""

    territory: str
    epoch: KeyEpochId
    profile: str

    @property
    def context(self) -> bytes:
        """The one byte spelling of it: each text with its length, so that none runs on."""
        return _joined(_CONTEXT_LABEL, self.territory, str(self.epoch), self.profile)


@dataclass(frozen=True)
class EntrustedKey:
    """A secret key that no single party can open. All of it may be stored; `dealing` is public."""

    epoch: KeyEpoch
    dealing: Dealing
    wrapped: bytes = field(repr=False)  # nonce, then AES-256-GCM ciphertext and tag
    sealed: tuple[bytes, ...] = field(repr=False)  # by place - 1
    trustees: tuple[str, ...]


def entrust(
    secret_key: bytes,
    epoch: KeyEpoch,
    trustees: Mapping[str, X25519PublicKey],
    entropy: Entropy,
    *,
    threshold: int = shamir.DEFAULT_THRESHOLD,
) -> EntrustedKey:
    """Wrap `secret_key` and seal one share per trustee, places in the mapping's order.

    The caller then forgets `secret_key`. HPKE's ephemeral keys come from the library's own
    generator, not from `entropy`. Raises SharingRefused, CustodyRefused.
    """
    if not 0 < len(secret_key) <= MAXIMUM_KEY_BYTES:
        raise CustodyRefused(f"{len(secret_key)} bytes are no secret key")
    if len({key.public_bytes_raw() for key in trustees.values()}) != len(trustees):
        raise CustodyRefused(
            "two trustees have the same key: one person would hold two shares",
            remedy="ask each trustee for a key of their own (`cadastre trustee init`)",
        )
    wrapping_key = entropy(shamir.SECRET_BYTES)
    dealing, shares = shamir.deal(
        wrapping_key, epoch.context, entropy, threshold=threshold, total=len(trustees)
    )
    nonce = entropy(_NONCE_BYTES)
    wrapped = nonce + AESGCM(wrapping_key).encrypt(nonce, secret_key, epoch.context)
    sealed = tuple(
        seal_share(share, epoch, dealing, key, trustee=name, leg=Leg.ENTRUSTED)
        for share, (name, key) in zip(shares, trustees.items(), strict=True)
    )
    return EntrustedKey(epoch, dealing, wrapped, sealed, tuple(trustees))


def recover(entrusted: EntrustedKey, shares: Sequence[Share]) -> bytes:
    """The secret key, for the keyholder's memory only.

    Raises ShareInvalid (naming the place), SharesMissing, SharingRefused, CustodyRefused.
    """
    epoch, wrapped = entrusted.epoch, entrusted.wrapped
    if entrusted.dealing.context != epoch.context:
        raise CustodyRefused("the shares were dealt for another epoch")
    if not _NONCE_BYTES + _TAG_BYTES < len(wrapped) <= MAXIMUM_KEY_BYTES + 28:
        raise CustodyRefused("the wrapped key does not have a wrapped key's length")
    wrapping_key = shamir.combine(entrusted.dealing, shares)
    nonce, ciphertext = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
    try:
        return AESGCM(wrapping_key).decrypt(nonce, ciphertext, epoch.context)
    except InvalidTag:
        raise CustodyRefused(
            "the wrapped key was altered or belongs to another epoch",
            remedy="fetch this epoch's wrapped key again from the ceremony's record",
        ) from None


def seal_share(
    share: Share,
    epoch: KeyEpoch,
    dealing: Dealing,
    to: X25519PublicKey,
    *,
    trustee: str,
    leg: Leg,
) -> bytes:
    """`share` for the holder of `to` alone: 81 bytes, whatever it holds. Raises CustodyRefused."""
    plain = bytes([share.place]) + share.body
    try:
        return _SUITE.encrypt(plain, to, info=_info(epoch, dealing, trustee, leg))
    except ValueError:  # a point of small order: every shared secret is zero
        raise CustodyRefused(
            f"the key to seal {trustee}'s share to is not a usable X25519 key",
            remedy="ask its holder for a key made by a standard tool",
            trustee=trustee,
        ) from None


def open_share(
    sealed: bytes,
    epoch: KeyEpoch,
    dealing: Dealing,
    key: X25519PrivateKey,
    *,
    trustee: str,
    leg: Leg,
) -> Share:
    """The share in `sealed`, held against its commitment. Raises CustodyRefused, ShareInvalid."""
    if len(sealed) != SEALED_SHARE_BYTES:
        raise CustodyRefused(
            f"a sealed share has {SEALED_SHARE_BYTES} bytes, not {len(sealed)}", trustee=trustee
        )
    try:
        plain = _SUITE.decrypt(sealed, key, info=_info(epoch, dealing, trustee, leg))
    except (InvalidTag, ValueError):  # ValueError: a point of low order
        raise CustodyRefused(
            f"the share sealed for {trustee} does not open for this epoch with this key",
            remedy="check that the share, the epoch and the trustee's key belong together",
            trustee=trustee,
        ) from None
    share = Share(plain[0], plain[1:])
    shamir.check_share(dealing, share)
    return share


def _info(epoch: KeyEpoch, dealing: Dealing, trustee: str, leg: Leg) -> bytes:
    rule = struct.pack("<BB", dealing.threshold, dealing.total)
    head = _joined(_SHARE_LABEL, leg.value.decode(), trustee)
    return head + rule + dealing.secret + epoch.context


def _joined(label: bytes, *texts: str) -> bytes:
    raws = [text.encode() for text in texts]
    return label + b"".join(struct.pack("<I", len(raw)) + raw for raw in raws)
