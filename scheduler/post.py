"""Asking another institution's process over HTTP: one JSON body there, one back, bounded.

What it answers is believed only after its signature verifies, so plain http costs no integrity.

Whoever asks waits for seconds at most, and once: all campaigns take their turns on the same clock,
and a process that hangs, or lets bytes drip, must not stop the others. While one question stays
unanswered nobody waits for another one; each answer is picked up when its question is asked
again. Where that changed meanwhile (a newer proof), the other side has the answer ready by then.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from scheduler.errors import StateRefused
from trust import schema
from wire.aggregation import TYPE

# Seconds without a byte. A batch of a million cells from a hundred workers takes the helper some
# seconds, most of them for its noise.
TIMEOUT = 60.0
# Seconds for a whole answer, however steadily it drips.
LIFE = 600.0
# Seconds that one turn of the scheduler waits for an answer, while none is overdue.
PATIENCE = 2.0
# Questions to one institution that are under way at a time, each with its body and its thread. One
# about a campaign that it hangs over leaves room for the others; one that drips for ever keeps its
# place for as long as somebody takes the trouble.
MAXIMUM_ERRANDS = 4
_CHUNK = 1 << 20
_WAITING, _DENIED = 409, 422
_TOLD = 400  # letters of a foreign sentence
_CODE = re.compile(r"^(.*) \[([a-z]+(?:-[a-z]+)*)\]$", re.DOTALL)


class Denied(Exception):
    """The other side said no; `body` is its signed refusal, not yet verified."""

    def __init__(self, body: bytes) -> None:
        super().__init__("denied")
        self.body = body


@dataclass
class Unanswered(Exception):
    """No answer now. `code` is what the other side waits for, "" where it said nothing."""

    sentence: str
    code: str = ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


class _Errand:
    """One question on its way, in a thread of its own."""

    def __init__(self, carry: Callable[[], bytes]) -> None:
        self._carry = carry
        self._done = threading.Event()
        self._overdue = False
        self._answer: bytes | Exception = b""
        threading.Thread(target=self._run, name="post", daemon=True).start()

    def _run(self) -> None:
        try:
            self._answer = self._carry()
        except Exception as error:  # noqa: BLE001 - raised again by who asked
            self._answer = error
        self._done.set()

    def wait(self, seconds: float) -> bool:
        """Whether the answer is there, after `seconds` at most."""
        self._overdue = not self._done.wait(seconds)
        return not self._overdue

    @property
    def done(self) -> bool:
        """Whether the answer is there."""
        return self._done.is_set()

    @property
    def overdue(self) -> bool:
        """Whether somebody waited for it in vain and it is still not there."""
        return self._overdue and not self.done

    def answer(self) -> bytes:
        """What came of it; call it once `wait` said so."""
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class Post:
    """The process of `whose` at `url`, http(s)://host[:port][/prefix]."""

    def __init__(
        self,
        whose: str,
        url: str,
        limit: int,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
    ) -> None:
        """`limit` bounds a question and an answer, in bytes. Raises StateRefused."""
        _require_address(whose, url)
        self._whose = whose
        self._url = url.rstrip("/")
        self._limit = limit
        self._timeout = timeout
        self._patience = patience
        self._lock = threading.Lock()
        self._errands: dict[tuple[str, bytes], _Errand] = {}  # by path and digest, oldest first
        # City proxies are for the outside world; this address is named by the operator.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def ask(self, path: str, question: Any) -> bytes:
        """The body of the answer. Raises Denied or Unanswered."""
        body = schema.encode(question)
        if len(body) > self._limit:
            raise Unanswered(
                f"the batch takes {len(body)} bytes, one question has at most {self._limit}"
            )
        key = (path, hashlib.sha256(body).digest())
        errand, patience = self._errand(key, body)
        if not errand.wait(patience):
            raise Unanswered(f"the {self._whose} has not answered yet")
        with self._lock:
            if self._errands.get(key) is errand:
                del self._errands[key]
        return errand.answer()

    def _errand(self, key: tuple[str, bytes], body: bytes) -> tuple[_Errand, float]:
        """The errand that carries this question, and for how many seconds to wait for it."""
        path, _ = key
        with self._lock:
            hangs = any(errand.overdue for errand in self._errands.values())
            if key not in self._errands:
                self._make_room()
                self._errands[key] = _Errand(lambda: self._carry(path, body))
            return self._errands[key], 0.0 if hangs else self._patience

    def _make_room(self) -> None:
        """Forget the oldest answer that nobody came for. Raises Unanswered when there is none."""
        if len(self._errands) < MAXIMUM_ERRANDS:
            return
        for key, errand in self._errands.items():
            if errand.done:
                del self._errands[key]
                return
        raise Unanswered(f"the {self._whose} is still at other questions")

    def _carry(self, path: str, body: bytes) -> bytes:
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            self._url + path, data=body, headers={"Content-Type": TYPE}, method="POST"
        )
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                data = self._read(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error) from error
        except (OSError, ValueError, OverflowError, http.client.HTTPException) as error:
            # ValueError: a name with an empty or endless label is found out when it is looked up.
            reason = getattr(error, "reason", error)
            raise Unanswered(f"the {self._whose} could not be reached: {reason}") from error
        if len(data) > self._limit:
            raise Unanswered(f"the {self._whose}'s answer has over {self._limit} bytes")
        return data

    def _read(self, answer: Any) -> bytes:
        """The body of a response, whatever its status."""
        end, data = time.monotonic() + LIFE, bytearray()
        while len(data) <= self._limit and (piece := answer.read1(_CHUNK)):
            data += piece
            if time.monotonic() > end:
                raise Unanswered(f"the {self._whose} did not end its answer in {LIFE:.0f} s")
        if len(data) <= self._limit and answer.length:
            raise http.client.IncompleteRead(bytes(data[:0]), answer.length)
        return bytes(data)

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        try:
            body = self._read(error)[: self._limit]
        except (OSError, ValueError, http.client.HTTPException):
            body = b""
        if error.code == _DENIED and body:
            return Denied(body)
        told = body[:_TOLD].decode("utf-8", "replace").strip() if error.code < 500 else ""
        if error.code == _WAITING and (found := _CODE.match(told)):
            return Unanswered(found[1], found[2])
        return Unanswered(f"the {self._whose} answered {error.code} {told}".strip())


def _require_address(whose: str, url: str) -> None:
    """Raise StateRefused for what cannot be asked; found at the start, not in a campaign's turn."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        sound = sound and url.isprintable() and url.split() == [url]
    except ValueError:  # a port that is none, a bracket that does not close
        parts, sound = urlsplit(""), False
    if not sound or parts.query or parts.fragment or "@" in parts.netloc:
        # Not the address itself: what stands before an @ may be a password.
        raise StateRefused(
            f"what was given is not the address of a {whose}",
            remedy="write http://host:port or https://host/prefix, with nothing behind it and no "
            "user in front",
        )
