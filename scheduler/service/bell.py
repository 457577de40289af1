"""Waking long polls: whoever waits on a topic hears of the next ring, and of none before it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping


class Bell:
    """Topics are texts such as a worker's or a campaign's id. For one event loop only."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._condition = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the program is stopping: nobody should wait any more."""
        return self._closed

    def heard(self, *topics: str) -> Mapping[str, int]:
        """How often each of `topics` rang so far: take it before looking, hand it to `wait`."""
        return {topic: self._counts.get(topic, 0) for topic in topics}

    def ring(self, topics: Iterable[str]) -> None:
        """Wake everybody who waits on one of `topics`."""
        ringing = set(topics)
        if not ringing:
            return
        for topic in ringing:
            self._counts[topic] = self._counts.get(topic, 0) + 1
        self._notify()

    def close(self) -> None:
        """Wake everybody for good."""
        self._closed = True
        self._notify()

    async def wait(self, heard: Mapping[str, int], seconds: float) -> bool:
        """Return True once a topic rang more often than `heard` says, False after `seconds`."""

        def rang() -> bool:
            return self._closed or self.heard(*heard) != heard

        if rang():
            return True
        if seconds <= 0:
            return False
        try:
            async with asyncio.timeout(seconds), self._condition:
                await self._condition.wait_for(rang)
        except TimeoutError:
            return False
        return True

    def _notify(self) -> None:
        async def announce() -> None:
            async with self._condition:
                self._condition.notify_all()

        task = asyncio.get_running_loop().create_task(announce())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def for_worker(worker: str) -> str:
    """Rings when there may be news for this worker."""
    return f"worker {worker}"


def for_exclusion(member: str) -> str:
    """Rings when this member was excluded."""
    return f"exclusion of {member}"


def for_campaign(campaign: str) -> str:
    """Rings when a view of this campaign changed."""
    return f"campaign {campaign}"


ANY_WORKER = "any worker"  # rings when a unit for whoever comes is ready
PACE = "pace"  # rings when the clockwork should look at once
