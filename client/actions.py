"""`cadastre worker drain | resume`, `cadastre campaign retry`: deeds with a reason, logged."""

from __future__ import annotations

import argparse
from functools import partial

from client.session import Session, within
from client.verbs import remote
from protos.cadastre.v1 import actions_pb2, actions_pb2_grpc
from terminal import exits
from terminal.arguments import Verbs
from terminal.output import Output
from trust.documents.actions import Act
from trust.entropy import SYSTEM
from wire.errors import BadMessage

_REQUEST_BYTES = 16


def add_worker_actions(verbs: Verbs) -> None:
    """What an operator does to a worker, and may undo."""
    for act, verb, summary in (
        (Act.DRAIN_WORKER, "drain", "let a worker take nothing new; it finishes what it has"),
        (Act.RESUME_WORKER, "resume", "let a drained worker take work again"),
    ):
        parser = remote(
            verbs,
            verb,
            partial(do, act),
            summary=summary,
            example=f"cadastre worker {verb} wrk_… --reason 'its room is being painted'",
        )
        parser.add_argument("subject", metavar="worker", help="its id, or a unique prefix")
        parser.add_argument("--reason", required=True, help="kept here, sealed in the log")


def add_campaign_actions(verbs: Verbs) -> None:
    """What an operator does to a unit of a campaign."""
    parser = remote(
        verbs,
        "retry",
        partial(do, Act.RETRY_UNIT),
        summary="try a failed or waiting work unit once more, while its round still collects",
        example="cadastre campaign retry unit_… --reason 'the image is installed now'",
    )
    parser.add_argument("subject", metavar="unit", help="its id, or a unique prefix")
    parser.add_argument("--reason", required=True, help="published in the log: name nobody")


def do(act: Act, arguments: argparse.Namespace) -> int:
    """Ask for one deed, once however often the call is repeated underneath."""
    request = actions_pb2.ActRequest(
        act=act.value,
        subject=arguments.subject,
        reason=arguments.reason,
        request=SYSTEM(_REQUEST_BYTES).hex(),
    )

    async def visit(session: Session) -> actions_pb2.ActionView:
        stub = actions_pb2_grpc.ActionsStub(session.channel)
        return await session.call(stub.Act, request)  # type: ignore[no-any-return]

    view = within(arguments.identity, visit)
    if view.act != act.value or arguments.subject not in view.subject:
        raise BadMessage("the scheduler did something else than was asked", remedy="ask it why")
    Output(as_json=arguments.json).record(
        {"action": view.action, "act": view.act, "subject": view.subject, "entry": view.entry}
    )
    return exits.OK
