"""An owner's consent: signed, numbered, per table, expiring; the highest serial wins."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from trust.ids import CapsuleId, Digest, WorkerId
from trust.keys import PublicKey

PURPOSE_PREFIX = "purpose:"


class Decision(enum.StrEnum):
    """What the owner says."""

    GRANT = "grant"
    REVOKE = "revoke"


@dataclass(frozen=True)
class Consent:
    """One decision of one owner about one capsule and one target.

    `target` is a bundle digest (`sha256:…`) or `purpose:<text>`; serials grow per
    (capsule, target).
    """

    TYPE: ClassVar[str] = "application/vnd.cadastre.consent.v1+json"

    territory: str
    capsule: CapsuleId
    worker: WorkerId  # the host that the owner chose
    owner: PublicKey
    serial: int
    decision: Decision
    target: str
    tables: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime


def revocation_token(capsule: CapsuleId, target: str) -> Digest:
    """What the public status lists for a revoked consent: it names nobody.

    Capsule ids are 128 random bits that only the owner, the host and the registry know, so
    the token cannot be searched for.
    """
    return Digest.of(f"cadastre/revoked/v1\n{capsule}\n{target}\n".encode())
