"""The images of this installation, hashed once for the whole suite and all that run it.

A worker hashes what its sandboxes hold when it first starts: 900 MB with torch, four seconds of a
core. Tests that are about something else give their new workers the list that an earlier one
made. Each worker compares it with the files' appearance (capsule_runtime.sandbox.known_images),
so a list of another installation, or of files that changed since, is of no use to it.
"""

from __future__ import annotations

import fcntl
import functools
import sys
from pathlib import Path

from capsule_runtime.broker.runtimes import find_layouts
from capsule_runtime.sandbox.known_images import NAME, KnownImages
from jobs.libraries import BASE, LIBRARIES

# It goes with the environment whose files it knows.
FOLDER = Path(sys.prefix) / "known-images"


@functools.cache
def known_images() -> bytes:
    """The list as a worker's state directory holds it; one process at a time makes it."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = KnownImages(FOLDER)
        for name, layout in find_layouts(LIBRARIES).items():
            if name != BASE:  # which every worker hashes each time
                known.digest(layout)
    return (FOLDER / NAME).read_bytes() if (FOLDER / NAME).exists() else b"{}"


def tell(state: Path) -> None:
    """Give the list to a worker that has not started yet."""
    (state / NAME).write_bytes(known_images())
