"""Refusals over gRPC: one status per kind, the whole problem in trailing metadata."""

from __future__ import annotations

import re
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from protos.cadastre.v1 import problem_pb2
from trust.problem import Kind, Problem
from wire.errors import Unreachable

METADATA_KEY = "cadastre-problem-bin"

# Peers drop a call whose headers exceed 8 KiB; a refusal, base64 included, stays below that.
SENTENCE_BYTES = 1200
REMEDY_BYTES = 600
DETAILS_BYTES = 300  # each may become three in the percent-encoded status message
IDS_LIMIT = 8
ID_BYTES = 100
_CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

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
        # What the other side wrote ends on somebody's terminal: bounded, and letters only.
        super().__init__(
            _shown(message.sentence, SENTENCE_BYTES), remedy=_shown(message.remedy, REMEDY_BYTES)
        )
        self.ids = {
            _shown(name, ID_BYTES): _shown(value, ID_BYTES)
            for name, value in sorted(message.ids.items())[:IDS_LIMIT]
        }
        kinds = {kind.value: kind for kind in Kind}
        # Instance attributes on purpose: the class of the other side's error is not ours.
        sound = len(message.code) <= ID_BYTES and _CODE.fullmatch(message.code)
        self.code = message.code if sound else "remote-problem"  # type: ignore[misc]
        self.kind = kinds.get(message.kind, Kind.INTERNAL)  # type: ignore[misc]
        self.retryable = message.retryable  # type: ignore[misc]


def to_message(problem: Problem) -> problem_pb2.Problem:
    """`problem` as it travels."""
    return problem_pb2.Problem(
        code=problem.code,
        kind=problem.kind.value,
        sentence=_cut(problem.sentence, SENTENCE_BYTES),
        remedy=_cut(problem.remedy, REMEDY_BYTES),
        retryable=problem.retryable,
        ids={
            _cut(name, ID_BYTES): _cut(value, ID_BYTES)
            for name, value in sorted(problem.ids.items())[:IDS_LIMIT]
        },
    )


async def abort(context: Any, problem: Problem) -> NoReturn:
    """End the call with `problem`."""
    details = ((METADATA_KEY, to_message(problem).SerializeToString()),)
    await context.abort(_STATUS[problem.kind], _cut(problem.sentence, DETAILS_BYTES), details)
    raise AssertionError("abort raises")


def from_rpc_error(error: grpc.aio.AioRpcError) -> Problem:
    """The refusal behind a failed call; a dead connection becomes Unreachable."""
    metadata: Any = error.trailing_metadata() or ()
    for key, value in metadata:
        if key == METADATA_KEY and isinstance(value, bytes):
            message = problem_pb2.Problem()
            try:
                message.ParseFromString(value)
            except DecodeError:
                break  # not ours: the status alone says what it can
            return RemoteProblem(message)
    code, details = error.code(), _shown(error.details() or "no details", DETAILS_BYTES)
    if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
        return Unreachable(
            f"no answer: {details[:300]}",
            remedy="check the address, the network and that the other program runs",
        )
    kind = _KINDS.get(code, Kind.INTERNAL)
    message = problem_pb2.Problem(
        code=f"grpc-{code.name.lower().replace('_', '-')}",
        kind=kind.value,
        sentence=details[:300],
        remedy="check that the address is a Cadastre program of the same release; read its log",
    )
    return RemoteProblem(message)


def _cut(text: str, size: int) -> str:
    """`text` in at most `size` bytes of UTF-8, whatever was in it."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= size:
        return raw.decode()
    return raw[: size - 3].decode("utf-8", "ignore") + "…"


def _shown(text: str, size: int) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in _cut(text, size))
