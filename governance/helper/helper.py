"""The helper's four answers, one question at a time.

Everything it is told is verified here again, from documents; nothing that the leader says by
itself counts. The same question gets the same bytes; if we crash before an answer is kept,
nothing was answered, and the leader asks again.
"""

from __future__ import annotations

import threading

from governance.helper.campaigns import Campaigns
from governance.helper.office import Office
from governance.helper.rounds import Rounds
from wire.aggregation import (
    CommitAnswer,
    CommitRequest,
    EndRequest,
    EngageRequest,
    PrepareRequest,
)


class Helper:
    """Safe for many threads: two answers about one round never race."""

    def __init__(self, office: Office) -> None:
        self._campaigns = Campaigns(office)
        self._rounds = Rounds(office, self._campaigns)
        self._turn = threading.Lock()

    def engage(self, request: EngageRequest) -> bytes:
        """A HelperKey envelope. Raises Denied, HelperError."""
        with self._turn:
            return self._campaigns.engage(request)

    def prepare(self, request: PrepareRequest) -> bytes:
        """An AcceptList envelope. Raises Denied, HelperError."""
        with self._turn:
            return self._rounds.prepare(request)

    def commit(self, request: CommitRequest) -> CommitAnswer:
        """The helper's noised share. Raises Denied, HelperError."""
        with self._turn:
            return self._rounds.commit(request)

    def end(self, request: EndRequest) -> bytes:
        """A KeyDestroyed envelope. Raises Denied, HelperError."""
        with self._turn:
            return self._campaigns.end(request)

    def expire(self) -> None:
        """Destroy every key whose time is over.

        It waits for nobody's turn: a question lasts as long as the log's site lets its bytes
        drip, and the site is the scheduler's.
        """
        self._campaigns.expire()
