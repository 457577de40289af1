"""What the cooperative signs: authorisations, suspensions, and its status for workers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from trust.documents.rules import Bound, ReleaseRules
from trust.ids import AuthorisationId, Digest, WorkerId


@dataclass(frozen=True)
class Authorisation:
    """The college's k-of-n certificate for one bundle digest."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.authorisation.v1+json"

    id: AuthorisationId
    territory: str
    bundle: Digest
    manifest: Digest  # of bundle.toml's bytes, so that the vote names what it read
    title: str
    purpose: str
    tables: dict[str, tuple[str, ...]]
    rules: tuple[ReleaseRules, ...]
    bounds: dict[str, Bound]
    images: tuple[Digest, ...]  # runtime images it may run on
    rho_budget: str  # zCDP that one privacy unit may spend on all its campaigns together
    campaigns: int
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True)
class Suspension:
    """The college stops an authorisation at once; only a new authorisation lifts it."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.suspension.v1+json"

    territory: str
    authorisation: AuthorisationId
    reason: str
    issued_at: datetime


@dataclass(frozen=True)
class Suspended:
    """One line of the status: what is suspended and why."""

    authorisation: AuthorisationId
    reason: str


@dataclass(frozen=True)
class Status:
    """What every worker fetches from governance itself, at most 24 h old.

    `revoked` are revocation tokens (see `trust.documents.consent.revocation_token`);
    `live_consents` maps a consent target to live consents per worker.
    """

    TYPE: ClassVar[str] = "application/vnd.cadastre.status.v1+json"

    territory: str
    number: int  # strictly growing; a lower one is a replay
    issued_at: datetime
    expires_at: datetime
    suspensions: tuple[Suspended, ...]
    revoked: tuple[Digest, ...]
    live_consents: dict[str, dict[WorkerId, int]]
