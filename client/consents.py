"""`cadastre consent submit | status`: owners' signed consents, on their way.

They go to the scheduler, which forwards them to the host that they name, and to governance's
registry, so that a scheduler that withholds a revocation is found out and does not help itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from client import registry
from client.errors import ConsentsRefused, InputRefused
from client.session import Session, within
from client.verbs import read_file, remote
from protos.cadastre.v1 import consents_pb2, consents_pb2_grpc
from terminal import exits
from terminal.arguments import Verbs
from terminal.output import Output
from terminal.progress import Progress
from trust.clock import SystemClock
from trust.documents import signed
from trust.documents.consent import Consent, Decision, revocation_token
from trust.errors import TrustError
from trust.problem import Problem
from trust.root import TrustedRoot
from wire.errors import BadMessage, Unreachable

T = TypeVar("T")

# What the scheduler takes in one call, and the registry in one request.
BATCH = 1000


def add_consents(verbs: Verbs) -> None:
    """Verbs about consents that need the scheduler."""
    parser = remote(
        verbs,
        "submit",
        submit,
        summary="hand consents in to the scheduler and to governance's registry",
        example="cadastre consent submit owners/ --registry http://127.0.0.1:8081",
    )
    parser.add_argument("consents", type=Path, help="an owner's folder, or one .consent file")
    parser.add_argument(
        "--registry", required=True, help="governance's address, as the territory root names it"
    )
    parser = remote(
        verbs,
        "status",
        status,
        summary="show what the scheduler knows about a capsule's consents",
        example="cadastre consent status cap_…",
    )
    parser.add_argument("capsule", nargs="+")


def submit(arguments: argparse.Namespace) -> int:
    """Registry first: a grant that governance never took must not be acted upon."""
    submission = [(raw, _decision(raw)) for raw in read_consents(arguments.consents)]
    totals = {"consents": len(submission), "accepted": 0, "unchanged": 0, "refused": 0}
    refused: list[tuple[str, str]] = []  # what was said, and what to do about it
    with Progress(2 * len(submission), "consents") as bar:
        forwarded: list[bytes] = []
        for batch in _batches(submission):
            refusals = registry.register(arguments.registry, [raw for raw, _ in batch])
            refused += [
                (f"registry: {entry.code}: {entry.sentence}", entry.remedy) for entry in refusals
            ]
            lost = {entry.index for entry in refusals}
            # A withdrawal goes wherever it can.
            forwarded += [
                raw
                for index, (raw, consent) in enumerate(batch)
                if index not in lost or consent.decision is Decision.REVOKE
            ]
            bar.advance(len(batch))

        async def visit(session: Session) -> TrustedRoot:
            stub = consents_pb2_grpc.ConsentsStub(session.channel)
            for batch in _batches(forwarded):
                request = consents_pb2.SubmitConsentsRequest(consents=batch)
                answer = await session.call(stub.Submit, request)
                refused.extend(_taken(answer, len(batch), totals))
                bar.advance(len(batch))
            return session.identity.root

        root = within(arguments.identity, visit)
    totals["refused"] = len(refused)
    recorded = _confirm(root, [consent for _, consent in submission], totals)
    Output(as_json=arguments.json).record(totals)
    if refused:
        said, remedy = refused[0]
        return exits.explain(
            ConsentsRefused(
                f"{len(refused)} consents were refused; the first: {said}",
                remedy=f"{remedy or 'mend it'}; submit these again, the others stand",
            )
        )
    return recorded


def status(arguments: argparse.Namespace) -> int:
    """Print a table of consents by capsule."""

    async def visit(session: Session) -> Any:
        stub = consents_pb2_grpc.ConsentsStub(session.channel)
        request = consents_pb2.ConsentStatusRequest(capsules=arguments.capsule)
        return await session.call(stub.Status, request)

    answer = within(arguments.identity, visit)
    Output(as_json=arguments.json).table(
        ["capsule", "target", "serial", "decision", "until", "delivered"],
        [
            [c.capsule, c.target, c.serial, c.decision, c.expires_at, c.delivered]
            for c in answer.consents
        ],
    )
    return exits.OK


def read_consents(path: Path) -> list[bytes]:
    """The last word per capsule and target in an owner's folder, or one file's envelope.

    Files are named `<capsule>.<target>.<serial>.consent`. Raises InputRefused.
    """
    files = sorted((path / "consents").glob("*.consent")) if path.is_dir() else [path]
    last: dict[str, tuple[int, Path]] = {}
    for file in files:
        about, _, serial = file.name.removesuffix(".consent").rpartition(".")
        number = int(serial) if serial.isdecimal() else 0
        if number >= last.get(about, (0, file))[0]:
            last[about] = (number, file)
    if not last:
        raise InputRefused(
            f"{path} holds no consents", remedy="make some first: cadastre consent grant …"
        )
    return [read_file(file) for _, file in last.values()]


def _decision(raw: bytes) -> Consent:
    try:
        return signed.verify_self_named(Consent, raw, "owner").document
    except TrustError as error:
        raise InputRefused(
            f"a file is not a signed consent: {error.sentence}",
            remedy="make it again: cadastre consent grant …, or consent revoke …",
        ) from error


def _taken(answer: Any, sent: int, totals: dict[str, int]) -> list[tuple[str, str]]:
    """Count one answer of the scheduler; sentence and remedy of each one that it refused."""
    accounted = answer.accepted + answer.unchanged + len(answer.refused)
    if accounted != sent:
        raise BadMessage(
            f"the scheduler accounts for {accounted} of {sent} consents",
            remedy="submit them again, and tell governance: the registry has them",
        )
    totals["accepted"] += answer.accepted
    totals["unchanged"] += answer.unchanged
    return [(f"{entry.code}: {entry.sentence}", entry.remedy) for entry in answer.refused]


def _confirm(root: TrustedRoot, consents: Sequence[Consent], totals: dict[str, int]) -> int:
    """Look for every withdrawal in governance's signed status; the command's exit code."""
    tokens = {
        revocation_token(consent.capsule, consent.target)
        for consent in consents
        if consent.decision is Decision.REVOKE
    }
    if not tokens:
        return exits.OK
    totals["revocations"], totals["revocations in the signed status"] = len(tokens), 0
    try:
        found = registry.revoked(root, tokens, SystemClock())
    except Problem as problem:
        return exits.explain(
            Unreachable(
                f"whether the withdrawal acts could not be verified: {problem.sentence}",
                remedy="submit it again; if it stays so, tell the cooperative",
            )
        )
    totals["revocations in the signed status"] = found
    if found == len(tokens):
        return exits.OK
    return exits.explain(
        Unreachable(
            f"governance's signed status lists {found} of {len(tokens)} withdrawals",
            remedy="submit again; if it stays so, tell the cooperative: workers do not know yet",
        )
    )


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
