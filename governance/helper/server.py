"""The HTTP edge of the helper: POST /engage, /prepare, /commit, /end; GET /healthz."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from governance.batches.errors import HistoryUnreadable, StandingUnknown
from governance.bounded_http import BoundedHandler, BoundedServer, Bounds
from governance.errors import BodyRefused
from governance.helper.errors import RequestMalformed
from governance.helper.helper import Helper
from governance.helper.office import Denied
from trust import schema
from trust.errors import Malformed
from trust.problem import Problem
from wire.aggregation import (
    COMMIT,
    END,
    ENGAGE,
    MAXIMUM_BODY,
    PREPARE,
    TYPE,
    CommitRequest,
    EndRequest,
    EngageRequest,
    PrepareRequest,
)

# Only the leader has anything to say here, and it asks one question at a time.
BOUNDS = Bounds(connections=16, body_bytes=MAXIMUM_BODY, held_bytes=2 * MAXIMUM_BODY)
# Keys whose time is over are looked for this often; their life is counted in days.
TICK = 60.0
# A question's reports and enrolments are two strings each. A body of brackets alone would take
# this process forty times its own size before a signature could be looked at.
MAXIMUM_PARTS = 400_000
_TEXT = "text/plain; charset=utf-8"


class HelperServer(BoundedServer):
    """Serves one helper; the private keys of campaigns that are over go by the clock."""

    def __init__(self, address: tuple[str, int], helper: Helper, bounds: Bounds = BOUNDS) -> None:
        log = logging.getLogger("cadastre.governance.helper")
        self.answers: dict[str, tuple[type[Any], Callable[[Any], bytes]]] = {
            ENGAGE: (EngageRequest, helper.engage),
            PREPARE: (PrepareRequest, helper.prepare),
            COMMIT: (CommitRequest, lambda request: schema.encode(helper.commit(request))),
            END: (EndRequest, helper.end),
        }
        super().__init__(address, _Handler, bounds, log=log, tick=helper.expire, interval=TICK)


class _Handler(BoundedHandler):
    server: HelperServer
    server_version = "cadastre-helper"

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
            if sum(raw.count(sign) for sign in (b"[", b"{", b",")) > MAXIMUM_PARTS:
                raise RequestMalformed(f"a question has at most {MAXIMUM_PARTS} parts")
            try:
                question = schema.decode(cls, raw)
            except Malformed as error:
                raise RequestMalformed(error.sentence) from error
            body = answer(question)
        except Denied as denied:
            self.server.log.info("%s: %s", denied.problem.code, ascii(denied.problem.sentence))
            self.answer(HTTPStatus.UNPROCESSABLE_ENTITY, denied.envelope, TYPE)
        except Problem as problem:
            status = _status(problem)
            self.answer(status, self.told(status, problem).encode(), _TEXT)
        else:
            self.answer(HTTPStatus.OK, body, TYPE)


def _status(problem: Problem) -> HTTPStatus:
    match problem:
        case BodyRefused() | RequestMalformed():
            return HTTPStatus.BAD_REQUEST
        case HistoryUnreadable() | StandingUnknown():
            # The leader waits and shows its operator why.
            return HTTPStatus.CONFLICT
        case _:
            return HTTPStatus.SERVICE_UNAVAILABLE
