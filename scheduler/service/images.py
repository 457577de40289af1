"""The runtime images of a worker as its row keeps them: the base's, and one per heavier runtime."""

from __future__ import annotations

from collections.abc import Collection

from jobs.libraries import BASE, runtime_of
from scheduler.store.tables import WorkerRow
from trust.documents.reporting import Capacity
from trust.ids import Digest


def store(worker: WorkerRow, capacity: Capacity) -> None:
    """Keep what the worker claims now."""
    worker.image = str(capacity.image)
    pairs = sorted(capacity.images.items())
    worker.images = " ".join(f"{name}={image}" for name, image in pairs)


def image_for(worker: WorkerRow, libraries: Collection[str]) -> Digest | None:
    """The image that a bundle with these libraries runs in there; None where there is none."""
    name = runtime_of(libraries)
    if name == BASE:
        return None if worker.image is None else Digest(worker.image)
    found = dict(entry.split("=", 1) for entry in worker.images.split())
    return Digest(found[name]) if name in found else None
