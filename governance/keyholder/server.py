"""The HTTP edge of the keyholder: POST what the scheduler and the trustees ask; GET /healthz."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from governance.batches.errors import HistoryUnreadable, StandingUnknown
from governance.bounded_http import BoundedHandler, BoundedServer, Bounds
from governance.errors import BodyRefused
from governance.keyholder.errors import (
    CeremonyAwaited,
    RequestMalformed,
    ShareRefused,
    SharesAwaited,
)
from governance.keyholder.keyholder import Keyholder
from governance.keyholder.office import Denied
from trust import schema
from trust.errors import Malformed
from trust.problem import Problem
from wire.aggregation import TYPE, EngageRequest
from wire.custody import (
    CONTRIBUTE,
    END,
    ENGAGE,
    MAXIMUM_BODY,
    OPEN,
    PREPARE,
    SUMMONS,
    Contribution,
    Denial,
    EndOfEpoch,
    OpeningPreparation,
    OpeningRequest,
    SummonsRequest,
)

# One scheduler that asks one question at a time, and at most sixteen trustees.
BOUNDS = Bounds(connections=24, body_bytes=MAXIMUM_BODY, held_bytes=2 * MAXIMUM_BODY)
# Epochs and openings whose time is over are looked for this often; their life is in days.
TICK = 60.0
_TEXT = "text/plain; charset=utf-8"


class KeyholderServer(BoundedServer):
    """Serves one keyholder; keys and shares whose time is over go by the clock."""

    def __init__(
        self, address: tuple[str, int], keyholder: Keyholder, bounds: Bounds = BOUNDS
    ) -> None:
        log = logging.getLogger("cadastre.governance.keyholder")
        encode = schema.encode
        self.answers: dict[str, tuple[type[Any], Callable[[Any], bytes]]] = {
            ENGAGE: (EngageRequest, lambda request: encode(keyholder.engage(request))),
            PREPARE: (OpeningPreparation, keyholder.prepare),
            OPEN: (OpeningRequest, lambda request: encode(keyholder.open(request))),
            END: (EndOfEpoch, keyholder.end),
            SUMMONS: (SummonsRequest, lambda request: encode(keyholder.summons(request))),
            CONTRIBUTE: (Contribution, lambda request: encode(keyholder.contribute(request))),
        }
        super().__init__(address, _Handler, bounds, log=log, tick=keyholder.expire, interval=TICK)


class _Handler(BoundedHandler):
    server: KeyholderServer
    server_version = "cadastre-keyholder"

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server looks for
        """Say that we are alive."""
        alive = self.path == "/healthz"
        status = HTTPStatus.OK if alive else HTTPStatus.NOT_FOUND
        self.answer(status, b"ok\n" if alive else b"only /healthz is here\n", _TEXT)

    def do_POST(self) -> None:  # noqa: N802 - as above
        """Answer one question; 422 carries a signed refusal, everything else a sentence."""
        found = self.server.answers.get(self.path)
        if found is None:
            self.answer(HTTPStatus.NOT_FOUND, b"no such question\n", _TEXT)
            return
        cls, answer = found
        try:
            raw = self.read_body()
            try:
                question = schema.decode(cls, raw)
            except Malformed as error:
                raise RequestMalformed(error.sentence) from error
            body = answer(question)
        except Denied as denied:
            self.server.log.info("%s: %s", denied.problem.code, ascii(denied.problem.sentence))
            told = schema.encode(Denial(denied.envelope, denied.retired))
            self.answer(HTTPStatus.UNPROCESSABLE_ENTITY, told, TYPE)
        except Problem as problem:
            status = _status(problem)
            text = self.told(status, problem)
            if status == HTTPStatus.CONFLICT:
                text += f" [{problem.code}]"  # the leader shows its operator whom it waits for
            self.answer(status, text.encode(), _TEXT)
        else:
            self.answer(HTTPStatus.OK, body, TYPE)


def _status(problem: Problem) -> HTTPStatus:
    match problem:
        case BodyRefused() | RequestMalformed() | ShareRefused():
            return HTTPStatus.BAD_REQUEST
        case CeremonyAwaited() | SharesAwaited() | HistoryUnreadable() | StandingUnknown():
            # The leader waits and shows its operator why.
            return HTTPStatus.CONFLICT
        case _:
            return HTTPStatus.SERVICE_UNAVAILABLE
