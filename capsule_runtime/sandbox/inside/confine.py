"""What a forked child does to itself before it looks at the algorithm. Every step is final.

The order matters: limits and Landlock need system calls that the filter then takes away.
Facts: prctl(2), setrlimit(2), seccomp(2).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal

from . import landlock

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
SYS_SECCOMP, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 317, 1, 1
CLONE_THREAD = 0x00010000
MIB = 1024 * 1024
RESULT_FD = 3  # 0 and 1 lead to /dev/null, 2 there too or to the author's terminal
KEPT_FDS = RESULT_FD + 1


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


class Filter:
    """A stage-2 program in memory, prepared once in the zygote and installed by each child."""

    def __init__(self, code: bytes) -> None:
        self._code = ctypes.create_string_buffer(code, len(code))
        self._program = _Program(len(code) // 8, ctypes.addressof(self._code))

    def install(self, libc: ctypes.CDLL) -> None:
        """Lay it on this process, for good. Raises OSError."""
        check(
            libc.syscall(
                SYS_SECCOMP,
                SECCOMP_SET_MODE_FILTER,
                SECCOMP_FILTER_FLAG_TSYNC,
                ctypes.byref(self._program),
            ),
            "seccomp",
        )


def load_libc() -> ctypes.CDLL:
    """The C library already in this process, with errno kept."""
    return ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Raise OSError when a call into libc failed."""
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def forbid_inspection(libc: ctypes.CDLL) -> None:
    """No core file, no ptrace, no /proc/<pid>/mem for this process."""
    check(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "PR_SET_DUMPABLE")


def require_single_thread(libc: ctypes.CDLL) -> None:
    """Raise RuntimeError when this process has a second thread: a fork would lose it mid-lock.

    unshare(CLONE_THREAD) does nothing for a single-threaded caller and fails for any other, which
    also sees the threads that a numerical library started behind Python's back.
    """
    if libc.unshare(CLONE_THREAD) != 0:
        raise RuntimeError("the zygote has more than one thread after loading its libraries")


def limit_resources(memory_mib: int, cpu_seconds: int) -> None:
    """Hard limits, soft equal to hard: the kernel's SIGKILL can't be caught, SIGXCPU can."""
    limits = (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, KEPT_FDS),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_AS, memory_mib * MIB),
    )
    for name, value in limits:
        resource.setrlimit(name, (value, value))


def keep_descriptors(result: int, errors: int | None, *, close_others: bool) -> None:
    """Result on 3, errors on 2 (or /dev/null, as descriptor 1), nothing else open."""
    os.dup2(1 if errors is None else errors, 2)
    os.dup2(result, RESULT_FD)
    if close_others:
        os.closerange(KEPT_FDS, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def seal(
    libc: ctypes.CDLL,
    *,
    filter_program: Filter | None,
    landlock_abi: int,
    limits: tuple[int, int],
    switches: dict[str, bool],
) -> None:
    """Confine this process for good; from the return on nothing it runs needs to be trusted."""
    check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "PR_SET_PDEATHSIG")
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    if switches["dumpable"]:
        forbid_inspection(libc)
    # Landlock opens a descriptor, so it comes before the limit on descriptors.
    if switches["landlock"]:
        landlock.forbid_everything(libc, landlock_abi)
    if switches["rlimits"]:
        limit_resources(*limits)
    if filter_program is not None:
        filter_program.install(libc)
