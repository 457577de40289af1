"""Sealed memory: how a job and an owner's columns reach the child without a path or a copy.

A memfd with all seals can be neither grown, shrunk nor written by anybody who holds it, so one
job serves every capsule of a round and no capsule can leave anything in it for the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
from typing import Self

from capsule_runtime.errors import JobRefused
from capsule_runtime.sandbox.model import Job

SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
# The column format's own limit (protection/columns.py); bounds what a child copies.
MAXIMUM_DATA_BYTES = 64 * 1024 * 1024


def sealed(content: bytes, name: str) -> int:
    """A new descriptor of sealed memory that holds `content`; the caller closes it."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def sealed_data(content: bytes) -> int:
    """Sealed memory for one capsule's columns. Raises JobRefused above MAXIMUM_DATA_BYTES."""
    if len(content) > MAXIMUM_DATA_BYTES:
        raise JobRefused(
            f"The capsule's tables take {len(content)} bytes.",
            remedy=f"A capsule may hold {MAXIMUM_DATA_BYTES} bytes per run; seal fewer rows.",
        )
    return sealed(content, "data")


def pack(job: Job) -> bytes:
    """`u32 header length + JSON header + parameters + state + sources`, for inside/harness."""
    state = job.state or b""
    header = {
        "entry": job.entry,
        "outputs": [[field.name, field.dtype, list(field.shape)] for field in job.outputs],
        "parameters": len(job.parameters),
        "state": len(state),
        "sources": [[path, len(text)] for path, text in job.sources.items()],
    }
    encoded = json.dumps(header, separators=(",", ":")).encode()
    return b"".join(
        [struct.pack("<I", len(encoded)), encoded, job.parameters, state, *job.sources.values()]
    )


class LoadedJob:
    """A job sealed once, for many capsules. Close it, or leave its `with` block, when done."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._descriptor: int | None = sealed(pack(job), "job")

    @property
    def descriptor(self) -> int:
        """The sealed memfd. Raises JobRefused after close()."""
        if self._descriptor is None:
            raise JobRefused(
                "The job was closed before this capsule.", remedy="Load the job again."
            )
        return self._descriptor

    def close(self) -> None:
        """Give the memory back; harmless twice."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
        self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
