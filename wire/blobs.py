"""Blobs by digest, up and down, continued where an interruption left them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio

from protos.cadastre.v1 import blobs_pb2, blobs_pb2_grpc
from trust.ids import Digest
from wire.errors import BlobAltered, TransferBroken
from wire.limits import CALL_TIMEOUT_SECONDS, CHUNK_BYTES, MAXIMUM_BLOB_BYTES
from wire.status import from_rpc_error

# A transfer is continued this often before it is given up and left to the caller's back-off.
ATTEMPTS = 4
# What a put is answered whose start is not where an interrupted one ended.
REFUSED = "blob-refused"


async def put(channel: grpc.aio.Channel, data: bytes) -> Digest:
    """Store `data` at the other end. Raises the remote refusal or TransferBroken."""
    stub = blobs_pb2_grpc.BlobsStub(channel)
    digest = Digest.of(data)
    for attempt in range(ATTEMPTS):
        try:
            if attempt == 0 and len(data) <= CHUNK_BYTES and await _put_at_once(stub, digest, data):
                break
            state = await stub.Stat(
                blobs_pb2.StatRequest(digest=digest), timeout=CALL_TIMEOUT_SECONDS
            )
            if state.received > len(data):
                raise TransferBroken(
                    f"the other side says it has {state.received} of {len(data)} bytes of {digest}",
                    remedy="its copy is of something else; it must drop it",
                    digest=digest,
                )
            if not state.stored:
                await stub.Put(
                    _chunks(digest, data, state.received), timeout=4 * CALL_TIMEOUT_SECONDS
                )
            break
        except grpc.aio.AioRpcError as error:
            problem = from_rpc_error(error)
            if not problem.retryable or attempt == ATTEMPTS - 1:
                raise problem from error
    return digest


async def get(channel: grpc.aio.Channel, digest: Digest) -> bytes:
    """The blob `digest`. Raises the remote refusal, TransferBroken or BlobAltered."""
    stub = blobs_pb2_grpc.BlobsStub(channel)
    parts: list[bytes] = []
    received = 0
    for attempt in range(ATTEMPTS):
        try:
            request = blobs_pb2.GetRequest(digest=digest, offset=received)
            async for message in stub.Get(request, timeout=4 * CALL_TIMEOUT_SECONDS):
                if message.data:
                    parts.append(message.data)
                received += len(message.data)
                if received > MAXIMUM_BLOB_BYTES:
                    raise TransferBroken(
                        f"blob {digest} is larger than {MAXIMUM_BLOB_BYTES} B",
                        remedy="tell whoever runs the other program: no blob may be that large",
                    )
            break
        except grpc.aio.AioRpcError as error:
            problem = from_rpc_error(error)
            if not problem.retryable or attempt == ATTEMPTS - 1:
                raise problem from error
    data = b"".join(parts)
    if Digest.of(data) != digest:
        raise BlobAltered(
            f"the bytes received for {digest} have another digest",
            remedy="whoever serves it altered it or has a faulty disk: tell its operator",
            digest=digest,
        )
    return data


async def _put_at_once(stub: blobs_pb2_grpc.BlobsStub, digest: Digest, data: bytes) -> bool:
    """One chunk, without asking first. False where a part is there already, so Stat must tell."""
    try:
        await stub.Put(_chunks(digest, data, 0), timeout=4 * CALL_TIMEOUT_SECONDS)
    except grpc.aio.AioRpcError as error:
        if from_rpc_error(error).code != REFUSED:
            raise
        return False
    return True


async def _chunks(digest: Digest, data: bytes, start: int) -> AsyncIterator[blobs_pb2.PutRequest]:
    offset = start
    while offset < len(data) or offset == start:
        chunk = data[offset : offset + CHUNK_BYTES]
        yield blobs_pb2.PutRequest(digest=digest, offset=offset, data=chunk)
        offset += max(len(chunk), 1)
