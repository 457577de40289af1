"""`cadastre operator join | show` and `cadastre worker list | ban`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from client import identity
from client.session import Session, within
from client.verbs import remote
from protos.cadastre.v1 import audit_pb2, audit_pb2_grpc
from terminal import exits
from terminal.arguments import Verbs
from terminal.output import Output
from trust.clock import SystemClock, to_text
from trust.entropy import SYSTEM
from wire import enrolment
from wire.errors import BadMessage
from wire.token import Token

# An operator's terminal opens no grants: it has no HPKE key and says so.
NO_HPKE_KEY = bytes(32)
FROM_STDIN = "-"


def add_operator(verbs: Verbs) -> None:
    """Verbs about this terminal's own identity."""
    parser = remote(
        verbs,
        "join",
        join,
        summary="join a territory with a token, as an operator, author or auditor",
        example="cadastre operator join cadastre-token-v1.… --as ~/.config/cadastre/operator",
    )
    parser.add_argument("token", help="the token, or - to read it from standard input")
    remote(
        verbs, "show", show, summary="show who this terminal is", example="cadastre operator show"
    )


def add_workers(verbs: Verbs) -> None:
    """Verbs about the territory's workers."""
    remote(
        verbs,
        "list",
        list_workers,
        summary="list the territory's workers: fresh, late or lost, and what they can do",
        example="cadastre worker list",
    )
    parser = remote(
        verbs,
        "ban",
        ban,
        summary="deny a worker's certificate at once",
        example="cadastre worker ban wrk_… --reason 'stolen laptop'",
    )
    parser.add_argument("worker")
    parser.add_argument("--reason", required=True)


def join(arguments: argparse.Namespace) -> int:
    """Redeem the token."""
    from_stdin = arguments.token == FROM_STDIN
    token = Token.parse(sys.stdin.readline() if from_stdin else arguments.token)
    folder: Path = arguments.identity.expanduser()
    node, tls = identity.draw_keys(folder, SYSTEM)
    membership = asyncio.run(enrolment.join(token, node, tls, NO_HPKE_KEY, SystemClock()))
    me = identity.establish(folder, membership, token.site)
    Output(as_json=arguments.json).record(_described(me))
    return exits.OK


def show(arguments: argparse.Namespace) -> int:
    """Print the identity."""
    me = identity.load(arguments.identity.expanduser())
    Output(as_json=arguments.json).record(_described(me))
    return exits.OK


def list_workers(arguments: argparse.Namespace) -> int:
    """Print a table of workers."""

    async def visit(session: Session) -> audit_pb2.ListWorkersResponse:
        stub = audit_pb2_grpc.WorkersStub(session.channel)
        return await session.call(stub.List, audit_pb2.ListWorkersRequest())  # type: ignore[no-any-return]

    answer = within(arguments.identity, visit)
    Output(as_json=arguments.json).table(
        ["worker", "operator", "site", "state", "last seen", "sandbox", "capsules", "leases"],
        [
            [
                view.worker,
                view.operator,
                view.site,
                "banned" if view.banned else view.freshness,
                view.last_seen or None,
                view.level or None,
                f"~{view.capsules}",
                view.leases,
            ]
            for view in answer.workers
        ],
    )
    return exits.OK


def ban(arguments: argparse.Namespace) -> int:
    """Ban one worker."""

    async def visit(session: Session) -> audit_pb2.WorkerView:
        stub = audit_pb2_grpc.WorkersStub(session.channel)
        request = audit_pb2.BanWorkerRequest(worker=arguments.worker, reason=arguments.reason)
        return await session.call(stub.Ban, request)  # type: ignore[no-any-return]

    view = within(arguments.identity, visit)
    if view.worker != arguments.worker or not view.banned:
        raise BadMessage(
            f"the scheduler did not exclude {arguments.worker}", remedy="cadastre worker list"
        )
    Output(as_json=arguments.json).record({"worker": view.worker, "banned": view.banned})
    return exits.OK


def _described(me: identity.Identity) -> dict[str, str]:
    return {
        "name": me.member.name,
        "role": me.member.role,
        "territory": me.root.document.territory,
        "root": f"version {me.root.document.version}, {me.root.digest}",
        "scheduler": me.member.work_address,
        "certificate until": to_text(me.certificate.not_valid_after_utc),
    }
