"""Attacks over the wire: by the server on its client, by a client on the gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import grpc.aio
import pytest

from protos.cadastre.v1 import blobs_pb2, blobs_pb2_grpc, problem_pb2
from trust import certificates
from trust.certificates import Role
from trust.clock import ManualClock
from trust.errors import Malformed
from trust.problem import Kind, Problem
from wire import blobs
from wire.channel import TlsIdentity, open_channel
from wire.errors import TransferBroken, Unreachable
from wire.limits import CHUNK_BYTES, OPEN_MESSAGE_BYTES
from wire.server import Gate, OpenGate, build_server, server_credentials
from wire.status import METADATA_KEY, RemoteProblem, from_rpc_error, to_message

pytestmark = pytest.mark.base

TERRITORY = "plaine-commune.example"
NOW = datetime.now(UTC)  # TLS itself looks at the machine's clock
KEY = certificates.new_key()
AUTHORITY = certificates.make_authority(KEY, TERRITORY, NOW)
PEM = certificates.to_pem(AUTHORITY)


def identity(role: Role) -> TlsIdentity:
    key = certificates.new_key()
    leaf = certificates.issue(
        KEY,
        AUTHORITY,
        certificates.make_request(key, "x"),
        territory=TERRITORY,
        role=role,
        name="x",
        now=NOW,
        hosts=["127.0.0.1"],
    )
    return TlsIdentity(certificates.to_pem(leaf), certificates.key_to_pem(key))


def gate(roles: dict[str, frozenset[Role]] | None = None) -> Gate:
    allowed = {"/cadastre.v1.Blobs/": frozenset({Role.WORKER})}
    return Gate(
        territory=TERRITORY,
        roles=allowed if roles is None else roles,
        deny=lambda _: None,
        clock=ManualClock(NOW),
    )


class Hostile(blobs_pb2_grpc.BlobsServicer):
    """Answers with whatever it was given."""

    def __init__(self, problem: Problem | None = None, received: int = 0) -> None:
        self.problem = problem
        self.received = received

    async def Stat(self, request: Any, context: Any) -> Any:
        if self.problem is not None:
            raise self.problem
        return blobs_pb2.StatResponse(received=self.received)

    async def Put(self, requests: AsyncIterator[Any], context: Any) -> Any:
        async for _ in requests:
            pass
        return blobs_pb2.PutResponse()

    async def Get(self, request: Any, context: Any) -> None:
        await context.write(blobs_pb2.GetResponse(data=b"written"))


def serve(
    service: Hostile,
    visit: Callable[[grpc.aio.Channel], Awaitable[None]],
    *,
    guard: Gate | OpenGate | None = None,
    server: Role = Role.SCHEDULER,
    client: Role = Role.WORKER,
) -> None:
    async def main() -> None:
        guarding = guard or gate()
        own = identity(server)
        authority = None if isinstance(guarding, OpenGate) else PEM
        running = build_server(guarding)
        blobs_pb2_grpc.add_BlobsServicer_to_server(service, running)
        credentials = server_credentials(own.key_pem, own.certificate_pem, authority)
        port = running.add_secure_port("127.0.0.1:0", credentials)
        await running.start()
        try:
            caller = None if authority is None else identity(client)
            async with open_channel(f"127.0.0.1:{port}", PEM, caller) as channel:
                await visit(channel)
        finally:
            await running.stop(0)

    asyncio.run(main())


async def stat(channel: grpc.aio.Channel, digest: str = "x") -> Problem | None:
    try:
        await blobs_pb2_grpc.BlobsStub(channel).Stat(
            blobs_pb2.StatRequest(digest=digest), timeout=5
        )
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    return None


def test_a_refusal_that_repeats_a_long_attack_still_arrives() -> None:
    long = Malformed(
        "é" * 100_000, remedy="ü" * 100_000, **{f"id{n}": "x" * 999 for n in range(99)}
    )

    async def visit(channel: grpc.aio.Channel) -> None:
        problem = await stat(channel)
        assert problem is not None
        assert problem.code == "malformed"
        assert len(problem.sentence) > 100

    serve(Hostile(long), visit)


def test_a_refusal_of_half_a_letter_still_arrives() -> None:
    async def visit(channel: grpc.aio.Channel) -> None:
        problem = await stat(channel)
        assert problem is not None
        assert problem.code == "malformed"

    serve(Hostile(Malformed("\ud800 is no letter", remedy="\udfff", name="\ud800")), visit)


def test_a_remote_refusal_cannot_set_what_is_not_its_own() -> None:
    ids = {"sentence": "x", "remedy": "y", "self": "z"}
    problem = RemoteProblem(problem_pb2.Problem(code="gone", kind="not-found", ids=ids))
    assert problem.kind is Kind.NOT_FOUND
    assert problem.ids == ids


def test_a_remote_refusal_cannot_drive_the_terminal() -> None:
    hostile = problem_pb2.Problem(
        code="\x1b[2J", kind="?", sentence="a\x1b]0;owned\x07b", remedy="\x9b2J", ids={"i": "\r"}
    )
    shown = str(RemoteProblem(hostile)) + "".join(RemoteProblem(hostile).ids.values())
    assert all(letter.isprintable() or letter == "\n" for letter in shown)


def test_metadata_that_is_no_problem_is_not_believed() -> None:
    metadata = grpc.aio.Metadata((METADATA_KEY, b"\xff\xff\xff"))
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), metadata, "gone", ""
    )
    assert from_rpc_error(error).kind is Kind.NOT_FOUND


def test_a_refusal_keeps_what_it_says() -> None:
    problem = Malformed("un été", remedy="réessayer", field="n")
    message = to_message(problem)
    assert (message.sentence, message.remedy) == ("un été", "réessayer")
    assert dict(message.ids) == {"field": "n"}


def test_a_method_that_nobody_may_call_is_not_opened_by_its_service() -> None:
    roles = {
        "/cadastre.v1.Blobs/": frozenset({Role.WORKER}),
        "/cadastre.v1.Blobs/Stat": frozenset[Role](),
    }

    async def visit(channel: grpc.aio.Channel) -> None:
        problem = await stat(channel)
        assert problem is not None
        assert problem.code == "not-permitted"

    serve(Hostile(), visit, guard=gate(roles))


def test_a_handler_that_writes_by_itself_stands_behind_the_gate_too() -> None:
    async def ask(channel: grpc.aio.Channel) -> list[bytes]:
        call = blobs_pb2_grpc.BlobsStub(channel).Get(blobs_pb2.GetRequest(), timeout=5)
        return [message.data async for message in call]

    async def welcome(channel: grpc.aio.Channel) -> None:
        assert await ask(channel) == [b"written"]

    async def refused(channel: grpc.aio.Channel) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(channel)
        assert from_rpc_error(caught.value).code == "not-permitted"

    serve(Hostile(), welcome)
    serve(Hostile(), refused, client=Role.AUTHOR)


def test_a_server_that_claims_more_bytes_than_there_are_is_found_out() -> None:
    async def visit(channel: grpc.aio.Channel) -> None:
        with pytest.raises(TransferBroken):
            # Longer than a chunk: a small one is put without asking what is there.
            await blobs.put(channel, bytes(CHUNK_BYTES + 4))

    serve(Hostile(received=2**64 - 1), visit)


def test_strangers_cannot_send_large_messages_to_the_open_port() -> None:
    async def visit(channel: grpc.aio.Channel) -> None:
        assert await stat(channel) is None
        problem = await stat(channel, "x" * OPEN_MESSAGE_BYTES)
        assert problem is not None
        assert problem.kind is Kind.EXHAUSTED

    serve(Hostile(), visit, guard=OpenGate())


def test_a_worker_cannot_stand_in_for_the_scheduler() -> None:
    async def visit(channel: grpc.aio.Channel) -> None:
        assert isinstance(await stat(channel), Unreachable)

    serve(Hostile(), visit, server=Role.WORKER)
