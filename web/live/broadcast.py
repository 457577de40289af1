"""One fragment for many readers: rendered once per tick and language, the same bytes for all.

Everything here runs on the web server's event loop; rendering, which may read a database, runs in
a thread. A reader holds at most one frame that it did not get yet: a newer one takes its place,
so that a slow line skips to the newest state and never makes memory grow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.requests import Request

from trust.clock import Clock
from web import languages, visitors
from web.errors import TooManyReaders
from web.languages import Language
from web.live import frames
from web.live.places import Places
from web.live.stream import EventStream, Subscription

INTERVAL = 1.0  # seconds between two ticks
BEAT = 5.0  # seconds without a change after which readers are told that nothing changed
MOST_READERS = 500
Render = Callable[[str, Language], str]
Pace = Callable[[float], Awaitable[None]]
_log = logging.getLogger("cadastre.web")


@dataclass
class Channel:
    """The readers of one fragment in one language, and what they saw last."""

    readers: set[Subscription] = field(default_factory=set)
    html: str | None = None
    frame: bytes = b""
    sent_at: float = 0.0  # boot time
    failing: bool = False
    task: asyncio.Task[None] | None = None


class Broadcast:
    """The live form of one template. `render(key, language)` gives its HTML.

    `key` tells fragments of one kind apart (a campaign's id); a page without one uses "". A
    failing `render` is logged once and sends nothing: readers say by themselves since when they
    are frozen, and go on when it works again.
    """

    def __init__(
        self,
        render: Render,
        clock: Clock,
        *,
        version: str = "",
        interval: float = INTERVAL,
        most: int = MOST_READERS,
        pace: Pace = asyncio.sleep,
    ) -> None:
        self._render = render
        self._clock = clock
        self._version = version
        self._interval = interval
        self._most = most
        self._pace = pace
        self._channels: dict[tuple[str, Language], Channel] = {}
        self._places = Places()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def readers(self) -> int:
        """How many pages follow it."""
        return sum(len(channel.readers) for channel in self._channels.values())

    def stream(self, request: Request, key: str = "") -> EventStream:
        """The endless answer to a page that follows `key`."""
        language = languages.of(request)
        who = visitors.of(request).tag
        return EventStream(
            lambda: self.subscribe(key, language, who),
            lambda reader: self.leave(key, language, reader),
            frames.hello(self._version, language),
        )

    def subscribe(self, key: str, language: Language, who: str = "") -> Subscription:
        """A new reader, who gets the newest frame at once. Raises TooManyReaders.

        `who` tells visitors apart, since each has a share of the places; "" is not counted.
        """
        if self._closed or self.readers >= self._most:
            raise TooManyReaders
        self._places.take(who, (key, language))
        self._loop = asyncio.get_running_loop()
        channel = self._channels.setdefault((key, language), Channel())
        reader = Subscription(who)
        channel.readers.add(reader)
        if channel.frame:
            reader.offer(channel.frame)
        if channel.task is None:
            channel.task = self._loop.create_task(self._run(key, language))
        return reader

    def leave(self, key: str, language: Language, reader: Subscription) -> None:
        """The reader went away; with the last one the fragment is no longer rendered."""
        channel = self._channels.get((key, language))
        if channel is None or reader not in channel.readers:
            return
        channel.readers.remove(reader)
        self._places.give_back(reader.who, (key, language))
        if not channel.readers:
            del self._channels[key, language]
            if channel.task is not None:
                channel.task.cancel()

    async def tick(self, key: str, language: Language) -> None:
        """Render once; send what changed, or a beat when nothing did for a while."""
        channel = self._channels[key, language]
        try:
            html = await asyncio.to_thread(self._render, key, language)
        except Exception:  # noqa: BLE001 - whatever it is: readers are frozen and say so
            if not channel.failing:
                _log.exception("the live fragment %r cannot be rendered", key)
            channel.failing = True
            return
        recovered, channel.failing = channel.failing, False
        now, moment = self._clock.boottime(), self._clock.now()
        if html != channel.html or recovered:
            channel.html, channel.frame, channel.sent_at = html, frames.frame(html, moment), now
            for reader in tuple(channel.readers):
                reader.offer(channel.frame)
        elif now - channel.sent_at >= BEAT:
            channel.sent_at = now
            beat = frames.beat(moment)
            for reader in tuple(channel.readers):
                reader.remind(beat)

    def close(self) -> None:
        """End every stream; may be called from any thread, also before there was any."""
        self._closed = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._close)

    def _close(self) -> None:
        for channel in self._channels.values():
            for reader in channel.readers:
                reader.close()

    async def _run(self, key: str, language: Language) -> None:
        while True:
            await self.tick(key, language)
            await self._pace(self._interval)
