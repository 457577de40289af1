"""The socket pair between agent and broker: packets with sealed memory beside them."""

from __future__ import annotations

import fcntl
import os
import select
import socket
from collections.abc import Sequence

from capsule_runtime.broker.errors import BrokerLost, MessageRefused
from capsule_runtime.broker.messages import MAXIMUM_PACKET_BYTES, Message, decode, encode

# A Conclude has the most: bundle, parameters, aggregate.
MAXIMUM_ATTACHMENTS = 3
# A column-format blob has at most 64 MiB, a bundle far less.
MAXIMUM_ATTACHMENT_BYTES = 72 * 1024 * 1024

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE

Received = tuple[Message, tuple[bytes, ...]]


class Channel:
    """One end. `send` may block for as long as the other end is busy; it never loses a packet."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def fileno(self) -> int:
        """The descriptor, to wait on."""
        return self._socket.fileno()

    def send(self, message: Message, attachments: Sequence[bytes] = ()) -> None:
        """Send one message with its attachments. Raises BrokerLost when the other end is gone."""
        descriptors = [_sealed(content) for content in attachments]
        try:
            socket.send_fds(self._socket, [encode(message)], descriptors)
        except OSError as error:
            raise _lost() from error
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def receive(self) -> Received:
        """The next message. Raises BrokerLost at the end, MessageRefused on anything odd."""
        try:
            packet, descriptors, flags, _ = socket.recv_fds(
                self._socket, MAXIMUM_PACKET_BYTES, MAXIMUM_ATTACHMENTS
            )
        except OSError as error:
            raise _lost() from error
        try:
            if not packet:
                raise _lost()
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise MessageRefused("a packet between agent and broker was cut")
            return decode(packet), tuple(_read(descriptor) for descriptor in descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def waiting(self, seconds: float = 0.0) -> bool:
        """Whether a message is there, or comes within `seconds`."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return bool(poller.poll(max(0.0, seconds) * 1000))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _sealed(content: bytes) -> int:
    """Memory that nobody can change any more.

    Written here so that the agent, which sends attachments, need not load the sandbox: 3 MiB
    of an idle desktop's memory.
    """
    descriptor = os.memfd_create("attachment", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _read(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    if size > MAXIMUM_ATTACHMENT_BYTES:
        raise MessageRefused(f"an attachment of {size} bytes is too large")
    content = os.pread(descriptor, size, 0)
    if len(content) != size:
        raise MessageRefused("an attachment could not be read whole")
    return content


def _lost() -> BrokerLost:
    return BrokerLost(
        "the other end of the broker's channel is gone",
        remedy="the agent starts the broker again by itself; its log says why it ended",
    )
