"""Refusals over gRPC: one status per kind, the whole problem in trailing metadata."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
import grpc.aio

from protos.cadastre.v1 import problem_pb2
from trust.problem import Kind, Problem
from wire.errors import Unreachable

METADATA_KEY = "cadastre-problem-bin"

_STATUS = {
    Kind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.UNVERIFIED: grpc.StatusCode.UNAUTHENTICATED,
    Kind.REFUSED: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Kind.CONFLICT: grpc.StatusCode.ABORTED,
    Kind.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Kind.INTERNAL: grpc.StatusCode.INTERNAL,
}
_KINDS = {status: kind for kind, status in _STATUS.items()}


class RemoteProblem(Problem):
    """A refusal that came from the other side, with its code, kind and remedy."""

    def __init__(self, message: problem_pb2.Problem) -> None:
        super().__init__(message.sentence, remedy=message.remedy, **dict(message.ids))
        kinds = {kind.value: kind for kind in Kind}
        # Instance attributes on purpose: the class of the other side's error is not ours.
        self.code = message.code  # type: ignore[misc]
        self.kind = kinds.get(message.kind, Kind.INTERNAL)  # type: ignore[misc]
        self.retryable = message.retryable  # type: ignore[misc]


def to_message(problem: Problem) -> problem_pb2.Problem:
    """`problem` as it travels."""
    return problem_pb2.Problem(
        code=problem.code,
        kind=problem.kind.value,
        sentence=problem.sentence,
        remedy=problem.remedy,
        retryable=problem.retryable,
        ids=problem.ids,
    )


async def abort(context: Any, problem: Problem) -> NoReturn:
    """End the call with `problem`."""
    details = ((METADATA_KEY, to_message(problem).SerializeToString()),)
    await context.abort(_STATUS[problem.kind], problem.sentence, details)
    raise AssertionError("abort raises")


def from_rpc_error(error: grpc.aio.AioRpcError) -> Problem:
    """The refusal behind a failed call; a dead connection becomes Unreachable."""
    metadata: Any = error.trailing_metadata() or ()
    for key, value in metadata:
        if key == METADATA_KEY and isinstance(value, bytes):
            message = problem_pb2.Problem()
            message.ParseFromString(value)
            return RemoteProblem(message)
    code, details = error.code(), error.details() or "no details"
    if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
        return Unreachable(
            f"no answer: {details[:300]}",
            remedy="check the address, the network and that the other program runs",
        )
    kind = _KINDS.get(code, Kind.INTERNAL)
    message = problem_pb2.Problem(
        code=f"grpc-{code.name.lower().replace('_', '-')}", kind=kind.value, sentence=details[:300]
    )
    return RemoteProblem(message)
