"""A scheduler that somebody bought: it has the real keys and serves altered algorithms.

Run as its own process by the demo, with the state directory and the helper's address. Everything
is the real scheduler, except that a bundle leaves for the workers with one letter changed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from scheduler.program import serve
from scheduler.service.transfers import Transfers
from scheduler.state import State
from trust.certificates import Peer
from trust.ids import Digest

_HONEST_GET = Transfers.get
# A bundle is a tar archive; the magic stands in its first header.
_ARCHIVE = b"ustar"


async def altered(
    transfers: Transfers, peer: Peer, digest: Digest, offset: int
) -> AsyncIterator[bytes]:
    """The blob, or a bundle with one changed letter."""
    data = b"".join([part async for part in _HONEST_GET(transfers, peer, digest, offset)])
    if data[257:262] == _ARCHIVE:
        data = data.replace(b"def contribute(", b"def contribuTe(", 1)
    yield data


if __name__ == "__main__":
    Transfers.get = altered  # type: ignore[method-assign,assignment]
    asyncio.run(serve(State(Path(sys.argv[1])), helper=sys.argv[2]))
