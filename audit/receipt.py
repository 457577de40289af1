"""One document's receipt: that it stands in the log which a territory's root names. No network."""

from __future__ import annotations

from dataclasses import dataclass

from trust.errors import LogRefused
from trust.ids import Digest
from trust.log.entry import Kind, LogEntry
from trust.log.policy import Policy
from trust.log.proof import LogProof, verify_proof
from trust.root import trust_pinned


@dataclass(frozen=True)
class Receipt:
    """What was verified; whoever trusts `root` trusts the rest."""

    territory: str
    index: int
    kind: Kind
    document: Digest
    witnesses: tuple[str, ...]
    root: Digest


def check(proof: bytes, document: bytes, root: bytes) -> Receipt:
    """The receipt of `document`. Raises Malformed, TooLarge, RootRefused, LogRefused.

    The document does not say as what it was logged: each kind makes another entry, and the proof
    holds for one of them at most.
    """
    trusted = trust_pinned(root, Digest.of(root))
    policy = Policy.parse(trusted.document.log_policy.encode())
    index = LogProof.parse(proof).index
    refused = LogRefused("the proof is of no kind of entry")
    for kind in Kind:
        try:
            verified = verify_proof(proof, LogEntry.of(kind, document).emit(), policy)
        except LogRefused as error:
            refused = error
            continue
        return Receipt(
            territory=trusted.document.territory,
            index=index,
            kind=kind,
            document=Digest.of(document),
            witnesses=tuple(sorted(key.name for key in verified.checkpoint.cosigned)),
            root=trusted.digest,
        )
    raise refused
