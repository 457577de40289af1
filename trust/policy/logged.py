"""Policy about publicity: what an order rests on stands in the witnessed log."""

from __future__ import annotations

from dataclasses import dataclass

from trust.errors import TrustError
from trust.log.entry import Kind, LogEntry
from trust.log.policy import Policy as LogPolicy
from trust.log.proof import verify_proof
from trust.policy.errors import InclusionUnproven
from trust.policy.request import Exhibit, Held, RunRequest


@dataclass(frozen=True)
class LoggedUnderQuorum:
    """The documents are included under a checkpoint that the root's witness quorum cosigned."""

    def require(self, request: RunRequest) -> Held:
        try:
            policy = LogPolicy.parse(request.root.document.log_policy.encode())
        except TrustError as error:
            raise InclusionUnproven(
                f"the root's log policy cannot be read: {error.sentence}",
                remedy="update this program, or ask the territory's operator for a corrected root",
            ) from error
        if policy.quorum is None:
            # A log without witnesses could show every worker another history.
            raise InclusionUnproven(
                "the root's log policy asks for no witness quorum",
                remedy="the territory needs at least one witness in its root",
            )
        exhibits = [
            (Kind.AUTHORISATION, request.authorisation),
            (Kind.PLAN, request.plan),
        ]
        if request.helper is not None:
            exhibits.append((Kind.HELPER_KEY, request.helper))
        if request.epoch is not None:
            exhibits.append((Kind.EPOCH_KEY, request.epoch))
        size = max(_proven(kind, exhibit, policy) for kind, exhibit in exhibits)
        return Held("logged-under-quorum", f"log of at least {size} entries")


def _proven(kind: Kind, exhibit: Exhibit, policy: LogPolicy) -> int:
    try:
        entry = LogEntry.of(kind, exhibit.envelope).emit()
        verified = verify_proof(exhibit.proof, entry, policy)
    except TrustError as error:
        raise InclusionUnproven(
            f"the {kind.value} is not proven to be in the log: {error.sentence}",
            remedy="what is not public may not run; if this lasts, tell the cooperative",
        ) from error
    return verified.checkpoint.checkpoint.size
