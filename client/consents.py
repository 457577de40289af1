"""`cadastre consent submit | status`: owners' signed consents, on their way.

They go to the scheduler, which forwards them to the host that they name, and to governance's
registry, so that a scheduler that withholds a revocation is found out and does not help itself.
"""

from __future__ import annotations

import argparse
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from client.errors import ConsentsRefused, InputRefused
from client.session import Session, within
from client.verbs import read_file, remote
from protos.cadastre.v1 import consents_pb2, consents_pb2_grpc
from terminal import exits
from terminal.arguments import Verbs
from terminal.output import Output
from terminal.progress import Progress
from wire.errors import Unreachable

# What the scheduler takes in one call, and the registry in one request.
BATCH = 1000
REGISTRY_TIMEOUT_SECONDS = 30.0


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
    """Registry first: a consent that governance never saw must not be acted upon."""
    envelopes = read_consents(arguments.consents)
    totals = {"consents": len(envelopes), "accepted": 0, "unchanged": 0, "refused": 0}
    refused: list[str] = []
    with Progress(2 * len(envelopes), "consents") as bar:
        for batch in _batches(envelopes):
            refused += _register(arguments.registry, batch)
            bar.advance(len(batch))

        async def visit(session: Session) -> None:
            stub = consents_pb2_grpc.ConsentsStub(session.channel)
            for batch in _batches(envelopes):
                request = consents_pb2.SubmitConsentsRequest(consents=batch)
                answer = await session.call(stub.Submit, request)
                totals["accepted"] += answer.accepted
                totals["unchanged"] += answer.unchanged
                refused.extend(f"{entry.code}: {entry.sentence}" for entry in answer.refused)
                bar.advance(len(batch))

        within(arguments.identity, visit)
    totals["refused"] = len(refused)
    Output(as_json=arguments.json).record(totals)
    if refused:
        return exits.explain(
            ConsentsRefused(
                f"{len(refused)} consents were refused; the first: {refused[0]}",
                remedy="the others stand; mend and submit these again",
            )
        )
    return exits.OK


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


def _batches(envelopes: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(envelopes), BATCH):
        yield envelopes[start : start + BATCH]


def _register(registry: str, batch: Sequence[bytes]) -> list[str]:
    """Post a batch to the registry; the sentences of those it refused."""
    if urlsplit(registry).scheme not in {"http", "https"}:
        raise InputRefused(f"{registry[:200]} is not an http address")
    request = urllib.request.Request(  # noqa: S310 - scheme checked
        f"{registry.rstrip('/')}/consents", data=b"\n".join(batch) + b"\n", method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=REGISTRY_TIMEOUT_SECONDS) as answer:  # noqa: S310 - checked
            told = json.loads(answer.read(MAXIMUM_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        said = error.read(500).decode(errors="replace")
        raise ConsentsRefused(f"the registry refused the consents: {said}") from error
    except (OSError, ValueError) as error:
        raise Unreachable(
            f"the registry at {registry} does not answer", remedy="check the address and try again"
        ) from error
    return [f"registry: {entry['code']}: {entry['sentence']}" for entry in told["refused"]]


# A thousand refusals of 300 characters.
MAXIMUM_ANSWER_BYTES = 1024 * 1024
