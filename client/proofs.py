"""A logged envelope that the scheduler hands out, believed once the territory's log proves it."""

from __future__ import annotations

from dataclasses import dataclass, field

from client.session import Session
from protos.cadastre.v1 import audit_pb2, audit_pb2_grpc
from trust.errors import LogRefused
from trust.ids import Digest
from trust.log.checkpoint import VerifiedCheckpoint
from trust.log.entry import Kind, LogEntry
from trust.log.policy import Policy
from trust.log.proof import verify_proof
from trust.root import TrustedRoot
from wire.errors import BadMessage


@dataclass(frozen=True)
class Proven:
    """An envelope that is in the log, witnessed; made by `check` only."""

    index: int
    kind: Kind
    envelope: bytes = field(repr=False)
    proof: bytes = field(repr=False)  # the `.tlog-proof` file
    checkpoint: VerifiedCheckpoint = field(repr=False)

    @property
    def digest(self) -> Digest:
        """The envelope's digest, which the entry names."""
        return Digest.of(self.envelope)


async def prove(session: Session, asked: Digest | int) -> Proven:
    """The entry `asked`, an envelope's digest or an index. Raises as `check`, or a refusal."""
    stub = audit_pb2_grpc.AuditStub(session.channel)
    answer = await session.call(stub.Prove, audit_pb2.ProveRequest(entry=str(asked)))
    return check(answer, asked, session.identity.root)


def check(answer: audit_pb2.ProveResponse, asked: Digest | int, root: TrustedRoot) -> Proven:
    """`answer` under the log policy of `root`. Raises LogRefused, BadMessage, Malformed."""
    digest = Digest.of(answer.envelope)
    policy = Policy.parse(root.document.log_policy.encode())
    if policy.quorum is None:
        raise LogRefused(
            "the territory root asks for no witness: a proof under it proves nothing to others",
            remedy="the next territory root must name witnesses and their quorum",
        )
    if answer.kind not in {kind.value for kind in Kind}:
        raise BadMessage(f"{answer.kind[:40]!a} is not a kind of log entry")
    entry = LogEntry(Kind(answer.kind), digest)
    proof = answer.proof.encode()
    verified = verify_proof(proof, entry.emit(), policy)
    if asked not in {digest, verified.index}:
        raise BadMessage("the scheduler answered with another entry than the one asked for")
    return Proven(verified.index, entry.kind, answer.envelope, proof, verified.checkpoint)
