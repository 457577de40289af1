"""Governance's registry, as an owner's terminal sees it: told over HTTP, believed when signed.

Its answers are nobody's signature: they tell what to mend. That a revocation acts is believed
only from the status that governance's own key signed, the list that every worker obeys.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from client.errors import ConsentsRefused, InputRefused
from terminal.words import one_line
from trust.clock import Clock
from trust.documents.governance import Status
from trust.documents.root import Duty
from trust.errors import RootRefused
from trust.ids import Digest
from trust.root import TrustedRoot
from wire.errors import BadMessage, Unreachable
from wire.site import fetch

TIMEOUT_SECONDS = 30.0
# A thousand refusals, sentence and remedy, of 600 characters.
MAXIMUM_ANSWER_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Refusal:
    """Why one consent of a submission was not taken."""

    index: int
    code: str
    sentence: str
    remedy: str = ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST arrives as a GET, and somebody else answers it."""

    def redirect_request(self, *_: Any) -> None:
        return None


def register(address: str, batch: Sequence[bytes]) -> tuple[Refusal, ...]:
    """Post a batch; those that were refused. Raises InputRefused, ConsentsRefused, Unreachable.

    BadMessage is raised for an answer that does not account for every consent.
    """
    if urlsplit(address).scheme not in {"http", "https"}:
        raise InputRefused(
            f"{address[:200]} is not an http address", remedy="write it like https://host/path"
        )
    request = urllib.request.Request(  # noqa: S310 - scheme checked
        f"{address.rstrip('/')}/consents", data=b"\n".join(batch) + b"\n", method="POST"
    )
    try:
        with urllib.request.build_opener(_NoRedirect).open(
            request, timeout=TIMEOUT_SECONDS
        ) as answer:
            raw = answer.read(MAXIMUM_ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            said = one_line(error.read(500).decode(errors="replace"))
        raise ConsentsRefused(f"the registry refused the consents: {said}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unreachable(
            f"the registry at {address[:200]} does not answer",
            remedy="check the address and try again",
        ) from error
    return _refused(raw, len(batch))


def revoked(root: TrustedRoot, tokens: Collection[Digest], clock: Clock) -> int:
    """How many of `tokens` governance's signed status lists now.

    Raises Unreachable or BadMessage, and for a status that nobody may believe SignatureInvalid,
    Malformed, WrongType or RootRefused.
    """
    url = root.document.status_url
    raw = fetch(url)
    if raw is None:
        raise Unreachable(f"{url} serves no status", remedy="ask governance")
    status = root.verify(Status, raw, Duty.STATUS).document
    if status.territory != root.document.territory or clock.now() >= status.expires_at:
        raise RootRefused(
            "governance's status is of another territory, or has expired",
            remedy="ask governance to publish its status, and check this machine's clock",
        )
    return len(set(tokens) & set(status.revoked))


def _refused(raw: bytes, sent: int) -> tuple[Refusal, ...]:
    try:
        told = json.loads(raw)
        taken = [told["accepted"], told["unchanged"]]
        refused = tuple(_refusal(entry, sent) for entry in told["refused"])
        sound = all(type(count) is int and count >= 0 for count in taken)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise BadMessage("the registry's answer is not in its form") from error
    accounted = sum(taken) + len(refused) if sound else 0
    if accounted != sent or len({entry.index for entry in refused}) != len(refused):
        raise BadMessage(
            f"the registry accounts for {accounted} of {sent} consents",
            remedy="submit them again; what it has counts as unchanged",
        )
    return refused


def _refusal(entry: Any, sent: int) -> Refusal:
    index, code, sentence = entry["index"], entry["code"], entry["sentence"]
    remedy = entry.get("remedy", "")
    if type(index) is not int or not 0 <= index < sent:
        raise ValueError(index)
    if not all(isinstance(text, str) for text in (code, sentence, remedy)):
        raise TypeError(code)
    told = (one_line(code[:100]), one_line(sentence[:500]), one_line(remedy[:500]))
    return Refusal(index, *told)
