"""The agent's connection to the scheduler: worker-initiated calls over mutual TLS."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import grpc.aio
from cryptography import x509

from protos.cadastre.v1 import work_pb2, work_pb2_grpc
from trust import certificates
from trust.clock import Clock
from trust.ids import Digest
from trust.policy import Exhibit
from wire import blobs, enrolment
from wire.channel import TlsIdentity, open_channel
from wire.limits import CONNECTION_GRACE_MS, EXCHANGE_TIMEOUT_SECONDS
from wire.status import from_rpc_error
from worker.identity import Identity
from worker.ports import Answer


class Link:
    """The scheduler over gRPC."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._channel = _open(identity)
        self._closing: set[asyncio.Task[None]] = set()

    async def exchange(self, reports: bytes, values: tuple[bytes, ...] = ()) -> Answer:
        stub = work_pb2_grpc.WorkStub(self._channel)
        request = work_pb2.ExchangeRequest(reports=reports, values=values)
        try:
            response = await stub.Exchange(request, timeout=EXCHANGE_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        return Answer(
            orders=response.orders,
            exhibits=tuple(
                Exhibit(exhibit.envelope, exhibit.proof.encode()) for exhibit in response.exhibits
            ),
            consents=tuple(response.consents),
            blobs=tuple(response.blobs),
        )

    async def fetch(self, digest: Digest) -> bytes:
        return await blobs.get(self._channel, digest)

    async def put(self, data: bytes) -> None:
        await blobs.put(self._channel, data)

    async def renew(self, identity: Identity, clock: Clock) -> x509.Certificate:
        return await enrolment.renew(
            identity.names.work_address,
            _tls(identity),
            trusted=identity.root,
            tls=identity.keys.tls,
            clock=clock,
        )

    async def adopt(self, identity: Identity) -> None:
        # grpcio cannot reload a client certificate: calls under way end on the old channel.
        old, self._channel, self._identity = self._channel, _open(identity), identity
        task = asyncio.create_task(old.close(grace=CONNECTION_GRACE_MS / 1000))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        for task in tuple(self._closing):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._channel.close(grace=None)


def _open(identity: Identity) -> grpc.aio.Channel:
    return open_channel(identity.names.work_address, identity.authority_pem, _tls(identity))


def _tls(identity: Identity) -> TlsIdentity:
    return TlsIdentity(
        certificate_pem=certificates.to_pem(identity.certificate),
        key_pem=certificates.key_to_pem(identity.keys.tls),
    )
