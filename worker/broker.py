"""The agent's handle on its broker process: start, ask, answer for keys, replace after a crash.

The broker gets no key of ours and no environment; it dies with us (its channel closes) and we
survive it: a broker that ends in the middle of a unit is one `BrokerLost`, and the next request
starts another one, with back-off.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from capsule_runtime.broker.errors import BrokerLost, ConsentWithdrawn, MessageRefused
from capsule_runtime.broker.messages import (
    Advanced,
    Cancel,
    Conclude,
    Concluded,
    Contribute,
    Contributed,
    Failed,
    Inspect,
    Inspected,
    Key,
    KeyWanted,
    Ready,
    Reserved,
    Setup,
    Withdraw,
)
from trust.clock import Clock
from trust.entropy import Entropy
from trust.ids import CapsuleId
from worker import broker_program
from worker.broker_life import Answer, BrokerLife, RunFailed, begin, confused
from worker.exchange import BackOff
from worker.journal import Journal, SeenLedger
from worker.last_bundle import MAXIMUM_KEPT_BYTES
from worker.ports import OnProgress

_LOG = logging.getLogger("cadastre.worker.broker")
# A broker that crashes at once would otherwise be started in a tight loop.
RESTART = BackOff(minimum=0.5, maximum=60.0)

KeySource = Callable[[CapsuleId], bytes | None]


@dataclass(frozen=True)
class _Proven:
    life: BrokerLife
    ready: Ready


class BrokerProcess:
    """One broker at a time; one run at a time, in the caller's order."""

    def __init__(
        self,
        setup: Callable[[], Setup],
        journal: Journal,
        keys: KeySource,
        *,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """`keys` unwraps one capsule's key, or None; it is asked in the middle of a unit only."""
        self._setup = setup
        self._journal = journal
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._proven: _Proven | None = None
        self._turn = asyncio.Lock()
        self._runs = 0
        self._running: int | None = None
        self._withdrawals = 0
        self._tokens = b""
        self._restart = RESTART
        # Of the newest bundle, which every round of a campaign runs: what its bytes declare. This
        # broker's word: should it have been taken over, the next one's is asked for.
        self._inspected: tuple[bytes, Inspected] | None = None

    @property
    def process_id(self) -> int | None:
        """The broker's process id, for measurements."""
        return self._proven.life.process_id if self._proven is not None else None

    async def ready(self) -> Ready:
        missing = broker_program.missing_libraries()
        if missing:
            return broker_program.without_capsules(missing)
        async with self._turn:
            return (await self._up()).ready

    async def renew(self) -> Ready:
        async with self._turn:
            with contextlib.suppress(TimeoutError):
                await self.stop()
        return await self.ready()

    async def inspect(self, bundle: bytes) -> Inspected:
        if self._inspected is not None and self._inspected[0] == bundle:
            return self._inspected[1]
        run = self._next()
        answer, _ = await self._request(Inspect(run), (bundle,), None)
        if not isinstance(answer, Inspected):
            raise confused(answer)
        if len(bundle) <= MAXIMUM_KEPT_BYTES:
            self._inspected = bundle, answer
        return answer

    async def contribute(
        self,
        order: Contribute,
        bundle: bytes,
        parameters: bytes,
        progress: OnProgress,
        public: bytes | None = None,
    ) -> tuple[Contributed, bytes, bytes | None]:
        request = replace(order, run=self._next())
        beside = (bundle, parameters) if public is None else (bundle, parameters, public)
        answer, attachments = await self._request(request, beside, progress)
        halves = 1 if order.sealing is None else 2
        if not isinstance(answer, Contributed) or len(attachments) != halves:
            raise confused(answer)
        if answer.withdrawals != self._withdrawals:
            raise ConsentWithdrawn(
                "an owner withdrew while the unit's answer was on its way",
                remedy="the unit starts again with the present consents",
            )
        return answer, attachments[0], attachments[1] if halves == 2 else None

    async def conclude(self, bundle: bytes, parameters: bytes, aggregate: bytes) -> bytes:
        run = self._next()
        answer, attachments = await self._request(
            Conclude(run), (bundle, parameters, aggregate), None
        )
        if not isinstance(answer, Concluded) or len(attachments) != 1:
            raise confused(answer)
        return attachments[0]

    def cancel(self) -> None:
        if self._proven is not None and self._running is not None:
            with contextlib.suppress(BrokerLost):
                self._proven.life.say(Cancel(self._running))

    def withdraw(self, tokens: bytes) -> None:
        if tokens == self._tokens:
            return
        self._tokens = tokens
        self._withdrawals += 1
        if self._proven is not None:
            with contextlib.suppress(BrokerLost):
                self._proven.life.say(Withdraw(self._withdrawals), (tokens,))

    async def stop(self) -> None:
        proven, self._proven, self._inspected = self._proven, None, None
        if proven is not None:
            await proven.life.end()

    def _next(self) -> int:
        self._runs += 1
        return self._runs

    async def _request(
        self,
        request: Inspect | Contribute | Conclude,
        attachments: tuple[bytes, ...],
        progress: OnProgress | None,
    ) -> Answer:
        async with self._turn:
            life = (await self._up()).life
            self._running = request.run
            try:
                life.say(request, attachments)
                return await self._converse(life, request, progress)
            except (BrokerLost, MessageRefused):
                await self._lose()
                raise
            except asyncio.CancelledError:
                # Nobody waits for the answer any more; it must not be taken for the next one's.
                await self.stop()
                raise
            finally:
                self._running = None

    async def _converse(
        self,
        life: BrokerLife,
        request: Inspect | Contribute | Conclude,
        progress: OnProgress | None,
    ) -> Answer:
        run = request.run
        # An inspection reads bytes that nobody has verified yet; should they take the broker
        # over, it is not given one key for the asking.
        contributing = isinstance(request, Contribute)
        while True:
            message, attachments = await life.hear()
            match message:
                case KeyWanted() if message.run == run and contributing:
                    key = self._keys(message.capsule)
                    life.say(Key(run, message.capsule, key))
                    del key
                case Reserved() if message.run == run:
                    seen = SeenLedger(message.ledger_counter, message.ledger_hash)
                    self._journal.keep_ledger(seen)
                case Advanced() if message.run == run:
                    if progress is not None:
                        progress(message.done, message.total)
                case Failed() if message.run == run:
                    raise RunFailed(message)
                case Inspected() | Contributed() | Concluded() if message.run == run:
                    self._restart = self._restart.succeeded()
                    return message, attachments
                case _:
                    raise confused(message)

    async def _up(self) -> _Proven:
        if self._proven is not None and not self._proven.life.over:
            return self._proven
        if self._proven is not None:
            await self._lose()
        delay = self._restart.delay(self._entropy)
        if delay:
            await asyncio.sleep(delay)
        try:
            self._proven = await self._start()
        except RunFailed:
            self._restart = self._restart.failed()
            raise
        except (BrokerLost, MessageRefused, TimeoutError, OSError) as error:
            self._restart = self._restart.failed()
            raise BrokerLost(
                f"the broker did not start: {error}",
                remedy="the worker's log has the broker's own words; it is tried again",
            ) from error
        if self._tokens:
            self._proven.life.say(Withdraw(self._withdrawals), (self._tokens,))
        return self._proven

    async def _start(self) -> _Proven:
        life = await begin()
        try:
            ready = await life.prove(self._setup(), self._journal.charged_rounds())
            self._journal.keep_ledger(SeenLedger(ready.ledger_counter, ready.ledger_hash))
        except BaseException:
            # Nobody will hold it: each further try would leave one more behind.
            with contextlib.suppress(TimeoutError):
                await life.end()
            raise
        _LOG.info("broker started at level %s: %s", ready.level, "; ".join(ready.reasons) or "all")
        return _Proven(life, ready)

    async def _lose(self) -> None:
        self._restart = self._restart.failed()
        with contextlib.suppress(TimeoutError):
            await self.stop()
