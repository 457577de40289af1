"""What every member of the grid lives by: its certificate, its work and its blobs.

One thin servicer per service of the contract.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from protos.cadastre.v1 import (
    blobs_pb2,
    blobs_pb2_grpc,
    enrolment_pb2,
    enrolment_pb2_grpc,
    work_pb2,
    work_pb2_grpc,
)
from scheduler.rpc.calls import Context, while_admitted
from scheduler.service import exchange, membership
from scheduler.service.desk import Desk
from scheduler.service.exclusion import DenyList
from scheduler.service.membership import Admission
from scheduler.service.standing import Standing
from scheduler.service.transfers import Chunk, Transfers
from trust.ids import Digest
from wire.server import current_peer


class Enrolment(enrolment_pb2_grpc.EnrolmentServicer):
    """Tokens for certificates, on the port where nobody has one yet."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def Enrol(  # noqa: N802 - the contract's name
        self, request: enrolment_pb2.EnrolRequest, context: Context
    ) -> enrolment_pb2.EnrolResponse:
        del context
        return _admission(
            await membership.enrol(self._desk, request.secret, request.request, request.proof)
        )


class Renewal(enrolment_pb2_grpc.RenewalServicer):
    """Fresh certificates for members."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def Renew(  # noqa: N802 - the contract's name
        self, request: enrolment_pb2.RenewRequest, context: Context
    ) -> enrolment_pb2.EnrolResponse:
        del context
        return _admission(await membership.renew(self._desk, current_peer(), request.request))


class Work(work_pb2_grpc.WorkServicer):
    """The exchange."""

    def __init__(self, desk: Desk, standing: Standing) -> None:
        self._desk = desk
        self._standing = standing

    async def Exchange(  # noqa: N802 - the contract's name
        self, request: work_pb2.ExchangeRequest, context: Context
    ) -> work_pb2.ExchangeResponse:
        del context
        answer = await exchange.exchange(
            self._desk, self._standing, current_peer(), request.reports, request.values
        )
        return work_pb2.ExchangeResponse.FromString(answer)


class Blobs(blobs_pb2_grpc.BlobsServicer):
    """Content-addressed bytes."""

    def __init__(self, transfers: Transfers, deny: DenyList) -> None:
        self._transfers = transfers
        self._deny = deny

    async def Stat(  # noqa: N802 - the contract's name
        self, request: blobs_pb2.StatRequest, context: Context
    ) -> blobs_pb2.StatResponse:
        del context
        state = await self._transfers.stat(current_peer(), Digest.parse(request.digest))
        return blobs_pb2.StatResponse(stored=state.stored, received=state.received, size=state.size)

    async def Put(  # noqa: N802 - the contract's name
        self, request: AsyncIterator[blobs_pb2.PutRequest], context: Context
    ) -> blobs_pb2.PutResponse:
        del context
        parts = while_admitted(self._deny, request)
        chunks = (Chunk(part.digest, part.offset, part.data) async for part in parts)
        digest, size = await self._transfers.put(current_peer(), chunks)
        return blobs_pb2.PutResponse(digest=digest, size=size)

    async def Get(  # noqa: N802 - the contract's name
        self, request: blobs_pb2.GetRequest, context: Context
    ) -> AsyncIterator[blobs_pb2.GetResponse]:
        del context
        digest = Digest.parse(request.digest)
        pieces = self._transfers.get(current_peer(), digest, request.offset)
        async for data in while_admitted(self._deny, pieces):
            yield blobs_pb2.GetResponse(data=data)


def _admission(admission: Admission) -> enrolment_pb2.EnrolResponse:
    return enrolment_pb2.EnrolResponse(
        certificate=admission.certificate,
        name=admission.name,
        role=admission.role.value,
        work_address=admission.work_address,
    )
