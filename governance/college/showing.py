"""A decision in words, and whose signatures on it count."""

from __future__ import annotations

import math

from governance.college.decisions import ballot
from governance.drafts import Draft, require_plain
from governance.errors import VoteRefused
from jobs.fields import MAXIMUM_CELLS
from protection import accounting
from protection.ring import require_room
from trust import dsse, root
from trust.documents.governance import Authorisation, Suspension
from trust.documents.root import Duty
from trust.documents.rules import ReleaseRules


def in_words(draft: Draft) -> dict[str, object]:
    """What the draft decides. Raises DraftRefused when it is no decision of the college."""
    decision = _decision(draft)
    if isinstance(decision, Suspension):
        require_plain(decision.territory, decision.reason)
        return {
            "suspends": decision.authorisation,
            "territory": decision.territory,
            "reason": decision.reason,
            "issued": f"{decision.issued_at:%Y-%m-%d %H:%M} UTC",
        }
    outputs = [rule.output for rule in decision.rules]
    if len(set(outputs)) != len(outputs):
        raise VoteRefused(
            "the authorisation names one release twice: its rules would contradict each other",
            remedy="do not sign it; draft it again from the bundle",
        )
    require_plain(*_texts(decision))
    for rule in decision.rules:
        _require_measurable(rule)
    return ballot(decision)


def signatures(draft: Draft, root_raw: bytes | None) -> dict[str, object]:
    """Who signed; under a root also how many of the college still have to."""
    if root_raw is None:
        signed = () if draft.envelope is None else draft.envelope.signatures
        return {"signatures": len(signed), "counted": "no: give --root to count the college's"}
    trusted = root.trust_pinned(root_raw, dsse.Envelope.parse(root_raw).digest)
    territory = _decision(draft).territory
    if territory != trusted.document.territory:
        raise VoteRefused(
            f"this decides for {territory[:80]}, the root is of {trusted.document.territory}: "
            "signatures of the one count for nothing in the other",
            remedy="give the root of its own territory",
        )
    college = trusted.keys(Duty.COLLEGE)
    signers = draft.signers(college.keys)
    return {
        "signed by": [key.keyid for key in college.keys if key in signers],
        "still needed": max(0, college.threshold - len(signers)),
    }


def _decision(draft: Draft) -> Authorisation | Suspension:
    if draft.payload_type == Suspension.TYPE:
        return draft.document(Suspension)
    return draft.document(Authorisation)


def _require_measurable(rule: ReleaseRules) -> None:
    """Whoever drafted by hand may have written what no bundle could, and nobody could count."""
    cells = math.prod(rule.shape)
    if not all(length > 0 for length in rule.shape) or cells > MAXIMUM_CELLS:
        raise VoteRefused(
            f"{rule.output}: a release has 1 to {MAXIMUM_CELLS} cells",
            remedy="do not sign it; draft it again from the bundle",
        )
    if accounting.bound_in_steps(rule) <= 0:
        raise VoteRefused(
            f"{rule.output}: a clip bound of {rule.bound[:40]!a} bounds nothing",
            remedy="do not sign it; draft it again from the bundle",
        )
    # A draft names no number of rounds: admission and every worker ask again with the bundle's.
    require_room(rule)


def _texts(authorisation: Authorisation) -> list[str]:
    """Every free text of a vote that is shown."""
    texts = [authorisation.territory, authorisation.title, authorisation.purpose]
    for table, names in authorisation.tables.items():
        texts += [table, *names]
    for rule in authorisation.rules:
        texts += [rule.output, rule.dtype]
    for name, bound in authorisation.bounds.items():
        texts += [name, bound.type, bound.minimum or "", bound.maximum or "", *bound.choices]
    return texts
