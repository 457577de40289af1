"""`cadastre audit verify | fetch | proof | consistency`: evidence, a proof, a step of the log."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from terminal.arguments import leaf
from terminal.exits import OK, UNVERIFIED
from terminal.output import Output
from trust.ids import Digest

if TYPE_CHECKING:
    from audit.evidence import Evidence
    from terminal.arguments import Verbs


def add_audit(verbs: Verbs) -> None:
    """The verbs of the noun `audit`: verify exits 0 when every check held, else 3."""
    verify = leaf(
        verbs,
        "verify",
        _verify,
        summary="replay a territory's evidence offline, one line per check",
        example="cadastre audit verify evidence --policy audit-policy.txt",
    )
    verify.add_argument(
        "evidence", metavar="DIR|FILE|URL", help="an evidence folder, its tar, or its address"
    )
    verify.add_argument("--policy", type=Path, help="the file that pins the territory root")
    fetch = leaf(
        verbs,
        "fetch",
        _fetch,
        summary="copy a territory's public evidence into a folder, to audit it offline",
        example="cadastre audit fetch https://cadastre.example --out evidence",
    )
    fetch.add_argument("url", metavar="URL", help="a scheduler's site, or a published folder")
    fetch.add_argument("--out", type=Path, required=True, metavar="DIR")
    proof = leaf(
        verbs,
        "proof",
        _proof,
        summary="verify offline that one signed document stands in the territory's log",
        example="cadastre audit proof receipt-7.tlog-proof --root root.json",
    )
    proof.add_argument("proof", type=Path, metavar="FILE", help="a .tlog-proof file")
    proof.add_argument(
        "--document", type=Path, help="the signed document it is of, unless the proof carries it"
    )
    proof.add_argument(
        "--root", type=Path, required=True, help="the territory's signed root, as you trust it"
    )
    grown = leaf(
        verbs,
        "consistency",
        _consistency,
        summary="verify offline that the log only grew between two checkpoints",
        example="cadastre audit consistency continuation-7-9.txt --old checkpoint-7.txt "
        "--root root.json",
    )
    grown.add_argument("continuation", type=Path, metavar="FILE", help="as the log's page offers")
    grown.add_argument("--old", type=Path, required=True, help="the earlier checkpoint")
    grown.add_argument(
        "--root",
        type=Path,
        required=True,
        action="append",
        help="the territory's signed root, as you trust it; again for one of before a key changed",
    )


def _fetch(arguments: argparse.Namespace) -> int:
    from audit.download import download

    fetched = download(arguments.url, arguments.out)
    output = Output(as_json=arguments.json)
    output.record(
        {
            "evidence": str(arguments.out),
            "files": fetched.files,
            "bytes": fetched.size,
            "not served": len(fetched.missing),
        }
    )
    output.line(f"next: cadastre audit verify {arguments.out} --policy audit-policy.txt")
    return OK


def _consistency(arguments: argparse.Namespace) -> int:
    from audit.receipt import policy_of
    from trust.log.continuation import verify_continuation

    data, old, *roots = _read(arguments.continuation, arguments.old, *arguments.root)
    found = verify_continuation(data, old, [policy_of(root) for root in roots])
    Output(as_json=arguments.json).record(
        {
            "verified": True,
            "log": found.new.checkpoint.origin,
            "old size": found.old.checkpoint.size,
            "old root": found.old.checkpoint.root.hex(),
            "old cosigned by": ", ".join(sorted(key.name for key in found.old.cosigned)),
            "new size": found.new.checkpoint.size,
            "new root": found.new.checkpoint.root.hex(),
            "new cosigned by": ", ".join(sorted(key.name for key in found.new.cosigned)),
            "under the root": ", ".join(Digest.of(root) for root in roots),
        }
    )
    return OK


def _read(*paths: Path) -> list[bytes]:
    from audit.errors import PolicyMalformed

    try:
        return [path.read_bytes() for path in paths]
    except OSError as error:
        raise PolicyMalformed(
            f"could not read {error.filename}: {error.strerror}", remedy="check the path"
        ) from error


def _proof(arguments: argparse.Namespace) -> int:
    from audit.receipt import carried, check

    proof, root = _read(arguments.proof, arguments.root)
    document = _read(arguments.document)[0] if arguments.document else carried(proof)
    found = check(proof, document, root)
    Output(as_json=arguments.json).record(
        {
            "verified": True,
            "territory": found.territory,
            "index": found.index,
            "what": found.kind.value,
            "document": str(found.document),
            "witnesses": len(found.witnesses),
            "under the root": str(found.root),
        }
    )
    return OK


def _local(path: Path) -> Evidence:
    from audit.archive import EvidenceArchive
    from audit.evidence import EvidenceFolder

    return EvidenceArchive(path) if path.is_file() else EvidenceFolder(path)


def _verify(arguments: argparse.Namespace) -> int:
    import tempfile

    from audit.download import download
    from audit.errors import PolicyMalformed
    from audit.evidence import EvidenceFolder
    from audit.policy import AuditPolicy
    from audit.replay import audit
    from audit.report import show

    policy = None
    if arguments.policy is not None:
        try:
            policy = AuditPolicy.parse(arguments.policy.read_bytes())
        except OSError as error:
            raise PolicyMalformed(
                f"could not read {arguments.policy}: {error.strerror}", remedy="check the path"
            ) from error
    output = Output(as_json=arguments.json)
    if not arguments.evidence.startswith(("http://", "https://")):
        verdict = audit(_local(Path(arguments.evidence)), policy)
        show(verdict, output, as_json=arguments.json)
        return OK if verdict.ok else UNVERIFIED
    with tempfile.TemporaryDirectory(prefix="cadastre-audit-") as folder:
        fetched = download(arguments.evidence, Path(folder))
        output.note(f"fetched {fetched.files} files, {fetched.size} bytes")
        verdict = audit(EvidenceFolder(Path(folder)), policy)
        show(verdict, output, as_json=arguments.json)
    return OK if verdict.ok else UNVERIFIED
