"""Asking the keyholder: the port, and the one that speaks HTTP.

Shares of its keys never pass here: trustees and keyholder talk to each other.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from scheduler.errors import KeyholderDenied, KeyholderUnavailable
from scheduler.post import TIMEOUT, Denied, Post, Unanswered
from trust import schema
from trust.errors import Malformed
from wire.aggregation import EngageRequest
from wire.custody import (
    END,
    ENGAGE,
    MAXIMUM_BODY,
    OPEN,
    PREPARE,
    Denial,
    EndOfEpoch,
    EpochAnswer,
    OpeningAnswer,
    OpeningPreparation,
    OpeningRequest,
)

T = TypeVar("T")


class Keyholder(Protocol):
    """Who can open ciphertexts. Every method raises KeyholderUnavailable or KeyholderDenied."""

    def engage(self, request: EngageRequest) -> EpochAnswer:
        """The campaign's public key, once its ceremony was held."""
        ...

    def prepare(self, request: OpeningPreparation) -> bytes:
        """An AcceptList envelope."""
        ...

    def open(self, request: OpeningRequest) -> OpeningAnswer:
        """The noised steps, once enough trustees have contributed."""
        ...

    def end(self, request: EndOfEpoch) -> bytes:
        """An EpochRetired envelope."""
        ...


class NoKeyholder:
    """In place of a keyholder where the scheduler was told of none: campaigns wait and say so."""

    def engage(self, request: EngageRequest) -> EpochAnswer:
        raise _no_keyholder(request)

    def prepare(self, request: OpeningPreparation) -> bytes:
        raise _no_keyholder(request)

    def open(self, request: OpeningRequest) -> OpeningAnswer:
        raise _no_keyholder(request)

    def end(self, request: EndOfEpoch) -> bytes:
        raise _no_keyholder(request)


def _no_keyholder(request: object) -> KeyholderUnavailable:
    return KeyholderUnavailable(
        f"this scheduler was told of no keyholder ({type(request).__name__} waits)",
        remedy="start it with --keyholder URL; the root must name the keyholder's key",
    )


class HttpKeyholder:
    """The keyholder at `url`, http(s)://host[:port][/prefix]."""

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        self._post = Post("keyholder", url, MAXIMUM_BODY, timeout)

    def engage(self, request: EngageRequest) -> EpochAnswer:
        return _read(EpochAnswer, self._ask(ENGAGE, request))

    def prepare(self, request: OpeningPreparation) -> bytes:
        return self._ask(PREPARE, request)

    def open(self, request: OpeningRequest) -> OpeningAnswer:
        return _read(OpeningAnswer, self._ask(OPEN, request))

    def end(self, request: EndOfEpoch) -> bytes:
        return self._ask(END, request)

    def _ask(self, path: str, question: Any) -> bytes:
        try:
            return self._post.ask(path, question)
        except Denied as denied:
            denial = _read(Denial, denied.body)
            raise KeyholderDenied(denial.refusal, denial.retired) from denied
        except Unanswered as error:
            raise KeyholderUnavailable(
                error.sentence,
                remedy="the campaign waits and asks again; the keyholder's own log says more",
                awaits=error.code,
            ) from error


def _read(cls: type[T], body: bytes) -> T:
    try:
        return schema.decode(cls, body)
    except Malformed as error:
        raise KeyholderUnavailable(
            f"the keyholder's answer is none: {error.sentence}",
            remedy="check that --keyholder is the address of this territory's keyholder",
        ) from error
