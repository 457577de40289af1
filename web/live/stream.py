"""One reader's stream: the newest frame that it did not get yet, and no other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from web.live.frames import MEDIA_TYPE

# A stream ends by itself, so that a session that was revoked is found out when the page asks again.
LIFE = 600.0  # seconds
STALL = 20.0  # seconds that one message may take to leave; then the reader is given up


class Subscription:
    """What one reader is still to get: nothing, a beat, or the newest frame."""

    def __init__(self, who: str = "") -> None:
        self.who = who
        self._pending: bytes | None = None
        self._is_frame = False
        self._changed = asyncio.Event()
        self._closed = False
        self.skipped = 0

    def offer(self, frame: bytes) -> None:
        """A newer frame; one that still waits is forgotten."""
        self.skipped += self._pending is not None and self._is_frame
        self._pending, self._is_frame = frame, True
        self._changed.set()

    def remind(self, beat: bytes) -> None:
        """A beat, unless something is waiting anyway."""
        if self._pending is None:
            self._pending, self._is_frame = beat, False
            self._changed.set()

    def close(self) -> None:
        """No more; what waits is forgotten."""
        self._closed = True
        self._changed.set()

    async def next(self) -> bytes | None:
        """The newest message, as soon as there is one; None when there will be none."""
        await self._changed.wait()
        if self._closed:
            return None
        self._changed.clear()
        message, self._pending = self._pending, None
        return message


class EventStream(Response):
    """An answer that ends when its reader leaves or stalls, the server stops, or its life ends."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        subscribe: Callable[[], Subscription],
        leave: Callable[[Subscription], None],
        hello: bytes,
        *,
        life: float = LIFE,
        stall: float = STALL,
    ) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"}, media_type=MEDIA_TYPE)
        del self.headers["content-length"]  # of the empty body that Response took it to have
        self._subscribe, self._leave = subscribe, leave
        self._hello = hello
        self._life, self._stall = life, stall

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        reader = self._subscribe()
        loop = asyncio.get_running_loop()
        end = loop.call_later(self._life, reader.close)
        gone = loop.create_task(_until_gone(receive, reader))
        try:
            with contextlib.suppress(TimeoutError, OSError):
                await self._send(send, reader)
        finally:
            end.cancel()
            gone.cancel()
            self._leave(reader)

    async def _send(self, send: Send, reader: Subscription) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        message: bytes | None = self._hello
        while message is not None:
            async with asyncio.timeout(self._stall):
                await send({"type": "http.response.body", "body": message, "more_body": True})
            message = await reader.next()
        async with asyncio.timeout(self._stall):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive, reader: Subscription) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    reader.close()
