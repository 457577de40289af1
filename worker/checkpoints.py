"""Asking governance's registry whether this worker's privacy ledger is the newest copy of it.

A ledger and a journal that were restored together agree with each other: nothing on this machine
can tell that they are old. The registry can. It is asked twice around every new contribution:

- before anything is charged, so that an old copy is found while it still says the old counter;
- after the charge and before the sum may leave, so that whatever was said is known there too.

If we crash after either, the next attempt asks again: an answer changes nothing but what is
allowed next. No answer means no contribution.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from trust import clock as clocks
from trust.clock import Clock
from trust.documents import signed
from trust.documents.budget import (
    CHECKPOINTS_PATH,
    NONCE_BYTES,
    LedgerCheckpoint,
    LedgerStanding,
)
from trust.documents.root import Duty
from trust.entropy import Entropy
from trust.errors import TrustError
from trust.ids import Digest
from trust.problem import Problem
from wire.errors import BadMessage, Unreachable
from worker.errors import CheckpointUnacknowledged, LedgerRolledBack
from worker.exchange import BackOff
from worker.identity import Identity
from worker.journal import SeenLedger

_LOG = logging.getLogger("cadastre.worker.checkpoints")
# A status server that is being restarted is back within this. After it the attempt is given back
# as not ready; the unit is ordered again until its deadline, so an outage costs it no attempt.
PATIENCE_SECONDS = 120.0
TIMEOUT_SECONDS = 10.0
# An envelope of one small document.
MAXIMUM_ANSWER_BYTES = 4096
_SHOWN = 300

Post = Callable[[str, bytes], Awaitable[bytes]]
Current = Callable[[], Identity]


@dataclass
class Checkpoints:
    """One worker's talk with the registry about its ledger."""

    identity: Current
    seen: Callable[[], SeenLedger]  # the ledger's end, as the journal has it
    post: Post
    clock: Clock
    entropy: Entropy
    patience: float = PATIENCE_SECONDS
    rolled_back: bool = False  # said by governance's signature; holds until a newer copy is back
    problem: str = ""  # why nothing is contributed, for `cadastre worker status`

    async def require(self) -> None:
        """Return when the registry knows of nothing beyond this ledger.

        Raises LedgerRolledBack, or CheckpointUnacknowledged after `patience` seconds.
        """
        back_off, started = BackOff(minimum=1.0, maximum=8.0), self.clock.boottime()
        while True:
            try:
                await self._ask()
            except LedgerRolledBack as problem:
                self.rolled_back, self.problem = True, str(problem)
                raise
            except Problem as problem:
                back_off = back_off.failed()
                delay = back_off.delay(self.entropy)
                waited = self.clock.boottime() - started
                if waited >= 0 and waited + delay < self.patience:
                    _LOG.info("the registry did not acknowledge the ledger: %s", problem)
                    await asyncio.sleep(delay)
                    continue
                self.problem = str(problem)
                raise CheckpointUnacknowledged(
                    "governance's registry did not acknowledge this worker's privacy ledger: "
                    f"{problem.sentence}",
                    remedy="nothing is contributed until it does; check that the address of "
                    "governance's status answers from here",
                ) from problem
            else:
                self.rolled_back, self.problem = False, ""
                return

    async def _ask(self) -> None:
        identity, seen = self.identity(), self.seen()
        key = identity.keys.node
        checkpoint = LedgerCheckpoint(
            territory=identity.names.territory,
            worker=identity.worker,
            key=key.public,
            counter=seen.counter,
            head=Digest.from_bytes(seen.hash),
            nonce=self.entropy(NONCE_BYTES),
            made_at=clocks.from_text(clocks.to_text(self.clock.now())),
        )
        asked = signed.sign(checkpoint, [key])
        address = urljoin(identity.root.document.status_url, f".{CHECKPOINTS_PATH}")
        raw = await self.post(address, asked.envelope.raw)
        try:
            standing = identity.root.verify(LedgerStanding, raw, Duty.STATUS).document
        except TrustError as error:
            raise BadMessage(f"the registry's answer is not its own: {error.sentence}") from error
        about = (standing.territory, standing.worker, standing.asked)
        if about != (checkpoint.territory, checkpoint.worker, asked.digest):
            raise BadMessage("the registry answered another question")
        if (standing.counter, standing.head) != (checkpoint.counter, checkpoint.head):
            raise LedgerRolledBack(
                f"governance's registry saw this worker's privacy ledger at {standing.counter}, "
                f"and the one here ends at {checkpoint.counter}"
                if standing.counter != checkpoint.counter
                else f"governance's registry saw another privacy ledger of this worker, which "
                f"also ends at {standing.counter}",
                remedy="stop the worker and put the newest ledger.sqlite and journal.sqlite back; "
                "if they are lost, owners move their capsules to a worker that is joined anew",
            )


async def post(address: str, body: bytes) -> bytes:
    """The registry's answer to one checkpoint, unverified. Raises Unreachable or BadMessage."""
    return await asyncio.to_thread(_post, address, body)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST arrives as a GET, and somebody else answers it."""

    def redirect_request(self, *_: object) -> None:
        return None


def _post(address: str, body: bytes) -> bytes:
    if urlsplit(address).scheme not in {"http", "https"}:
        raise BadMessage(
            f"{address[:200]} is not an http address",
            remedy="the territory root names it: ask the cooperative",
        )
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        address, data=body, headers={"Content-Type": "application/json"}, method="POST"
    )
    try:
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            data: bytes = answer.read(MAXIMUM_ANSWER_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            said = ascii(error.read(_SHOWN).decode("utf-8", "replace"))[1:-1]
        raise Unreachable(
            f"{address} answered {error.code}: {said}",
            remedy="hand the owners' consents in to the registry, and ask the cooperative",
        ) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unreachable(
            f"{address} does not answer", remedy="check the address, the network and any proxy"
        ) from error
    if len(data) > MAXIMUM_ANSWER_BYTES:
        raise BadMessage(f"{address} answered with over {MAXIMUM_ANSWER_BYTES} bytes")
    return data
