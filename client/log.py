"""`cadastre log show | prove | evidence`: the verifiable log, from a terminal."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath
from typing import Any

from client import proofs
from client.errors import InputRefused
from client.session import Session, within
from client.verbs import remote
from durable.errors import StorageFailed
from durable.files import make_directory, write_atomic
from protos.cadastre.v1 import audit_pb2, audit_pb2_grpc
from terminal import exits
from terminal.arguments import Verbs
from terminal.output import Output
from trust.errors import Malformed
from trust.ids import Digest
from trust.log.entry import LogEntry
from trust.log.policy import Policy
from trust.log.replay import check_log
from wire.errors import BadMessage, Unreachable
from wire.site import fetch

# As much as an audit reads (audit.download); one scheduler's whole history stays far below.
MAXIMUM_EVIDENCE_BYTES = 4 << 30
MAXIMUM_EVIDENCE_FILES = 2_000_000
_INDEX_DIGITS = 20


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
    asked = _asked(arguments.entry)

    async def visit(session: Session) -> proofs.Proven:
        return await proofs.prove(session, asked)

    found = within(arguments.identity, visit)
    if arguments.out:
        make_directory(arguments.out)
        write_atomic(arguments.out / "entry.json", found.envelope)
        write_atomic(arguments.out / "entry.tlog-proof", found.proof)
    Output(as_json=arguments.json).record(
        {
            "index": found.index,
            "kind": found.kind.value,
            "envelope": str(found.digest),
            "verified": "in the log, under its witnesses' quorum",
            "checkpoint": f"{found.checkpoint.checkpoint.size} entries, cosigned by "
            + ", ".join(sorted(key.name for key in found.checkpoint.cosigned)),
        }
    )
    return exits.OK


def evidence(arguments: argparse.Namespace) -> int:
    """Write the evidence directory; `cadastre audit verify` replays it."""
    out: Path = arguments.out
    if out.exists() and any(out.iterdir()):
        raise InputRefused(f"{out} is not empty", remedy="name a new folder")

    make_directory(out.parent)
    # Beside its place and moved there at the end: a broken stream leaves nothing half written.
    with tempfile.TemporaryDirectory(prefix=".cadastre-", dir=out.parent) as held:
        folder = Path(held) / "evidence"
        folder.mkdir()

        async def visit(session: Session) -> int:
            stub = audit_pb2_grpc.AuditStub(session.channel)
            request = audit_pb2.EvidenceRequest(campaign=arguments.campaign)
            return await _store(folder, session.stream(stub.Evidence, request))

        count = within(arguments.identity, visit)
        try:
            folder.replace(out)
        except OSError as error:
            raise StorageFailed.writing(out, error) from error
    output = Output(as_json=arguments.json)
    output.record({"files": count, "folder": str(out)})
    output.line(f"next: cadastre audit verify {out}")
    return exits.OK


async def _store(folder: Path, parts: AsyncIterator[Any]) -> int:
    """Write a stream of parts below `folder`, bounded; the number of files."""
    files: set[Path] = set()
    size = 0
    async for part in parts:
        path = _inside(folder, part.path)
        files.add(path)
        size += len(part.data)
        if size > MAXIMUM_EVIDENCE_BYTES:
            raise BadMessage(f"the evidence has over {MAXIMUM_EVIDENCE_BYTES} bytes")
        if len(files) > MAXIMUM_EVIDENCE_FILES:
            raise BadMessage(f"the evidence has over {MAXIMUM_EVIDENCE_FILES} files")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as stream:
                stream.write(part.data)
        except (FileExistsError, NotADirectoryError, IsADirectoryError, ValueError) as error:
            raise BadMessage(f"the scheduler sent a file named {part.path[:100]!a}") from error
        except OSError as error:
            raise StorageFailed.writing(path, error) from error
    return len(files)


def _asked(entry: str) -> Digest | int:
    """What the command line names; every answer is compared with it. Raises InputRefused."""
    if entry.isascii() and entry.isdecimal() and len(entry) < _INDEX_DIGITS:
        return int(entry)
    try:
        return Digest.parse(entry)
    except Malformed as error:
        raise InputRefused(
            f"{entry[:80]!a} is neither a digest nor an index",
            remedy="write sha256: and 64 digits, or a number as `cadastre log show` lists them",
        ) from error


def _inside(out: Path, name: str) -> Path:
    """`name` below `out`; a path that would leave it is refused."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or not pure.parts or any(part in {"..", "."} for part in pure.parts):
        raise BadMessage(f"the scheduler sent a file named {name[:100]!a}")
    return out.joinpath(*pure.parts)
