"""Who takes part: an author's statement about a bundle, a node that was enrolled or excluded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from trust.ids import Digest, WorkerId
from trust.keys import PublicKey


@dataclass(frozen=True)
class BundleStatement:
    """An author vouches for the exact bytes of a bundle."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.bundle.v1+json"

    bundle: Digest
    manifest: Digest
    name: str
    version: str
    author: PublicKey
    signed_at: datetime


@dataclass(frozen=True)
class Enrolled:
    """The scheduler admitted a node; a key event in the public log."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.enrolled.v1+json"

    territory: str
    worker: WorkerId
    key: PublicKey
    operator: str
    site: str
    enrolled_at: datetime


@dataclass(frozen=True)
class Banned:
    """The scheduler excluded a worker for good; a key event in the public log.

    Without a reason: what is said about somebody has no place where nothing can be taken back.
    """

    TYPE: ClassVar[str] = "application/vnd.cadastre.banned.v1+json"

    territory: str
    worker: WorkerId
    key: PublicKey
    banned_at: datetime


@dataclass(frozen=True)
class EnrolmentProof:
    """Proof of possession: the node signs what its token and keys are."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.enrolment-proof.v1+json"

    token: Digest  # of the token's secret
    request: Digest  # of the certificate request (DER)
    key: PublicKey
    hpke: bytes  # the node's HPKE (X25519) public key
    operator: str
    site: str
