"""The gate over real TLS on loopback: who gets in, what a refusal looks like outside."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
import pytest

from protos.cadastre.v1 import blobs_pb2, blobs_pb2_grpc
from trust import certificates
from trust.certificates import Role
from trust.clock import ManualClock
from trust.ids import Digest
from trust.problem import Kind, Problem
from wire import blobs
from wire.channel import TlsIdentity, open_channel
from wire.errors import BlobAltered, Unreachable
from wire.server import Gate, OpenGate, build_server, current_peer, rotating_credentials
from wire.status import RemoteProblem, from_rpc_error, to_message

pytestmark = pytest.mark.base

TERRITORY = "plaine-commune.example"
REAL_NOW = datetime.now(UTC)  # TLS itself looks at the machine's clock


class Gone(Problem):
    code = "gone-for-lunch"
    kind = Kind.NOT_FOUND


class MemoryBlobs(blobs_pb2_grpc.BlobsServicer):
    """A contract-keeping store in memory that drops connections on demand."""

    def __init__(self) -> None:
        self.complete: dict[str, bytes] = {}
        self.parts: dict[str, bytearray] = {}
        self.interruptions = 0
        self.callers: list[str] = []

    async def Stat(self, request: Any, context: Any) -> Any:
        self.callers.append(current_peer().name)
        data = self.complete.get(request.digest)
        return blobs_pb2.StatResponse(
            stored=data is not None,
            size=len(data or b""),
            received=len(self.parts.get(request.digest, b"")),
        )

    async def Put(self, requests: AsyncIterator[Any], context: Any) -> Any:
        digest = ""
        async for message in requests:
            digest = digest or message.digest
            part = self.parts.setdefault(digest, bytearray())
            assert message.offset == len(part)
            part += message.data
            if self.interruptions:
                self.interruptions -= 1
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cable pulled")
        self.complete[digest] = bytes(self.parts.pop(digest, b""))
        return blobs_pb2.PutResponse(digest=digest)

    async def Get(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if request.digest not in self.complete:
            raise Gone("out", remedy="wait", digest=request.digest)
        data = self.complete[request.digest][request.offset :]
        for start in range(0, len(data), 1000):
            yield blobs_pb2.GetResponse(data=data[start : start + 1000])
            if self.interruptions:
                self.interruptions -= 1
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cable pulled")


class House:
    """An authority, a server behind a gate, and identities on demand."""

    def __init__(self) -> None:
        self.clock = ManualClock(REAL_NOW)
        self.key = certificates.new_key()
        self.authority = certificates.make_authority(self.key, TERRITORY, REAL_NOW)
        self.pem = certificates.to_pem(self.authority)
        self.service = MemoryBlobs()
        self.denied: set[str] = set()
        self.roles = {"/cadastre.v1.Blobs/": frozenset({Role.WORKER})}

    def identity(
        self, role: Role = Role.WORKER, name: str = "wrk_1", at: datetime = REAL_NOW
    ) -> TlsIdentity:
        key = certificates.new_key()
        leaf = certificates.issue(
            self.key,
            self.authority,
            certificates.make_request(key, name),
            territory=TERRITORY,
            role=role,
            name=name,
            now=at,
            hosts=["127.0.0.1"],
        )
        return TlsIdentity(certificates.to_pem(leaf), certificates.key_to_pem(key))

    def run(self, visit: Callable[[str], Awaitable[None]]) -> None:
        async def main() -> None:
            own = self.identity(Role.SCHEDULER, "scheduler")
            gate = Gate(
                territory=TERRITORY,
                roles=self.roles,
                deny=lambda peer: "banned" if peer.name in self.denied else None,
                clock=self.clock,
            )
            server = build_server(gate)
            blobs_pb2_grpc.add_BlobsServicer_to_server(self.service, server)
            credentials = rotating_credentials(lambda: (own.key_pem, own.certificate_pem), self.pem)
            port = server.add_secure_port("127.0.0.1:0", credentials)
            await server.start()
            try:
                await visit(f"127.0.0.1:{port}")
            finally:
                await server.stop(0)

        asyncio.run(main())

    async def stat(self, address: str, identity: TlsIdentity | None) -> Any:
        async with open_channel(address, self.pem, identity) as channel:
            try:
                return await blobs_pb2_grpc.BlobsStub(channel).Stat(
                    blobs_pb2.StatRequest(digest="x"), timeout=5
                )
            except grpc.aio.AioRpcError as error:
                return from_rpc_error(error)


def test_a_worker_of_the_territory_gets_in_and_is_named() -> None:
    house = House()

    async def visit(address: str) -> None:
        answer = await house.stat(address, house.identity(name="wrk_7"))
        assert not answer.stored
        assert house.service.callers == ["wrk_7"]

    house.run(visit)


def test_everybody_else_stays_out() -> None:
    house, stranger = House(), House()

    async def visit(address: str) -> None:
        assert isinstance(await house.stat(address, None), Unreachable)
        assert isinstance(await house.stat(address, stranger.identity()), Unreachable)
        expired = house.identity(at=REAL_NOW - timedelta(days=2))
        assert isinstance(await house.stat(address, expired), Unreachable)
        author = await house.stat(address, house.identity(Role.AUTHOR, "ann"))
        assert author.code == "not-permitted"
        assert author.kind is Kind.REFUSED
        assert "worker" in author.remedy

    house.run(visit)


def test_a_denied_worker_is_refused_on_a_connection_it_already_holds() -> None:
    house = House()

    async def visit(address: str) -> None:
        async with open_channel(address, house.pem, house.identity(name="wrk_9")) as channel:
            stub = blobs_pb2_grpc.BlobsStub(channel)
            await stub.Stat(blobs_pb2.StatRequest(digest="x"), timeout=5)
            house.denied.add("wrk_9")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Stat(blobs_pb2.StatRequest(digest="x"), timeout=5)
            assert from_rpc_error(caught.value).code == "denied"

    house.run(visit)


def test_a_certificate_that_expired_on_an_open_connection_is_refused() -> None:
    house = House()

    async def visit(address: str) -> None:
        async with open_channel(address, house.pem, house.identity()) as channel:
            stub = blobs_pb2_grpc.BlobsStub(channel)
            await stub.Stat(blobs_pb2.StatRequest(digest="x"), timeout=5)
            house.clock.advance(25 * 3600)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Stat(blobs_pb2.StatRequest(digest="x"), timeout=5)
            assert from_rpc_error(caught.value).code == "denied"

    house.run(visit)


def test_a_service_without_a_role_entry_is_closed_to_all() -> None:
    house = House()
    house.roles = {}

    async def visit(address: str) -> None:
        assert (await house.stat(address, house.identity())).code == "not-permitted"

    house.run(visit)


def test_a_refusal_keeps_its_code_remedy_and_ids_across_the_wire() -> None:
    house = House()
    wanted = Digest.of(b"nothing")

    async def visit(address: str) -> None:
        async with open_channel(address, house.pem, house.identity()) as channel:
            with pytest.raises(RemoteProblem) as caught:
                await blobs.get(channel, wanted)
        problem = caught.value
        assert (problem.code, problem.kind, problem.sentence) == (
            "gone-for-lunch",
            Kind.NOT_FOUND,
            "out",
        )
        assert (problem.remedy, problem.ids) == ("wait", {"digest": wanted})

    house.run(visit)


def test_the_advice_of_a_class_travels_and_none_is_added_on_the_way() -> None:
    sent = to_message(Unreachable("nobody answers"))
    assert sent.remedy == Unreachable.advice
    assert RemoteProblem(sent).remedy == Unreachable.advice
    assert RemoteProblem(to_message(RemoteProblem(sent))).remedy == Unreachable.advice
    sent.remedy = ""  # as an older release sends it: this side knows nothing better
    assert RemoteProblem(sent).remedy == ""


def test_an_unexpected_fault_does_not_leak_its_text() -> None:
    house = House()

    async def visit(address: str) -> None:
        async with open_channel(address, house.pem, house.identity()) as channel:
            house.service.callers = None  # type: ignore[assignment]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await blobs_pb2_grpc.BlobsStub(channel).Stat(
                    blobs_pb2.StatRequest(digest="x"), timeout=5
                )
            assert from_rpc_error(caught.value).code == "internal"
            assert "NoneType" not in str(caught.value)

    house.run(visit)


@pytest.mark.parametrize("size", [0, 1, 262_144, 700_001])
def test_blobs_go_up_and_down_through_interruptions(size: int) -> None:
    house = House()
    data = bytes(i % 251 for i in range(size))

    async def visit(address: str) -> None:
        async with open_channel(address, house.pem, house.identity()) as channel:
            house.service.interruptions = 2 if size else 0
            digest = await blobs.put(channel, data)
            assert house.service.complete[digest] == data
            house.service.interruptions = 2 if size else 0
            assert await blobs.get(channel, digest) == data

    house.run(visit)


def test_other_bytes_than_promised_are_refused() -> None:
    house = House()
    wanted = Digest.of(b"honest")
    house.service.complete[wanted] = b"forged"

    async def visit(address: str) -> None:
        async with open_channel(address, house.pem, house.identity()) as channel:
            with pytest.raises(BlobAltered):
                await blobs.get(channel, wanted)

    house.run(visit)


def test_a_server_certificate_of_another_authority_is_not_trusted() -> None:
    house, other = House(), House()

    async def visit(address: str) -> None:
        async with open_channel(address, other.pem, house.identity()) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await blobs_pb2_grpc.BlobsStub(channel).Stat(
                    blobs_pb2.StatRequest(digest="x"), timeout=5
                )
            assert isinstance(from_rpc_error(caught.value), Unreachable)

    house.run(visit)


def test_the_open_gate_still_maps_refusals() -> None:
    async def main() -> None:
        server = build_server(OpenGate())
        service = MemoryBlobs()
        blobs_pb2_grpc.add_BlobsServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(RemoteProblem, match="out"):
                await blobs.get(channel, Digest.of(b"x"))
        await server.stop(0)

    asyncio.run(main())
