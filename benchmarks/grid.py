"""The rest of a grid around one worker under measurement: who gives it its order and its status.

Only the worker is measured. What it talks to here is our own servers' wire code with one order to
give: the same mutual TLS, the same signatures, the same long poll.
"""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc.aio

from benchmarks.errors import MeasurementFailed
from benchmarks.territory import NAME, Papers, Territory
from protos.cadastre.v1 import blobs_pb2, blobs_pb2_grpc, work_pb2, work_pb2_grpc
from trust import schema
from trust.certificates import Role, to_pem
from trust.clock import SystemClock
from trust.documents.campaign import Acknowledgement, Cancellation, OrderBatch
from trust.documents.reporting import AttemptReport, Outcome, ReportBatch
from trust.dsse import Envelope
from trust.ids import Digest
from wire.limits import CHUNK_BYTES, HEARTBEAT_SECONDS
from wire.server import Gate, build_server, server_credentials

HOST = "127.0.0.1"
_WORKERS = frozenset({Role.WORKER})
_ROLES = {"/cadastre.v1.Work/": _WORKERS, "/cadastre.v1.Blobs/": _WORKERS}
# grpc's context objects are untyped for generated servicers.
Context = Any


Answer = Callable[[bytes], bytes]


@contextmanager
def plain_site(
    pages: Mapping[str, bytes], answers: Mapping[str, Answer] | None = None
) -> Iterator[str]:
    """An address that serves `pages` by path, and what `answers` make of a body posted there.

    Both may be added to while it serves.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(pages.get(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = (answers or {}).get(self.path)
            self._say(None if answer is None else answer(body))

        def _say(self, body: bytes | None) -> None:
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer((HOST, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Work(work_pb2_grpc.WorkServicer):
    """The exchange with one worker: its order, its receipt, then heartbeats."""

    def __init__(self, territory: Territory, papers: Papers) -> None:
        self._territory = territory
        self._papers = papers
        self._answers: dict[bytes, bytes] = {}
        self.finished: asyncio.Future[AttemptReport] = asyncio.get_running_loop().create_future()

    async def Exchange(  # noqa: N802 - the contract's name
        self, request: work_pb2.ExchangeRequest, context: Context
    ) -> work_pb2.ExchangeResponse:
        del context
        # Whose batch it is, mutual TLS has shown; that it is signed, the real scheduler checks.
        batch = schema.decode(ReportBatch, Envelope.parse(request.reports).payload)
        order = self._papers.order
        starts = (
            not self.finished.done()
            and batch.capacity.slots > 0
            and order.attempt not in batch.held
        )
        # What was never leased here is said to be unknown at once: the worker asks with such a
        # name whether it is still the only machine that speaks as itself.
        strange = [attempt for attempt in batch.held if attempt != order.attempt]
        if not starts and not batch.reports and not strange:
            await asyncio.sleep(HEARTBEAT_SECONDS)
        answer = OrderBatch(
            territory=NAME,
            worker=batch.worker,
            answers=batch.sequence,
            issued_at=SystemClock().now().replace(microsecond=0),
            orders=(order,) if starts and not batch.reports else (),
            cancellations=tuple(
                Cancellation(order.unit, attempt, "unknown-attempt") for attempt in strange
            ),
            acknowledgements=tuple(_receipt(report) for report in batch.reports),
            waiting=(),
        )
        for report in batch.reports:
            if not self.finished.done():
                self.finished.set_result(report)
        response = work_pb2.ExchangeResponse(orders=self._territory.sign_orders(answer))
        if answer.orders:
            papers = self._papers
            for exhibit in (papers.plan, papers.authorisation):
                response.exhibits.add(envelope=exhibit.envelope, proof=exhibit.proof.decode())
            response.exhibits.add(envelope=papers.statement, proof="")
        return response


class Blobs(blobs_pb2_grpc.BlobsServicer):
    """Blobs in memory."""

    def __init__(self, *blobs: bytes) -> None:
        self._blobs = {str(Digest.of(blob)): blob for blob in blobs}

    async def Stat(  # noqa: N802 - the contract's name
        self, request: blobs_pb2.StatRequest, context: Context
    ) -> blobs_pb2.StatResponse:
        del context
        return blobs_pb2.StatResponse(stored=request.digest in self._blobs)

    async def Put(  # noqa: N802 - the contract's name
        self, request: AsyncIterator[blobs_pb2.PutRequest], context: Context
    ) -> blobs_pb2.PutResponse:
        del context
        digest, data = "", b""
        async for part in request:
            digest, data = part.digest or digest, data + part.data
        self._blobs[digest] = data
        return blobs_pb2.PutResponse(digest=digest, size=len(data))

    async def Get(  # noqa: N802 - the contract's name
        self, request: blobs_pb2.GetRequest, context: Context
    ) -> AsyncIterator[blobs_pb2.GetResponse]:
        del context
        data = self._blobs[request.digest]
        for start in range(request.offset, len(data), CHUNK_BYTES):
            yield blobs_pb2.GetResponse(data=data[start : start + CHUNK_BYTES])


def work_server(territory: Territory, work: Work, blobs: Blobs) -> tuple[grpc.aio.Server, int]:
    """The mTLS server, not yet started, and its port."""
    gate = Gate(territory=NAME, roles=_ROLES, deny=lambda _: None, clock=SystemClock())
    server = build_server(gate)
    work_pb2_grpc.add_WorkServicer_to_server(work, server)
    blobs_pb2_grpc.add_BlobsServicer_to_server(blobs, server)
    key, certificate = territory.server_pair(HOST)
    credentials = server_credentials(key, certificate, to_pem(territory.authority))
    return server, server.add_secure_port(f"{HOST}:0", credentials)


def expect_contribution(report: AttemptReport) -> None:
    """Raise MeasurementFailed unless the unit ended well."""
    if report.outcome is not Outcome.CONTRIBUTED:
        raise MeasurementFailed(
            f"the worker's unit ended as {report.outcome.value}: {report.reason} {report.sentence}"
        )


def _receipt(report: AttemptReport) -> Acknowledgement:
    statement = None if report.statement is None else Digest.of(report.statement)
    return Acknowledgement(
        report.unit, report.attempt, accepted=True, reason="", statement=statement
    )
