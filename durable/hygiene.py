"""What a process does for its secrets before it has any. Linux.

No core dump, and no other process of the same user may read its memory. Swap is not prevented
here: that takes a privilege; run the machine without swap, or with encrypted swap.
"""

from __future__ import annotations

import ctypes
import os
import resource

from durable.errors import DurableError
from trust.problem import Kind

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4


class ProcessExposed(DurableError):
    """The system does not let this process close its memory to others."""

    code = "process-exposed"
    kind = Kind.UNAVAILABLE


def harden() -> None:
    """Refuse to dump this process's memory from now on. Raises ProcessExposed."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) or libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0):
        raise ProcessExposed(
            f"this process's memory cannot be closed: {os.strerror(ctypes.get_errno())}",
            remedy="programs that keep secrets run on Linux only",
        )
