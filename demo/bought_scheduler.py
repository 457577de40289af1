"""A scheduler that somebody bought: it has the real keys and serves altered algorithms.

Run as its own process by the demo. Everything is the real scheduler, except that a blob that
holds a bundle leaves with one byte changed and without the check that would notice.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from durable.blobs import BlobFolder
from scheduler.program import serve
from scheduler.state import State
from trust.ids import Digest

_HONEST_GET = BlobFolder.get
# A bundle is a tar archive; the magic stands in its first header.
_ARCHIVE = b"ustar"


def altered(folder: BlobFolder, digest: Digest) -> bytes:
    """The blob, or a bundle with one changed letter."""
    data = _HONEST_GET(folder, digest)
    if data[257:262] != _ARCHIVE:
        return data
    return data.replace(b"def contribute(", b"def contribuTe(", 1)


if __name__ == "__main__":
    BlobFolder.get = altered  # type: ignore[method-assign,assignment]
    asyncio.run(serve(State(Path(sys.argv[1]))))
