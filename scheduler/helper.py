"""Asking the helper: the port, and the one that speaks HTTP. Seeds passed on are sealed to it."""

from __future__ import annotations

from typing import Any, Protocol

from scheduler.errors import HelperDenied, HelperUnavailable
from scheduler.post import TIMEOUT, Denied, Post, Unanswered
from trust import schema
from trust.errors import Malformed
from wire.aggregation import (
    COMMIT,
    END,
    ENGAGE,
    MAXIMUM_BODY,
    PREPARE,
    CommitAnswer,
    CommitRequest,
    EndRequest,
    EngageRequest,
    PrepareRequest,
)


class Helper(Protocol):
    """The second aggregator. Every method raises HelperUnavailable or HelperDenied."""

    def engage(self, request: EngageRequest) -> bytes:
        """A HelperKey envelope."""
        ...

    def prepare(self, request: PrepareRequest) -> bytes:
        """An AcceptList envelope."""
        ...

    def commit(self, request: CommitRequest) -> CommitAnswer:
        """The helper's share and its blob."""
        ...

    def end(self, request: EndRequest) -> bytes:
        """A KeyDestroyed envelope."""
        ...


class NoHelper:
    """In place of a helper where the scheduler was told of none: campaigns wait and say so."""

    def engage(self, request: EngageRequest) -> bytes:
        raise _no_helper(request)

    def prepare(self, request: PrepareRequest) -> bytes:
        raise _no_helper(request)

    def commit(self, request: CommitRequest) -> CommitAnswer:
        raise _no_helper(request)

    def end(self, request: EndRequest) -> bytes:
        raise _no_helper(request)


def _no_helper(request: object) -> HelperUnavailable:
    return HelperUnavailable(
        f"this scheduler was told of no helper ({type(request).__name__} waits)",
        remedy="start it with --helper URL; the root must name the helper's key",
    )


class HttpHelper:
    """The helper at `url`, http(s)://host[:port][/prefix]."""

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        self._post = Post("helper", url, MAXIMUM_BODY, timeout)

    def engage(self, request: EngageRequest) -> bytes:
        return self._ask(ENGAGE, request)

    def prepare(self, request: PrepareRequest) -> bytes:
        return self._ask(PREPARE, request)

    def commit(self, request: CommitRequest) -> CommitAnswer:
        body = self._ask(COMMIT, request)
        try:
            return schema.decode(CommitAnswer, body)
        except Malformed as error:
            raise HelperUnavailable(
                f"the helper's answer is none: {error.sentence}",
                remedy="check that --helper is the address of this territory's helper",
            ) from error

    def end(self, request: EndRequest) -> bytes:
        return self._ask(END, request)

    def _ask(self, path: str, question: Any) -> bytes:
        try:
            return self._post.ask(path, question)
        except Denied as denied:
            raise HelperDenied(denied.body) from denied
        except Unanswered as error:
            raise HelperUnavailable(
                error.sentence,
                remedy="the campaign waits and asks again; the helper's own log says more",
            ) from error
