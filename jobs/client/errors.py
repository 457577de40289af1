"""What can go wrong between a notebook and the grid's pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jobs.errors import JobsError
from trust.problem import Kind

_CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_CODE = 64
_LONGEST = 500
_MOST_IDS = 16
_KINDS: Mapping[int, Kind] = {
    401: Kind.REFUSED,
    403: Kind.REFUSED,
    404: Kind.NOT_FOUND,
    409: Kind.CONFLICT,
    422: Kind.INVALID,
    429: Kind.EXHAUSTED,
    503: Kind.UNAVAILABLE,
}


class GridError(JobsError):
    """Root of what a notebook's client refuses."""

    code = "grid"


class GridAddressRefused(GridError):
    """An address that a token must not be sent to."""

    code = "grid-address-refused"
    advice = "give the address that the pages print, beginning with https://"


class ApiTokenUnusable(GridError):
    """No API token is at hand, or one that others can read, or no token at all."""

    code = "api-token-unusable"
    advice = (
        "make one on the page `My account`, put it into a file, chmod 600, and name that file in "
        "CADASTRE_API_TOKEN_FILE"
    )


class GridUnreachable(GridError):
    """The grid's pages do not answer, or not with a certificate of the given authority."""

    code = "grid-unreachable"
    kind = Kind.UNAVAILABLE
    retryable = True
    advice = "check the address, the network and the file given as `ca`"


class GridAnswerUnfit(GridError):
    """An answer that is too large, or not what this version of the client reads."""

    code = "grid-answer-unfit"
    advice = "check that the address is a scheduler's, and that client and scheduler are of one age"


class WaitOver(GridError):
    """The campaign still goes on after as long as the caller wanted to wait."""

    code = "wait-over"
    kind = Kind.UNAVAILABLE
    advice = "wait again: nothing was lost by waiting, and the campaign goes on by itself"


class NothingReleased(GridError):
    """The campaign ended without a release."""

    code = "nothing-released"
    kind = Kind.REFUSED
    advice = "the bundle's page says what blocks it; an operator can start another campaign"


class NoSuchValue(GridError):
    """A release has no value of this name, or no band around it."""

    code = "no-such-value"
    kind = Kind.NOT_FOUND
    advice = "`release.names` lists its values; not every bundle declares bands"


class LibraryAbsent(GridError):
    """A form of a value that needs a library which is not installed."""

    code = "library-absent"
    kind = Kind.UNAVAILABLE


class GridRefused(GridError):
    """A refusal of the grid itself (RFC 9457), with its own code, kind, words and remedy."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        detail = document.get("detail")
        remedy = document.get("remedy")
        code = document.get("code")
        ids = document.get("ids")
        super().__init__(
            _shown(detail) or f"the grid answered with status {status}",
            remedy=_shown(remedy) or "the grid's page at the same address says more",
        )
        if isinstance(ids, Mapping):
            self.ids = {_shown(name): _shown(one) for name, one in list(ids.items())[:_MOST_IDS]}
        self.status = status
        sound = isinstance(code, str) and len(code) <= _LONGEST_CODE and _CODE.fullmatch(code)
        # Instance attributes on purpose: the class of the other side's error is not ours.
        self.code = str(code) if sound else "grid-refused"  # type: ignore[misc]
        self.kind = _KINDS.get(status, Kind.INTERNAL)  # type: ignore[misc]
        self.retryable = document.get("retryable") is True  # type: ignore[misc]


def _shown(value: object) -> str:
    """Foreign text for a notebook's cell: printable, on one line, not too long."""
    text = value if isinstance(value, str) else ""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:_LONGEST]
