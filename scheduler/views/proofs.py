"""A proof that somebody brought, checked by this server: whoever asks it trusts it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trust.errors import TrustError
from trust.ids import Digest
from trust.log.logged import verify_logged
from trust.log.policy import Policy
from trust.root import trust_pinned

_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True)
class Judged:
    """What was found: `refused` is "" when everything held, else why not."""

    refused: str
    document: str
    trust: str  # digest of what the proof was verified under
    kind: str = ""
    index: int = 0
    log: str = ""
    size: int = 0
    witnesses: tuple[str, ...] = ()


def judge(proof: str, document: str, trust: str) -> Judged:
    """The proof of `document` (itself or its digest) under a log policy or a signed root.

    Never raises for what was pasted: a refusal is the answer.
    """
    typed = _DIGEST.fullmatch(document.strip())
    digest = Digest(f"sha256:{typed[1]}") if typed else Digest.of(document.encode())
    under = str(Digest.of(trust.encode()))
    try:
        kind, verified = verify_logged(proof.encode(), digest, _policy(trust))
    except TrustError as error:
        return Judged(error.sentence, digest, under)
    checkpoint = verified.checkpoint
    return Judged(
        "",
        digest,
        under,
        kind.value,
        verified.index,
        checkpoint.checkpoint.origin,
        checkpoint.checkpoint.size,
        tuple(sorted(key.name for key in checkpoint.cosigned)),
    )


def _policy(trust: str) -> Policy:
    if not trust.lstrip().startswith("{"):
        return Policy.parse((trust if trust.endswith("\n") else f"{trust}\n").encode())
    raw = trust.encode()
    return Policy.parse(trust_pinned(raw, Digest.of(raw)).document.log_policy.encode())
