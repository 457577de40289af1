"""A proof that somebody brought, checked by this server: whoever asks it trusts it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trust.errors import Malformed, TrustError
from trust.ids import Digest
from trust.log.logged import verify_logged
from trust.log.policy import Policy
from trust.log.proof import LogProof
from trust.root import trust_pinned

_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True)
class Judged:
    """What was found: `refused` is None when everything held, else why not."""

    refused: TrustError | None
    document: str  # digest of what the proof is of, "" where nobody said
    trust: str  # digest of what the proof was verified under
    kind: str = ""
    index: int = 0
    log: str = ""
    size: int = 0
    witnesses: tuple[str, ...] = ()


def judge(proof: str, document: str, trust: str) -> Judged:
    """The proof of `document` (itself or its digest) under a log policy or a signed root.

    Without a document it is a receipt's, which brings its own. Never raises for what was pasted: a
    refusal is the answer.
    """
    digest, under = "", str(Digest.of(trust.encode()))
    try:
        digest = _digest(proof, document)
        kind, verified = verify_logged(proof.encode(), Digest(digest), _policy(trust))
    except TrustError as error:
        return Judged(error, digest, under)
    checkpoint = verified.checkpoint
    return Judged(
        None,
        digest,
        under,
        kind.value,
        verified.index,
        checkpoint.checkpoint.origin,
        checkpoint.checkpoint.size,
        tuple(sorted(key.name for key in checkpoint.cosigned)),
    )


def _digest(proof: str, document: str) -> str:
    if not document.strip():
        carried = LogProof.parse(proof.encode()).extra
        if not carried:
            raise Malformed(
                "this proof does not carry the document that it is of",
                remedy="paste the signed document too, or a receipt, which brings its own",
            )
        return Digest.of(carried)
    typed = _DIGEST.fullmatch(document.strip())
    return f"sha256:{typed[1]}" if typed else Digest.of(document.encode())


def _policy(trust: str) -> Policy:
    if not trust.lstrip().startswith("{"):
        return Policy.parse((trust if trust.endswith("\n") else f"{trust}\n").encode())
    raw = trust.encode()
    return Policy.parse(trust_pinned(raw, Digest.of(raw)).document.log_policy.encode())
