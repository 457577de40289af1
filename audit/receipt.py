"""One document's receipt: that it stands in the log which a territory's root names. No network."""

from __future__ import annotations

from dataclasses import dataclass

from trust.errors import Malformed
from trust.ids import Digest
from trust.log.entry import Kind
from trust.log.logged import verify_logged
from trust.log.policy import Policy
from trust.log.proof import LogProof
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


def carried(proof: bytes) -> bytes:
    """The document that a proof brings along, not verified yet. Raises Malformed, TooLarge."""
    document = LogProof.parse(proof).extra
    if not document:
        raise Malformed(
            "this proof does not carry the document that it is of",
            remedy="name the signed document with --document, or download both in one file",
        )
    return document


def check(proof: bytes, document: bytes, root: bytes) -> Receipt:
    """The receipt of `document`. Raises Malformed, TooLarge, RootRefused, LogRefused."""
    trusted = trust_pinned(root, Digest.of(root))
    kind, verified = verify_logged(proof, Digest.of(document), policy_of(root))
    return Receipt(
        territory=trusted.document.territory,
        index=verified.index,
        kind=kind,
        document=Digest.of(document),
        witnesses=tuple(sorted(key.name for key in verified.checkpoint.cosigned)),
        root=trusted.digest,
    )


def policy_of(root: bytes) -> Policy:
    """Which log and witnesses a signed root names. Raises Malformed, RootRefused."""
    trusted = trust_pinned(root, Digest.of(root))
    return Policy.parse(trusted.document.log_policy.encode())
