"""The HTTP edge of a witness: POST /add-checkpoint, and GET of its checkpoints and /healthz."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from http import HTTPStatus

from governance.bounded_http import TEXT, BoundedHandler, BoundedServer, Bounds
from governance.errors import BodyRefused
from governance.witness.errors import RequestMalformed, SizeConflict, WitnessError
from governance.witness.request import REQUEST_LIMIT
from governance.witness.witness import Witness
from trust.problem import Problem

BOUNDS = Bounds(connections=32, body_bytes=REQUEST_LIMIT, held_bytes=32 * REQUEST_LIMIT)

_LATEST = re.compile(r"/([0-9a-f]{64})/checkpoint")
_SIZE = "text/x.tlog.size"


class WitnessServer(BoundedServer):
    """Serves one witness."""

    def __init__(self, address: tuple[str, int], witness: Witness, bounds: Bounds = BOUNDS) -> None:
        self.witness = witness
        log = logging.getLogger("cadastre.governance.witness")
        super().__init__(address, _Handler, bounds, log=log)


def serve(
    witness: Witness,
    host: str,
    port: int,
    started: Callable[[WitnessServer], None] = lambda _: None,
) -> None:
    """Serve until closed; `started` receives the listening server, to close it or show its url."""
    server = WitnessServer((host, port), witness)
    started(server)
    server.serve()


class _Handler(BoundedHandler):
    server: WitnessServer
    server_version = "cadastre-witness"

    def do_POST(self) -> None:  # noqa: N802 - as below
        """Cosign, with the statuses that the protocol gives each refusal."""
        if self.path != "/add-checkpoint":
            self._say(HTTPStatus.NOT_FOUND, "checkpoints are posted to /add-checkpoint")
            return
        try:
            lines = self.server.witness.add_checkpoint(self._body())
        except SizeConflict as conflict:
            self.answer(conflict.status, f"{conflict.size}\n".encode(), _SIZE)
        except Problem as problem:
            self._problem(problem)
        else:
            self.answer(HTTPStatus.OK, lines, TEXT)

    def do_GET(self) -> None:  # noqa: N802 - as below
        """Answer the newest cosigned checkpoint of a log, or that we are alive."""
        if self.path == "/healthz":
            self._say(HTTPStatus.OK, "ok")
            return
        match = _LATEST.fullmatch(self.path)
        if match is None:
            self._say(
                HTTPStatus.NOT_FOUND, "only /<sha256 of an origin>/checkpoint and /healthz are here"
            )
            return
        try:
            self.answer(HTTPStatus.OK, self.server.witness.latest(match.group(1)), TEXT)
        except Problem as problem:
            self._problem(problem)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def _body(self) -> bytes:
        try:
            return self.read_body()
        except BodyRefused as error:
            raise RequestMalformed(error.sentence, remedy=error.remedy) from error

    def _problem(self, problem: Problem) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE
        if isinstance(problem, WitnessError):
            status = problem.status
        self._say(status, self.told(status, problem))

    def _say(self, status: HTTPStatus, sentence: str) -> None:
        self.answer(status, f"{sentence}\n".encode(), TEXT)
