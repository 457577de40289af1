"""One life of the broker: its process, its end of the channel, and what it said and nobody read.

It begins with the broker's proof of its sandbox and ends with its process. A broker gets no key
of ours for it, and dies with us when the channel closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from capsule_runtime.broker.channel import Channel
from capsule_runtime.broker.errors import BrokerLost, MessageRefused
from capsule_runtime.broker.messages import Failed, Message, Ready, Setup
from trust.problem import Kind, Problem
from worker import broker_program

# The self-test starts several zygotes; a loaded small machine took 15 s.
START_SECONDS = 120.0
STOP_SECONDS = 2.0
# Messages that wait to be read: an answer and some progress. Beyond it they wait in the kernel.
MAXIMUM_INBOX = 64

Answer = tuple[Message, tuple[bytes, ...]]


class RunFailed(Problem):
    """The broker's typed refusal, with the broker's own code, kind and words."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.sentence, remedy=failed.remedy)
        # Instance attributes on purpose: the refusal was raised in another process.
        self.code = failed.code  # type: ignore[misc]
        self.kind = Kind(failed.kind)  # type: ignore[misc]
        self.retryable = failed.retryable  # type: ignore[misc]


async def begin() -> BrokerLife:
    """A new broker, which has proved nothing yet. Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours)
    try:
        with theirs:
            process = await broker_program.spawn(theirs.fileno())
    except BaseException:
        channel.close()
        raise
    return BrokerLife(process, channel)


def confused(message: Message) -> MessageRefused:
    """What a broker that speaks out of turn ends with."""
    return MessageRefused(f"the broker said {type(message).__name__} out of turn")


class BrokerLife:
    """A broker that runs: say, and hear what it answers, until it is ended."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel) -> None:
        """`process` serves the other end of `channel`, which is read from now on."""
        self._process = process
        self._channel = channel
        self._inbox: asyncio.Queue[Answer | BaseException] = asyncio.Queue()
        asyncio.get_running_loop().add_reader(channel.fileno(), self._read)

    @property
    def process_id(self) -> int:
        """The broker's process id, for measurements."""
        return self._process.pid

    @property
    def over(self) -> bool:
        """Whether its process has ended."""
        return self._process.returncode is not None

    @property
    def unread(self) -> int:
        """How many messages wait here, at most MAXIMUM_INBOX."""
        return self._inbox.qsize()

    def say(self, message: Message, attachments: tuple[bytes, ...] = ()) -> None:
        """Send one message. Raises BrokerLost."""
        self._channel.send(message, attachments)

    async def hear(self) -> Answer:
        """The next message, in order. Raises BrokerLost, MessageRefused."""
        item = await self._inbox.get()
        if isinstance(item, BaseException):
            raise item
        return item

    async def prove(self, setup: Setup, charged: bytes) -> Ready:
        """What its self-test finds; `charged` are the rounds that were charged already.

        Raises RunFailed, BrokerLost, MessageRefused, TimeoutError.
        """
        async with asyncio.timeout(START_SECONDS):
            self.say(setup, (charged,))
            first, _ = await self.hear()
        if isinstance(first, Failed):
            raise RunFailed(first)
        if not isinstance(first, Ready):
            raise confused(first)
        return first

    async def end(self) -> None:
        """Kill it and wait for its end: it holds nothing that is not durable already."""
        asyncio.get_running_loop().remove_reader(self._channel.fileno())
        self._channel.close()
        if not self.over:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()

    def _read(self) -> None:
        """One packet is there: take it without blocking the loop."""
        loop = asyncio.get_running_loop()
        if self.unread >= MAXIMUM_INBOX:
            # Nobody asked for so much. Whoever reads next finds it out of turn and ends the broker.
            loop.remove_reader(self._channel.fileno())
            return
        try:
            self._inbox.put_nowait(self._channel.receive())
        except (BrokerLost, MessageRefused) as error:
            loop.remove_reader(self._channel.fileno())
            self._inbox.put_nowait(error)
        except OSError as error:
            # A descriptor that is no memory: a pipe, a directory.
            loop.remove_reader(self._channel.fileno())
            self._inbox.put_nowait(
                MessageRefused(f"an attachment cannot be read: {error.strerror}")
            )
