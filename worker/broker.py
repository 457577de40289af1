"""The agent's handle on its broker process: start, ask, answer for keys, replace after a crash.

The broker gets no key of ours and no environment; it dies with us (its channel closes) and we
survive it: a broker that ends in the middle of a unit is one `BrokerLost`, and the next request
starts another one, with back-off.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace

from capsule_runtime.broker.channel import Channel
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
    Message,
    Ready,
    Reserved,
    Setup,
    Withdraw,
)
from trust.clock import Clock
from trust.entropy import Entropy
from trust.ids import CapsuleId
from trust.problem import Kind, Problem
from worker import broker_program
from worker.exchange import BackOff
from worker.journal import Journal, SeenLedger
from worker.ports import OnProgress

_LOG = logging.getLogger("cadastre.worker.broker")
# The self-test starts several zygotes; a loaded small machine took 15 s.
START_SECONDS = 120.0
STOP_SECONDS = 2.0
# A broker that crashes at once would otherwise be started in a tight loop.
RESTART = BackOff(minimum=0.5, maximum=60.0)

# Messages that wait to be read: an answer and some progress. Beyond it they wait in the kernel.
MAXIMUM_INBOX = 64

KeySource = Callable[[CapsuleId], bytes | None]
Answer = tuple[Message, tuple[bytes, ...]]


class RunFailed(Problem):
    """The broker's typed refusal, with the broker's own code, kind and words."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.sentence, remedy=failed.remedy)
        # Instance attributes on purpose: the refusal was raised in another process.
        self.code = failed.code  # type: ignore[misc]
        self.kind = Kind(failed.kind)  # type: ignore[misc]
        self.retryable = failed.retryable  # type: ignore[misc]


@dataclass
class _Started:
    process: asyncio.subprocess.Process
    channel: Channel
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
        self._started: _Started | None = None
        self._turn = asyncio.Lock()
        self._runs = 0
        self._running: int | None = None
        self._withdrawals = 0
        self._tokens = b""
        self._inbox: asyncio.Queue[Answer | BaseException] = asyncio.Queue()
        self._restart = RESTART

    @property
    def process_id(self) -> int | None:
        """The broker's process id, for measurements."""
        return self._started.process.pid if self._started is not None else None

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
        run = self._next()
        answer, _ = await self._request(Inspect(run), (bundle,), None)
        if not isinstance(answer, Inspected):
            raise _confused(answer)
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
            raise _confused(answer)
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
            raise _confused(answer)
        return attachments[0]

    def cancel(self) -> None:
        if self._started is not None and self._running is not None:
            with contextlib.suppress(BrokerLost):
                self._started.channel.send(Cancel(self._running))

    def withdraw(self, tokens: bytes) -> None:
        if tokens == self._tokens:
            return
        self._tokens = tokens
        self._withdrawals += 1
        if self._started is not None:
            with contextlib.suppress(BrokerLost):
                self._started.channel.send(Withdraw(self._withdrawals), (tokens,))

    async def stop(self) -> None:
        started, self._started = self._started, None
        if started is None:
            return
        asyncio.get_running_loop().remove_reader(started.channel.fileno())
        started.channel.close()
        if started.process.returncode is None:
            # It holds nothing that is not durable already, so there is nothing to wait for.
            with contextlib.suppress(ProcessLookupError):
                started.process.kill()
            async with asyncio.timeout(STOP_SECONDS):
                await started.process.wait()

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
            started = await self._up()
            self._running = request.run
            try:
                started.channel.send(request, attachments)
                return await self._converse(started, request, progress)
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
        started: _Started,
        request: Inspect | Contribute | Conclude,
        progress: OnProgress | None,
    ) -> Answer:
        run = request.run
        # An inspection reads bytes that nobody has verified yet; should they take the broker
        # over, it is not given one key for the asking.
        contributing = isinstance(request, Contribute)
        while True:
            message, attachments = await self._next_message()
            match message:
                case KeyWanted() if message.run == run and contributing:
                    key = self._keys(message.capsule)
                    started.channel.send(Key(run, message.capsule, key))
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
                    raise _confused(message)

    async def _next_message(self) -> Answer:
        item = await self._inbox.get()
        if isinstance(item, BaseException):
            raise item
        return item

    async def _up(self) -> _Started:
        if self._started is not None and self._started.process.returncode is None:
            return self._started
        if self._started is not None:
            await self._lose()
        delay = self._restart.delay(self._entropy)
        if delay:
            await asyncio.sleep(delay)
        self._inbox = asyncio.Queue()
        try:
            self._started = await self._start()
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
            self._started.channel.send(Withdraw(self._withdrawals), (self._tokens,))
        return self._started

    async def _start(self) -> _Started:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel = Channel(ours)
        try:
            with theirs:
                process = await broker_program.spawn(theirs.fileno())
        except BaseException:
            channel.close()
            raise
        loop = asyncio.get_running_loop()
        loop.add_reader(channel.fileno(), self._read, channel)
        try:
            async with asyncio.timeout(START_SECONDS):
                channel.send(self._setup(), (self._journal.charged_rounds(),))
                first, _ = await self._next_message()
            ready = _expect_ready(first)
        except BaseException:
            loop.remove_reader(channel.fileno())
            channel.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        self._journal.keep_ledger(SeenLedger(ready.ledger_counter, ready.ledger_hash))
        _LOG.info("broker started at level %s: %s", ready.level, "; ".join(ready.reasons) or "all")
        return _Started(process, channel, ready)

    def _read(self, channel: Channel) -> None:
        """One packet is there: take it without blocking the loop."""
        loop = asyncio.get_running_loop()
        if self._inbox.qsize() >= MAXIMUM_INBOX:
            # Nobody asked for so much. Whoever reads next finds it out of turn and ends the broker.
            loop.remove_reader(channel.fileno())
            return
        try:
            self._inbox.put_nowait(channel.receive())
        except (BrokerLost, MessageRefused) as error:
            loop.remove_reader(channel.fileno())
            self._inbox.put_nowait(error)
        except OSError as error:
            # A descriptor that is no memory: a pipe, a directory.
            loop.remove_reader(channel.fileno())
            self._inbox.put_nowait(
                MessageRefused(f"an attachment cannot be read: {error.strerror}")
            )

    async def _lose(self) -> None:
        self._restart = self._restart.failed()
        with contextlib.suppress(TimeoutError):
            await self.stop()


def _expect_ready(message: Message) -> Ready:
    if isinstance(message, Failed):
        raise RunFailed(message)
    if not isinstance(message, Ready):
        raise _confused(message)
    return message


def _confused(message: Message) -> MessageRefused:
    return MessageRefused(f"the broker said {type(message).__name__} out of turn")
