"""Identifiers as types: random 128-bit ids with a typed prefix, and content digests.

Text form of an id: `camp_` and 26 characters of lower-case Crockford base32 (the TypeID idea):
copyable by a double click, no look-alike letters, and a prefix of it can be searched.
"""

from __future__ import annotations

import hashlib
import re
from typing import ClassVar, Self

from trust.entropy import Entropy
from trust.errors import Malformed

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_BODY = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def _encode(raw: bytes) -> str:
    number = int.from_bytes(raw, "big")
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


class Identifier(str):
    """A 128-bit identifier; build it with `parse`, `draw` or `from_bytes`, never by hand."""

    prefix: ClassVar[str] = ""
    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """`text` as this type of id. Raises Malformed."""
        head, _, body = text.partition("_")
        if head != cls.prefix or not _BODY.fullmatch(body):
            raise Malformed(
                f"{text[:64]!r} is not a {cls.__name__}: expected {cls.prefix}_ and 26 letters",
                remedy="copy the whole id from where it was printed",
            )
        return cls(text)

    @classmethod
    def draw(cls, entropy: Entropy) -> Self:
        """A fresh random id."""
        return cls.from_bytes(entropy(16))

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """The id whose 16 bytes are `raw`."""
        if len(raw) != 16:
            raise Malformed(f"an identifier has 16 bytes, not {len(raw)}")
        return cls(f"{cls.prefix}_{_encode(raw)}")


class CampaignId(Identifier):
    """One run of an authorised bundle."""

    prefix = "camp"
    __slots__ = ()


class UnitId(Identifier):
    """One work unit: what one worker has to do in one round."""

    prefix = "unit"
    __slots__ = ()


class AttemptId(Identifier):
    """One lease of a work unit."""

    prefix = "att"
    __slots__ = ()


class WorkerId(Identifier):
    """A worker; derived from its Ed25519 key, so one key is one worker."""

    prefix = "wrk"
    __slots__ = ()


class CapsuleId(Identifier):
    """A capsule: random, says nothing about its owner."""

    prefix = "cap"
    __slots__ = ()


class AuthorisationId(Identifier):
    """One decision of the cooperative about one bundle digest."""

    prefix = "auth"
    __slots__ = ()


class ReportId(Identifier):
    """A partial's random name, unrelated to its worker."""

    prefix = "rep"
    __slots__ = ()


class FencingToken(Identifier):
    """The random token that a lease's writes must present."""

    prefix = "fence"
    __slots__ = ()


class KeyEpochId(Identifier):
    """One CKKS secret key's life: one campaign."""

    prefix = "epoch"
    __slots__ = ()


class ActionId(Identifier):
    """One deed of an operator."""

    prefix = "deed"
    __slots__ = ()


class AccountId(Identifier):
    """Whoever acts on the grid, under a random name: the same person has the same one."""

    prefix = "acct"
    __slots__ = ()


class Digest(str):
    """A SHA-256 content digest, written `sha256:<64 hex>`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Digest:
        """`text` as a digest. Raises Malformed."""
        if not _DIGEST.fullmatch(text):
            raise Malformed(
                f"{text[:80]!r} is not a digest: expected sha256: and 64 hex digits",
                remedy="copy the whole digest from where it was printed",
            )
        return cls(text)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The digest of `data`."""
        return cls("sha256:" + hashlib.sha256(data).hexdigest())

    @classmethod
    def from_bytes(cls, raw: bytes) -> Digest:
        """The digest whose 32 bytes are `raw`."""
        if len(raw) != 32:
            raise Malformed(f"a digest has 32 bytes, not {len(raw)}")
        return cls("sha256:" + raw.hex())

    @property
    def raw(self) -> bytes:
        """The 32 bytes."""
        return bytes.fromhex(self[7:])
