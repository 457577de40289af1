"""What somebody holds to be recognised: a public id and a secret, drawn together.

The id finds the row, the secret proves the holder: the row keeps only its SHA-256, which is
enough for 256 random bits (OWASP ASVS 6.5.2 asks for slow hashing below 112). So a stolen
database opens nothing, and an id can be shown, listed and logged.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TypeVar

from trust.entropy import Entropy
from trust.ids import Identifier

ID_BYTES, SECRET_BYTES = 16, 32
LETTERS = 64  # base64url of both, without padding
_FORM = re.compile(r"[A-Za-z0-9_-]{64}")
_NO_DIGEST = bytes(SECRET_BYTES)

Name = TypeVar("Name", bound=Identifier)


class SessionId(Identifier):
    """One sign-in of one browser."""

    prefix = "sess"
    __slots__ = ()


class CredentialId(Identifier):
    """One token or key that was handed out."""

    prefix = "cred"
    __slots__ = ()


class DepartureId(Identifier):
    """One way to the identity provider and back."""

    prefix = "dep"
    __slots__ = ()


@dataclass(frozen=True)
class Ticket:
    """An id and its secret; shows itself by `reveal` only, never in a log or a traceback."""

    raw: bytes  # the id's 16 bytes
    secret: bytes = field(repr=False)  # 32 bytes

    @classmethod
    def draw(cls, entropy: Entropy) -> Ticket:
        """A fresh one."""
        return cls(entropy(ID_BYTES), entropy(SECRET_BYTES))

    @classmethod
    def read(cls, text: str) -> Ticket | None:
        """The ticket in `text`; None when it is none. Says nothing about whether it is good."""
        if not _FORM.fullmatch(text):
            return None
        both = base64.urlsafe_b64decode(text)  # 64 letters are 48 bytes: no padding, one spelling
        return cls(both[:ID_BYTES], both[ID_BYTES:])

    def name(self, kind: type[Name]) -> Name:
        """Its id, as the type of what it stands for."""
        return kind.from_bytes(self.raw)

    @property
    def digest(self) -> bytes:
        """What is stored of the secret."""
        return hashlib.sha256(self.secret).digest()

    def reveal(self) -> str:
        """The text to hand to its holder, and to nobody else."""
        return base64.urlsafe_b64encode(self.raw + self.secret).decode()


def opens(ticket: Ticket, stored: bytes | None) -> bool:
    """Whether the ticket's secret is the stored one; as long for an unknown id (None) as for any.

    Compared in constant time.
    """
    same = hmac.compare_digest(ticket.digest, _NO_DIGEST if stored is None else stored)
    return same and stored is not None


def derived(secret: bytes, purpose: str) -> bytes:
    """32 bytes that only the holder of `secret` can make, others for every purpose."""
    return hmac.digest(secret, b"cadastre/sign-in/" + purpose.encode(), "sha256")


def to_letters(data: bytes) -> str:
    """base64url without padding, as OAuth and cookies write bytes."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def from_letters(text: str, size: int) -> bytes | None:
    """The `size` bytes that `to_letters` wrote as `text`; None for anything else."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text) or len(text) != -(-size * 4 // 3):
        return None
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return None
    return data if to_letters(data) == text else None  # no second spelling by stray bits


def read_letters(text: str) -> bytes | None:
    """The bytes of base64url text of any length; None when it is not in its one spelling."""
    return from_letters(text, len(text) * 3 // 4)
