"""The HTTP edge of the helper: POST /engage, /prepare, /commit, /end; GET /healthz."""

from __future__ import annotations

from governance.batches.questions import Answers, QuestionHandler, QuestionServer
from governance.bounded_http import Bounds
from governance.helper.errors import RequestMalformed
from governance.helper.helper import Helper
from governance.helper.schema import HELPER
from trust import schema
from wire.aggregation import (
    COMMIT,
    END,
    ENGAGE,
    MAXIMUM_BODY,
    PREPARE,
    CommitRequest,
    EndRequest,
    EngageRequest,
    PrepareRequest,
)

# Only the leader has anything to say here, and it asks one question at a time.
BOUNDS = Bounds(connections=16, body_bytes=MAXIMUM_BODY, held_bytes=2 * MAXIMUM_BODY)


class HelperServer(QuestionServer):
    """Serves one helper; the private keys of campaigns that are over go by the clock."""

    def __init__(self, address: tuple[str, int], helper: Helper, bounds: Bounds = BOUNDS) -> None:
        answers: Answers = {
            ENGAGE: (EngageRequest, helper.engage),
            PREPARE: (PrepareRequest, helper.prepare),
            COMMIT: (CommitRequest, lambda request: schema.encode(helper.commit(request))),
            END: (EndRequest, helper.end),
        }
        super().__init__(address, _Handler, bounds, answers, helper.expire)


class _Handler(QuestionHandler):
    program = HELPER
    server_version = "cadastre-helper"
    malformed = RequestMalformed
