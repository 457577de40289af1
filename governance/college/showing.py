"""A decision in words, and whose signatures on it count."""

from __future__ import annotations

from governance.college.decisions import ballot
from governance.drafts import Draft
from trust import dsse, root
from trust.documents.governance import Authorisation, Suspension
from trust.documents.root import Duty


def in_words(draft: Draft) -> dict[str, object]:
    """What the draft decides. Raises DraftRefused when it is no decision of the college."""
    if draft.payload_type == Suspension.TYPE:
        suspension = draft.document(Suspension)
        return {
            "suspends": suspension.authorisation,
            "territory": suspension.territory,
            "reason": suspension.reason,
            "issued": f"{suspension.issued_at:%Y-%m-%d %H:%M} UTC",
        }
    return ballot(draft.document(Authorisation))


def signatures(draft: Draft, root_raw: bytes | None) -> dict[str, object]:
    """Who signed; under a root also how many of the college still have to."""
    if root_raw is None:
        signed = () if draft.envelope is None else draft.envelope.signatures
        return {"signatures": len(signed), "counted": "no: give --root to count the college's"}
    trusted = root.trust_pinned(root_raw, dsse.Envelope.parse(root_raw).digest)
    college = trusted.keys(Duty.COLLEGE)
    signers = draft.signers(college.keys)
    return {
        "signed by": [key.keyid for key in college.keys if key in signers],
        "still needed": max(0, college.threshold - len(signers)),
    }
