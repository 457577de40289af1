"""Pages run in a thread of their own; what they do is done where the scheduler's bell rings."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Hands:
    """Runs use cases in the scheduler's event loop, or in the caller's where that is None."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop

    async def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns. A visitor who goes away does not stop it halfway."""
        if self._loop is None or self._loop is asyncio.get_running_loop():
            return await asyncio.shield(work)
        done = asyncio.run_coroutine_threadsafe(work, self._loop)
        return await asyncio.shield(asyncio.wrap_future(done))


def here() -> Hands:
    """Hands in the event loop that runs now; in the caller's where none does."""
    try:
        return Hands(asyncio.get_running_loop())
    except RuntimeError:
        return Hands()
