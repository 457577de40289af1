"""The HTTP edge of the keyholder: POST what the scheduler and the trustees ask; GET /healthz."""

from __future__ import annotations

from http import HTTPStatus

from governance.batches.questions import Answers, QuestionHandler, QuestionServer
from governance.bounded_http import Bounds
from governance.keyholder.errors import (
    CeremonyAwaited,
    RequestMalformed,
    ShareRefused,
    SharesAwaited,
)
from governance.keyholder.keyholder import Keyholder
from governance.keyholder.office import Denied
from governance.keyholder.schema import KEYHOLDER
from trust import schema
from trust.problem import Problem
from wire.aggregation import EngageRequest
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


class KeyholderServer(QuestionServer):
    """Serves one keyholder; keys and shares whose time is over go by the clock."""

    def __init__(
        self, address: tuple[str, int], keyholder: Keyholder, bounds: Bounds = BOUNDS
    ) -> None:
        encode = schema.encode
        answers: Answers = {
            ENGAGE: (EngageRequest, lambda request: encode(keyholder.engage(request))),
            PREPARE: (OpeningPreparation, keyholder.prepare),
            OPEN: (OpeningRequest, lambda request: encode(keyholder.open(request))),
            END: (EndOfEpoch, keyholder.end),
            SUMMONS: (SummonsRequest, lambda request: encode(keyholder.summons(request))),
            CONTRIBUTE: (Contribution, lambda request: encode(keyholder.contribute(request))),
        }
        super().__init__(address, _Handler, bounds, answers, keyholder.expire)


class _Handler(QuestionHandler):
    program = KEYHOLDER
    server_version = "cadastre-keyholder"
    malformed = RequestMalformed
    faults = (*QuestionHandler.faults, ShareRefused)
    waits = (*QuestionHandler.waits, CeremonyAwaited, SharesAwaited)

    def denial(self, denied: Denied) -> bytes:
        """The body of a signed refusal: with the epoch's retirement when there is one."""
        return schema.encode(Denial(denied.envelope, denied.retired))

    def told(self, status: HTTPStatus, problem: Problem) -> str:
        """The sentence that a stranger is told about `problem`."""
        text = super().told(status, problem)
        # The leader shows its operator whom it waits for.
        return f"{text} [{problem.code}]" if status == HTTPStatus.CONFLICT else text
