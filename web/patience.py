"""HTTP for a server that shares its process with something more important than pages.

A stranger may open connections and say nothing, or a letter a minute, or never read what they
asked for. Each such connection is a file and some memory of the program that also answers the
territory's machines: here each waits for so long and no longer, and there are so many at most.
"""

from __future__ import annotations

import asyncio
import resource
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# From a request's first byte, or from the connection's beginning, to the request's last byte: the
# largest form takes so long at 70 kbit/s.
REQUEST_SECONDS = 30.0
# Until so much of an answer was read that the next part can be sent; live streams ask for less.
ANSWER_SECONDS = 120.0
_UNLIMITED = 10_000  # connections, where nobody limits the process's files
_THEIRS_TO_SAY = (h11.IDLE, h11.SEND_BODY)


def half_of_files() -> int:
    """Connections that leave the other half of this process's files to whatever else it does."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if soft == resource.RLIM_INFINITY else max(1, soft // 2)


@dataclass(frozen=True)
class Patience:
    """How long a connection is waited for, in seconds, and how many there may be."""

    request: float = REQUEST_SECONDS
    answer: float = ANSWER_SECONDS
    connections: int = 0  # 0: half of the files that the process may open

    def protocol(self) -> type[asyncio.Protocol]:
        """What uvicorn speaks HTTP/1.1 with."""
        return type("Impatient", (_Impatient,), {"patience": self})


class _Impatient(H11Protocol):
    patience = Patience()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._most = self.patience.connections or half_of_files()
        self._running: dict[str, asyncio.TimerHandle] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._most:
            transport.abort()
        else:
            self._expect("request", self.patience.request)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state in _THEIRS_TO_SAY:
            self._expect("request", self.patience.request)
        else:
            self._came("request")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect("answer", self.patience.answer)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._came("answer")

    def connection_lost(self, exc: Exception | None) -> None:
        self._came("request")
        self._came("answer")
        super().connection_lost(exc)

    def _expect(self, what: str, seconds: float) -> None:
        """Counts from the first call on: further ones before it came lengthen nothing."""
        if what not in self._running:
            self._running[what] = self.loop.call_later(seconds, self.transport.abort)

    def _came(self, what: str) -> None:
        if timer := self._running.pop(what, None):
            timer.cancel()
