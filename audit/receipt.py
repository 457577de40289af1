"""One document's receipt: that it stands in the log which a territory's root names. No network."""

from __future__ import annotations

from dataclasses import dataclass

from trust.ids import Digest
from trust.log.entry import Kind
from trust.log.logged import verify_logged
from trust.log.policy import Policy
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
