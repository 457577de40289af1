"""Consents, for accredited auditors: what was committed was signed by owners."""

from __future__ import annotations

from collections.abc import Sequence

from audit.checks.commitments import Opened
from audit.checks.objects import Objects
from audit.errors import AuditFailure
from audit.records import Records
from trust.documents import signed
from trust.documents.consent import Consent
from trust.ids import CapsuleId
from trust.keys import PublicKey

KIND = "consents"


def owned(records: Records, objects: Objects, opened: Sequence[Opened]) -> str:
    """Committed consents that are here: each signed by the one owner of its capsule."""
    owners: dict[CapsuleId, PublicKey] = {}
    committed = held = 0
    for item in opened:
        if item.kind != KIND:
            continue
        territory = records.root_at(item.commitment.index).document.territory
        for digest in item.envelopes:
            committed += 1
            # Consents are personal; an export may leave them out and give their salts only.
            if digest not in objects:
                continue
            consent = signed.verify_self_named(
                Consent, objects.get(digest, "the consent"), "owner"
            ).document
            if consent.territory != territory:
                raise AuditFailure("a consent is of another territory")
            if owners.setdefault(consent.capsule, consent.owner) != consent.owner:
                raise AuditFailure("two keys speak for one capsule")
            held += 1
    return f"{committed} consents committed, {held} of them here and signed by their owners"
