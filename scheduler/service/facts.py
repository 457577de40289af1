"""Signed documents that campaigns rest on, read from blobs and verified."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from jobs import archive
from scheduler.domain.planning import Needs
from scheduler.service.desk import Desk
from scheduler.store.tables import CampaignRow
from trust.documents.aggregation import HelperKey
from trust.documents.custody import EpochKey
from trust.documents.governance import Authorisation
from trust.documents.root import Duty
from trust.documents.rules import Protection
from trust.ids import Digest
from trust.policy.aggregation import WITH_HELPER

# Parsed bundles kept in memory: a territory has few campaigns at a time.
MAXIMUM_KEPT = 32


@dataclass(frozen=True)
class CampaignFacts:
    """What the college voted about a bundle, and the bundle."""

    authorisation: Authorisation
    bundle: archive.Bundle

    @property
    def with_helper(self) -> bool:
        """Whether the voted protection has a helper."""
        return any(rule.protection in WITH_HELPER for rule in self.authorisation.rules)

    @property
    def encrypted(self) -> bool:
        """Whether partials are ciphertexts, which the keyholder opens."""
        return any(rule.protection is Protection.ENCRYPTED for rule in self.authorisation.rules)

    @property
    def needs(self) -> Needs:
        """What a round of it asks for."""
        manifest = self.bundle.manifest
        return Needs(
            rules=self.authorisation.rules,
            images=self.authorisation.images,
            libraries=manifest.libraries,
            quorum=manifest.rounds.quorum,
            deadline=timedelta(seconds=manifest.rounds.deadline_seconds),
            not_after=self.authorisation.not_after,
            share=Fraction(manifest.rounds.share),
            spare=manifest.rounds.spare,
        )


def facts_of(desk: Desk, authorisation: str, bundle: str) -> CampaignFacts:
    """Read both. Raises BlobCorrupted, SignatureInvalid and what `archive.read` raises.

    Contents named by their digests never change, so what was verified once is kept.
    """
    key = (authorisation, bundle)
    known = desk.facts.get(key)
    if isinstance(known, CampaignFacts):
        return known
    raw = desk.blobs.get(Digest(authorisation))
    signed = desk.root.verify(Authorisation, raw, Duty.COLLEGE)
    digest = Digest(bundle)
    facts = CampaignFacts(signed.document, archive.read(desk.blobs.get(digest), digest))
    _remember(desk, key, facts)
    return facts


def helper_key_of(desk: Desk, helper: str) -> HelperKey:
    """The helper's key by its envelope's digest. Raises BlobCorrupted, SignatureInvalid."""
    key = ("helper", helper)
    known = desk.facts.get(key)
    if isinstance(known, HelperKey):
        return known
    found = desk.root.verify(HelperKey, desk.blobs.get(Digest(helper)), Duty.HELPER).document
    _remember(desk, key, found)
    return found


def keys_end(desk: Desk, row: CampaignRow) -> datetime | None:
    """When the first of a campaign's keys ends; None where it has none."""
    ends = [] if row.helper is None else [helper_key_of(desk, row.helper).not_after]
    ends += [] if row.epoch is None else [epoch_of(desk, row.epoch).not_after]
    return min(ends, default=None)


def epoch_of(desk: Desk, epoch: str) -> EpochKey:
    """The key epoch by its envelope's digest. Raises BlobCorrupted, SignatureInvalid."""
    key = ("epoch", epoch)
    known = desk.facts.get(key)
    if isinstance(known, EpochKey):
        return known
    found = desk.root.verify(EpochKey, desk.blobs.get(Digest(epoch)), Duty.KEYHOLDER).document
    _remember(desk, key, found)
    return found


def _remember(desk: Desk, key: tuple[str, str], facts: object) -> None:
    if len(desk.facts) >= MAXIMUM_KEPT:
        desk.facts.clear()
    desk.facts[key] = facts
