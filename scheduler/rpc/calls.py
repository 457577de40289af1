"""A call while it lasts: a caller may be excluded in the middle of a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeVar

from scheduler.service.exclusion import DenyList
from wire.server import current_peer

# grpc's context objects are untyped for generated servicers.
Context = Any
T = TypeVar("T")


async def while_admitted(deny: DenyList, items: AsyncIterator[T]) -> AsyncIterator[T]:
    """`items`, until the caller is excluded: the gate asked only once. Raises Denied."""
    peer = current_peer()
    async for item in items:
        deny.require_admitted(peer)
        yield item
