"""The HTTP edge of the status server: GET /status.json, POST /consents and /checkpoints."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from http import HTTPStatus

from governance.bounded_http import BoundedHandler, BoundedServer, Bounds
from governance.errors import BodyRefused, CheckpointRefused
from governance.status.publisher import Publisher
from governance.status.registry import Registry
from trust.clock import Clock
from trust.documents import budget
from trust.errors import TrustError
from trust.problem import Problem

MAXIMUM_LINES = 5_000
# 5,000 consents of 1,100 bytes, with room.
BOUNDS = Bounds(connections=64, body_bytes=8 << 20, held_bytes=64 << 20)
TICK = 1.0  # seconds between looks at the clock and at other processes' changes

_JSON = "application/json"
_PROBLEM = "application/problem+json"


class StatusServer(BoundedServer):
    """Serves one publisher; republishes hourly and at every change."""

    def __init__(
        self,
        address: tuple[str, int],
        registry: Registry,
        publisher: Publisher,
        clock: Clock,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self.registry = registry
        self.publisher = publisher
        self.clock = clock
        log = logging.getLogger("cadastre.governance.status")
        # When a tick fails, the previous status is still served; workers refuse it after 24 h.
        super().__init__(address, _Handler, bounds, log=log, tick=publisher.refresh, interval=TICK)

    def serve(self) -> None:
        """Publish, then answer until closed."""
        self.publisher.refresh()
        super().serve()


class _Handler(BoundedHandler):
    server: StatusServer
    server_version = "cadastre-status"

    def do_GET(self) -> None:  # noqa: N802 - as below
        """Answer the status, or that we are alive."""
        match self.path:
            case "/status.json":
                self._status()
            case "/healthz":
                self.answer(HTTPStatus.OK, b'{"ok":true}', _JSON)
            case _:
                self._say(HTTPStatus.NOT_FOUND, "not-found", "only /status.json is here")

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def do_POST(self) -> None:  # noqa: N802 - as below
        """Take what owners and workers sign."""
        match self.path:
            case "/consents":
                self._consents()
            case budget.CHECKPOINTS_PATH:
                self._checkpoint()
            case _:
                self._say(
                    HTTPStatus.NOT_FOUND,
                    "not-found",
                    f"consents are posted to /consents, checkpoints to {budget.CHECKPOINTS_PATH}",
                )

    def _consents(self) -> None:
        """Take consents, one envelope a line, and publish what they change before answering."""
        try:
            lines = _lines(self.read_body())
            receipt = self.server.registry.submit(lines, self.server.clock.now())
            # Also when nothing is new: the first answer may have been lost to a failed
            # publication, and "unchanged" promises as much as "accepted".
            self.server.publisher.refresh()
        except Problem as problem:
            self._problem(problem)
            return
        self.answer(HTTPStatus.OK, json.dumps(asdict(receipt)).encode(), _JSON)

    def _checkpoint(self) -> None:
        """Keep one ledger checkpoint durably, and sign what stands for its worker."""
        try:
            standing = self.server.registry.checkpoints.keep(
                self.read_body(), self.server.clock.now()
            )
            raw = self.server.publisher.answer(standing)
        except Problem as problem:
            self._problem(problem)
            return
        self.answer(HTTPStatus.OK, raw, _JSON)

    def _status(self) -> None:
        try:
            raw = self.server.publisher.published.raw
        except Problem as problem:
            self._problem(problem)
            return
        self.answer(HTTPStatus.OK, raw, _JSON)

    def _problem(self, problem: Problem) -> None:
        # Whatever is not about the body is about this server's disk.
        status = HTTPStatus.SERVICE_UNAVAILABLE
        if isinstance(problem, BodyRefused | CheckpointRefused | TrustError):
            status = HTTPStatus.BAD_REQUEST
        # A remedy for our own trouble names files of this machine, as its sentence does.
        remedy = problem.remedy if status is HTTPStatus.BAD_REQUEST else ""
        self._say(status, problem.code, self.told(status, problem), remedy)

    def _say(self, status: HTTPStatus, code: str, sentence: str, remedy: str = "") -> None:
        said = {"code": code, "sentence": sentence}
        if remedy:
            said["remedy"] = remedy
        self.answer(status, json.dumps(said).encode(), _PROBLEM)


def _lines(body: bytes) -> list[bytes]:
    lines = body.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    if not 1 <= len(lines) <= MAXIMUM_LINES:
        raise BodyRefused(f"a submission has 1 to {MAXIMUM_LINES} lines, not {len(lines)}")
    return lines
