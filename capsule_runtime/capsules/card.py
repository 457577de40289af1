"""A worker's card: what an owner needs to choose a host, signed by that worker.

The card is shown to the owner, who sees the operator and the site before trusting the host
with a key; the territory root, not the card, says whether the worker is enrolled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from capsule_runtime.capsules.errors import CardRefused
from trust.documents import signed
from trust.errors import TrustError
from trust.ids import WorkerId
from trust.keys import PrivateKey, PublicKey

HPKE_KEY_BYTES = 32


@dataclass(frozen=True)
class WorkerCard:
    """Who a worker is and which HPKE (X25519) key opens what is sealed to it."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.worker-card.v1+json"

    territory: str
    worker: WorkerId
    key: PublicKey
    hpke: bytes  # raw X25519 public key
    operator: str
    site: str

    @property
    def hpke_key(self) -> X25519PublicKey:
        """The key to wrap for."""
        return X25519PublicKey.from_public_bytes(self.hpke)


def make_card(
    key: PrivateKey, hpke: X25519PrivateKey, *, territory: str, operator: str, site: str
) -> bytes:
    """The signed card of the worker that holds both keys."""
    card = WorkerCard(
        territory=territory,
        worker=key.public.worker_id,
        key=key.public,
        hpke=hpke.public_key().public_bytes_raw(),
        operator=operator,
        site=site,
    )
    return signed.sign(card, [key]).envelope.raw


def verify_card(raw: bytes) -> WorkerCard:
    """The card in `raw`. Raises CardRefused."""
    try:
        card = signed.verify_self_named(WorkerCard, raw, "key").document
    except TrustError as error:
        raise CardRefused(
            f"this is not a worker's card: {error.sentence}",
            remedy="ask the worker's keeper for the card file that `cadastre worker join` wrote",
        ) from error
    if card.worker != card.key.worker_id or len(card.hpke) != HPKE_KEY_BYTES:
        raise CardRefused(
            "the card's worker id or HPKE key does not belong to the key that signed it",
            remedy="ask the worker's keeper for a new card",
        )
    return card


def read_card(path: Path) -> WorkerCard:
    """The card in the file `path`. Raises CardRefused."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CardRefused(
            f"could not read the worker card {path}: {error.strerror}",
            remedy="give the path of the card file that the worker's keeper handed out",
        ) from error
    return verify_card(raw)
