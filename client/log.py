"""`cadastre log show | prove | evidence`: the verifiable log, from a terminal."""

from __future__ import annotations

import argparse
from pathlib import Path, PurePosixPath
from typing import Any

from client.errors import InputRefused
from client.session import Session, within
from client.verbs import remote
from durable.files import make_directory, write_atomic
from protos.cadastre.v1 import audit_pb2, audit_pb2_grpc
from terminal import exits
from terminal.arguments import Verbs
from terminal.output import Output
from trust.ids import Digest
from trust.log.entry import Kind, LogEntry
from trust.log.policy import Policy
from trust.log.proof import verify_proof
from trust.log.replay import check_log
from wire.errors import BadMessage, Unreachable
from wire.site import fetch


def add_log(verbs: Verbs) -> None:
    """Verbs about the log."""
    parser = remote(
        verbs,
        "show",
        show,
        summary="verify the whole log from its static files and list its newest entries",
        example="cadastre log show --last 20",
    )
    parser.add_argument("--last", type=int, default=20, help="how many entries (default 20)")
    parser = remote(
        verbs,
        "prove",
        prove,
        summary="fetch one entry with its proof, verify both, and keep them",
        example="cadastre log prove sha256:… --out proof/",
    )
    parser.add_argument("entry", help="an envelope's digest, or an index")
    parser.add_argument("--out", type=Path, help="write entry.json and entry.tlog-proof there")
    parser = remote(
        verbs,
        "evidence",
        evidence,
        summary="fetch everything that an audit replays",
        example="cadastre log evidence --out evidence/",
    )
    parser.add_argument("--campaign", default="", help="of one campaign only")
    parser.add_argument("--out", type=Path, required=True)


def show(arguments: argparse.Namespace) -> int:
    """Replay the log from outside and print its tail."""

    async def visit(session: Session) -> tuple[str, str]:
        return session.identity.member.site, session.identity.root.document.log_policy

    site, policy_text = within(arguments.identity, visit)

    def read(path: str) -> bytes:
        data = fetch(f"{site}/log/{path}")
        if data is None:
            raise Unreachable(f"{site} has no /log/{path}", remedy="ask again in a minute")
        return data

    replayed = check_log(read, Policy.parse(policy_text.encode()))
    checkpoint = replayed.checkpoint
    output = Output(as_json=arguments.json)
    output.note(
        f"verified: {len(replayed.entries)} entries, {len(checkpoint.cosigned)} witness(es)"
    )
    first = max(0, len(replayed.entries) - max(arguments.last, 0))
    output.table(
        ["index", "kind", "envelope"],
        [
            [first + i, entry.kind.value, str(entry.digest)]
            for i, entry in enumerate(LogEntry.parse(raw) for raw in replayed.entries[first:])
        ],
    )
    return exits.OK


def prove(arguments: argparse.Namespace) -> int:
    """Verify one entry's inclusion under the territory's log policy."""

    async def visit(session: Session) -> tuple[Any, str]:
        stub = audit_pb2_grpc.AuditStub(session.channel)
        answer = await session.call(stub.Prove, audit_pb2.ProveRequest(entry=arguments.entry))
        return answer, session.identity.root.document.log_policy

    answer, policy_text = within(arguments.identity, visit)
    digest = Digest.of(answer.envelope)
    if arguments.entry.startswith("sha256:") and digest != arguments.entry:
        raise BadMessage("the scheduler answered with another entry than the one asked for")
    entry = LogEntry(Kind(answer.kind), digest)
    verified = verify_proof(answer.proof.encode(), entry.emit(), Policy.parse(policy_text.encode()))
    if arguments.out:
        make_directory(arguments.out)
        write_atomic(arguments.out / "entry.json", answer.envelope)
        write_atomic(arguments.out / "entry.tlog-proof", answer.proof.encode())
    Output(as_json=arguments.json).record(
        {
            "index": verified.index,
            "kind": answer.kind,
            "envelope": str(digest),
            "verified": "in the log, under its witnesses' quorum",
        }
    )
    return exits.OK


def evidence(arguments: argparse.Namespace) -> int:
    """Write the evidence directory; `cadastre audit verify` replays it."""
    out: Path = arguments.out
    if out.exists() and any(out.iterdir()):
        raise InputRefused(f"{out} is not empty", remedy="name a new folder")

    async def visit(session: Session) -> int:
        stub = audit_pb2_grpc.AuditStub(session.channel)
        request = audit_pb2.EvidenceRequest(campaign=arguments.campaign)
        files: dict[Path, bytearray] = {}
        async for part in session.stream(stub.Evidence, request):
            files.setdefault(_inside(out, part.path), bytearray()).extend(part.data)
        for path, data in files.items():
            make_directory(path.parent)
            path.write_bytes(data)
        return len(files)

    count = within(arguments.identity, visit)
    output = Output(as_json=arguments.json)
    output.record({"files": count, "folder": str(out)})
    output.line(f"next: cadastre audit verify {out}")
    return exits.OK


def _inside(out: Path, name: str) -> Path:
    """`name` below `out`; a path that would leave it is refused."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or not pure.parts or any(part in {"..", "."} for part in pure.parts):
        raise BadMessage(f"the scheduler sent a file named {name[:100]!r}")
    return out.joinpath(*pure.parts)
