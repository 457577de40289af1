"""The agent's calls over real mutual TLS, against a server behind the grid's own gate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from scene import Scene
from worker_territory import NAME

from protos.cadastre.v1 import enrolment_pb2, enrolment_pb2_grpc, work_pb2, work_pb2_grpc
from trust import certificates
from trust.certificates import Role
from trust.clock import SystemClock
from trust.problem import Problem
from wire.errors import Unreachable
from wire.server import Gate, build_server, current_peer, server_credentials
from worker import governance
from worker.errors import Draining, StatusUnreachable
from worker.link import Link

CLOCK = SystemClock()


class Work(work_pb2_grpc.WorkServicer):
    async def Exchange(self, request: Any, context: Any) -> Any:
        if request.reports == b"refuse":
            raise Draining("this one is refused", remedy="ask again")
        return work_pb2.ExchangeResponse(
            orders=b"for " + current_peer().name.encode(),
            exhibits=[work_pb2.Exhibit(envelope=b"envelope", proof="proof")],
            consents=[b"consent"],
        )


class Renewal(enrolment_pb2_grpc.RenewalServicer):
    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    async def Renew(self, request: Any, context: Any) -> Any:
        fresh = certificates.issue(
            self.scene.territory.authority_key,
            self.scene.territory.authority,
            request.request,
            territory=NAME,
            role=Role.WORKER,
            name=current_peer().name,
            now=CLOCK.now(),
        )
        return enrolment_pb2.EnrolResponse(certificate=certificates.to_der(fresh))


def served(scene: Scene, plot: Callable[[Link, str], Awaitable[None]], deny: str = "") -> None:
    """A scheduler's work port on the loopback, while `plot` happens."""

    async def whole() -> None:
        territory, key = scene.territory, certificates.new_key()
        certificate = certificates.issue(
            territory.authority_key,
            territory.authority,
            certificates.make_request(key, "scheduler"),
            territory=NAME,
            role=Role.SCHEDULER,
            name="scheduler",
            now=CLOCK.now(),
            hosts=("127.0.0.1",),
        )
        workers = frozenset({Role.WORKER})
        gate = Gate(
            territory=NAME,
            roles={"/cadastre.v1.Work/": workers, "/cadastre.v1.Renewal/": workers},
            deny=lambda peer: deny or None,
            clock=CLOCK,
        )
        server = build_server(gate)
        work_pb2_grpc.add_WorkServicer_to_server(Work(), server)
        enrolment_pb2_grpc.add_RenewalServicer_to_server(Renewal(scene), server)
        port = server.add_secure_port(
            "127.0.0.1:0",
            server_credentials(
                certificates.key_to_pem(key),
                certificates.to_pem(certificate),
                certificates.to_pem(territory.authority),
            ),
        )
        await server.start()
        address = f"127.0.0.1:{port}"
        names = replace(scene.identity.names, work_address=address)
        scene.identity = replace(scene.identity, names=names)
        link = Link(scene.identity)
        try:
            async with asyncio.timeout(20):
                await plot(link, address)
        finally:
            await link.close()
            await server.stop(None)

    asyncio.run(whole())


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, 1)


def test_an_exchange_brings_orders_exhibits_and_consents(scene: Scene) -> None:
    async def plot(link: Link, address: str) -> None:
        answer = await link.exchange(b"reports")
        assert answer.orders == b"for " + scene.identity.worker.encode()
        assert [(e.envelope, e.proof) for e in answer.exhibits] == [(b"envelope", b"proof")]
        assert answer.consents == (b"consent",)

    served(scene, plot)


def test_a_refusal_keeps_its_code_across_the_wire(scene: Scene) -> None:
    async def plot(link: Link, address: str) -> None:
        with pytest.raises(Problem) as caught:
            await link.exchange(b"refuse")
        assert (caught.value.code, caught.value.retryable) == (Draining.code, True)
        assert caught.value.remedy == "ask again"

    served(scene, plot)


def test_a_denied_worker_is_told_so(scene: Scene) -> None:
    async def plot(link: Link, address: str) -> None:
        with pytest.raises(Problem) as caught:
            await link.exchange(b"reports")
        assert caught.value.code == "denied"

    served(scene, plot, deny="excluded")


def test_a_renewed_certificate_is_used_from_the_next_call_on(scene: Scene) -> None:
    async def plot(link: Link, address: str) -> None:
        fresh = await link.renew(scene.identity, CLOCK)
        renewed = scene.identity.renewed(fresh)
        assert renewed.certificate.serial_number != scene.identity.certificate.serial_number
        await link.adopt(renewed)
        assert (await link.exchange(b"reports")).consents == (b"consent",)

    served(scene, plot)


def test_nobody_answers(scene: Scene) -> None:
    async def whole() -> None:
        link = Link(scene.identity)
        try:
            with pytest.raises(Unreachable):
                await link.exchange(b"reports")
        finally:
            await link.close()

    asyncio.run(whole())


class Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        size = governance.MAXIMUM_STATUS_BYTES + 1
        bodies = {"/status.json": b"status", "/root/2.json": b"root", "/big": b"x" * size}
        body = bodies.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_governances_files_are_fetched_and_bounded() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"

    async def whole() -> None:
        assert await governance.fetch(f"{address}/status.json") == b"status"
        assert await governance.fetch_root(address, 2) == b"root"
        assert await governance.fetch_root(address, 3) is None
        with pytest.raises(StatusUnreachable):
            await governance.fetch(f"{address}/nothing")
        for bad in (f"{address}/big", "file:///etc/passwd", "http://127.0.0.1:9/status.json"):
            with pytest.raises(Problem):
                await governance.fetch(bad)

    try:
        asyncio.run(whole())
    finally:
        server.shutdown()
        server.server_close()
