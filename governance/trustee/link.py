"""Asking the keyholder for summonses, and giving it a share: JSON over HTTP, bounded.

What it says is believed only after its signatures verify; what it is told is sealed to it.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import TypeVar
from urllib.parse import urlsplit

from governance.trustee.errors import KeyholderUnreachable, SummonsRefused
from trust import schema
from trust.errors import Malformed
from trust.ids import Digest
from wire.aggregation import TYPE
from wire.custody import (
    CONTRIBUTE,
    SUMMONS,
    Contribution,
    ContributionAnswer,
    Summons,
    Summonses,
    SummonsRequest,
)

T = TypeVar("T")

TIMEOUT_SECONDS = 30.0
# A summons has six documents with their proofs; a territory opens a few batches at a time.
_MAXIMUM_ANSWER = 4 * 1024 * 1024
_SHOWN = 300


def wanted(url: str, trustee: Digest) -> tuple[Summons, ...]:
    """The openings that wait for this trustee. Raises KeyholderUnreachable, SummonsRefused."""
    return _ask(url + SUMMONS, SummonsRequest(trustee), Summonses).openings


def give(url: str, contribution: Contribution) -> ContributionAnswer:
    """Send a share; says how far the opening is. Raises as `wanted`."""
    return _ask(url + CONTRIBUTE, contribution, ContributionAnswer)


def _ask(url: str, question: object, expected: type[T]) -> T:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise KeyholderUnreachable(f"{url[:200]} is not an http address")
    request = urllib.request.Request(  # noqa: S310 - checked
        url, schema.encode(question), {"Content-Type": TYPE}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            raw: bytes = answer.read(_MAXIMUM_ANSWER + 1)
    except urllib.error.HTTPError as error:
        with error:
            told = ascii(error.read(_SHOWN).decode("utf-8", "replace"))[1:-1]
        raise KeyholderUnreachable(f"the keyholder answered {error.code}: {told}") from error
    except (OSError, http.client.HTTPException) as error:
        raise KeyholderUnreachable(
            f"{url} does not answer", remedy="check --keyholder and the network, and try again"
        ) from error
    if len(raw) > _MAXIMUM_ANSWER:
        raise SummonsRefused(f"the keyholder's answer is over {_MAXIMUM_ANSWER} bytes")
    try:
        return schema.decode(expected, raw)
    except Malformed as error:
        raise SummonsRefused(f"the keyholder's answer is malformed: {error.sentence}") from error
