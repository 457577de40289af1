"""What this machine can run just now: the broker's self-test, proved again when in doubt.

A broker proves its sandbox once, when it starts. One that found none (level L0) stays so until
it is replaced, and causes go away (a sysctl is repaired, memory is free again): it is replaced
and tests itself again, from one minute to one hour apart. A broker that was lost puts the level
in doubt: no slot is offered until its successor has proved itself. The exchange with the
scheduler goes on meanwhile; withdrawals arrive, and the operator sees why nothing runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from capsule_runtime.broker.messages import Ready
from trust.entropy import Entropy
from trust.ids import Digest
from trust.problem import Problem
from worker.exchange import BackOff
from worker.ports import Broker

_LOG = logging.getLogger("cadastre.worker.readiness")
NO_SANDBOX = "L0"
# A self-test starts several zygotes: seconds of one core of somebody's desktop.
RETRY = BackOff(minimum=60.0, maximum=3600.0)


class Readiness:
    """The newest self-test, and whether it still stands."""

    def __init__(self, broker: Broker, entropy: Entropy, changed: Callable[[], None]) -> None:
        """`changed` is called when there is something new to show and to tell."""
        self._broker = broker
        self._entropy = entropy
        self._changed = changed
        self._ready: Ready | None = None
        self._problem = ""
        self._retry = RETRY
        self._next = ""
        self._afresh = False
        self._doubted = asyncio.Event()
        self._examined = asyncio.Event()

    @property
    def runs(self) -> bool:
        """Whether native bundles may be started here now."""
        return self.level != NO_SANDBOX and not self._doubted.is_set()

    @property
    def level(self) -> str:
        """The level of the last self-test; while it is in doubt, until the next one ended."""
        return self._ready.level if self._ready is not None else NO_SANDBOX

    @property
    def image(self) -> Digest:
        """The base runtime's image, measured when the broker started."""
        return self._ready.image if self._ready is not None else Digest.of(b"")

    @property
    def images(self) -> dict[str, Digest]:
        """Those of the runtimes with more libraries, by the last library of each."""
        return self._ready.images if self._ready is not None else {}

    @property
    def libraries(self) -> tuple[str, ...]:
        """What the sandboxes here hold."""
        return self._ready.libraries if self._ready is not None else ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the level is not higher, and when it is tried again."""
        found = self._ready.reasons if self._ready is not None else ()
        more = [text for text in (self._problem, self._next) if text]
        return (*found, *more)

    @property
    def examined(self) -> bool:
        """Whether a first self-test has ended, well or badly."""
        return self._examined.is_set()

    async def first(self) -> None:
        """Return once the machine has been examined in this life."""
        await self._examined.wait()

    @property
    def doubted(self) -> bool:
        """Whether the last self-test no longer stands."""
        return self._doubted.is_set()

    def doubt(self, *, afresh: bool = False) -> None:
        """The broker that proved this level is gone, or (`afresh`) could not keep its word."""
        self._afresh |= afresh
        self._doubted.set()

    async def prove(self) -> None:
        """Ask the broker, or a new one in place of one that could not keep its word.

        A failure is a level too: none.
        """
        self._doubted.clear()
        self._next = ""
        afresh, self._afresh = self._afresh, False
        try:
            self._ready = await (self._broker.renew() if afresh else self._broker.ready())
            self._problem = ""
        except Problem as problem:
            self._ready, self._problem = None, str(problem)
            _LOG.warning("the broker could not prove its sandbox: %s", problem)
        self._examined.set()
        if self.runs:
            self._retry = self._retry.succeeded()
        else:
            self._retry = self._retry.failed()
        self._changed()

    async def watch(self) -> None:
        """Prove, and prove again whenever it is in doubt or was not enough. Never returns."""
        while True:
            await self.prove()
            if self.level != NO_SANDBOX:
                await self._doubted.wait()
                continue
            delay = self._retry.delay(self._entropy)
            self._next = f"the self-test is tried again {delay:.0f} s after the last one"
            _LOG.info("level %s: %s", self.level, "; ".join(self.reasons))
            self._changed()
            await asyncio.sleep(delay)
            self._afresh = True
