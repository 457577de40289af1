"""The HTTP edge of helper and keyholder: questions as messages of wire, answers, refusals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from governance.batches.errors import HistoryUnreadable, StandingUnknown
from governance.batches.office import Denied
from governance.bounded_http import BoundedHandler, BoundedServer, Bounds
from governance.errors import BodyRefused, GovernanceError
from governance.program import Program
from trust import schema
from trust.errors import Malformed
from trust.problem import Problem
from wire.aggregation import TYPE

# Keys whose time is over are looked for this often, in seconds; their life is counted in days.
TICK = 60.0
# A question's reports and enrolments are two strings each. A body of brackets alone would take
# the process forty times its own size before a signature could be looked at.
MAXIMUM_PARTS = 400_000
_TEXT = "text/plain; charset=utf-8"

Answers = Mapping[str, tuple[type[Any], Callable[[Any], bytes]]]
"""By path: the message that asks, and what answers it. Raises Denied or a Problem."""


class QuestionServer(BoundedServer):
    """Answers POSTed questions and GET /healthz; `expire` is called by the clock."""

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[QuestionHandler],
        bounds: Bounds,
        answers: Answers,
        expire: Callable[[], object],
    ) -> None:
        self.answers = answers
        log = logging.getLogger(f"cadastre.governance.{handler.program.name}")
        super().__init__(address, handler, bounds, log=log, tick=expire, interval=TICK)


class QuestionHandler(BoundedHandler):
    """One connection; each program says what it refuses, and how."""

    server: QuestionServer
    program: ClassVar[Program]
    malformed: ClassVar[type[GovernanceError]]  # a question that is none
    faults: ClassVar[tuple[type[Problem], ...]] = (BodyRefused,)  # the asker's: 400
    waits: ClassVar[tuple[type[Problem], ...]] = (HistoryUnreadable, StandingUnknown)  # 409

    def denial(self, denied: Denied) -> bytes:
        """The body of a signed refusal."""
        return denied.envelope

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
            body = answer(self._question(cls))
        except Denied as denied:
            self.server.log.info("%s: %s", denied.problem.code, ascii(denied.problem.sentence))
            self.answer(HTTPStatus.UNPROCESSABLE_ENTITY, self.denial(denied), TYPE)
        except Problem as problem:
            status = self._status(problem)
            self.answer(status, self.told(status, problem).encode(), _TEXT)
        else:
            self.answer(HTTPStatus.OK, body, TYPE)

    def _question(self, cls: type[Any]) -> Any:
        raw = self.read_body()
        if sum(raw.count(sign) for sign in (b"[", b"{", b",")) > MAXIMUM_PARTS:
            raise self.malformed(f"a question has at most {MAXIMUM_PARTS} parts")
        try:
            return schema.decode(cls, raw)
        except Malformed as error:
            raise self.malformed(error.sentence) from error

    def _status(self, problem: Problem) -> HTTPStatus:
        if isinstance(problem, (*self.faults, self.malformed)):
            return HTTPStatus.BAD_REQUEST
        # Where it must wait, the leader goes on asking and shows its operator why.
        waits = isinstance(problem, self.waits)
        return HTTPStatus.CONFLICT if waits else HTTPStatus.SERVICE_UNAVAILABLE
