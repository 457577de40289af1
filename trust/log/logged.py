"""As what a document stands in a log: a document does not say its kind, its entry does."""

from __future__ import annotations

from trust.ids import Digest
from trust.log.entry import Kind, LogEntry
from trust.log.policy import Policy
from trust.log.proof import VerifiedEntry, verify_one_of


def verify_logged(proof: bytes, document: Digest, policy: Policy) -> tuple[Kind, VerifiedEntry]:
    """The kind under which `proof` shows the document in the log, and its verified place.

    Each kind makes another entry, and the proof holds for one of them at most. Raises Malformed,
    TooLarge, LogRefused.
    """
    kinds = list(Kind)
    entries = [LogEntry(kind, document).emit() for kind in kinds]
    number, found = verify_one_of(proof, entries, policy)
    return kinds[number], found
