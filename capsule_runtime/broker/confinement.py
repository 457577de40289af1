"""The broker's own seccomp filter: no way to any network, for it and for all it starts.

Only two socket families stay: AF_UNIX, for the channel pairs, and AF_NETLINK, with which
bubblewrap raises the loopback of the sandbox's own network namespace. `connect`, `sendto` to a
name and io_uring (which could do both behind the filter's back) are gone or useless: nothing
here can be reached that the agent did not hand over as an open descriptor.
Facts: linux/seccomp.h, linux/audit.h, socket(2).
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct

from capsule_runtime.sandbox import seccomp
from capsule_runtime.sandbox.inside import confine
from capsule_runtime.sandbox.syscalls import X86_64

PERMITTED_FAMILIES = (socket.AF_UNIX, socket.AF_NETLINK)
FORBIDDEN = ("connect", "listen", "accept", "io_uring_setup", "io_uring_enter")


def _step(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def network_filter() -> seccomp.Program:
    """Allow everything but the ways to a network; calls of foreign tables are killed."""
    refuse = seccomp.RET_ERRNO | errno.EPERM
    steps = [
        _step(seccomp.LOAD, 0, 0, seccomp.OFFSET_ARCH),
        _step(seccomp.JUMP_EQUAL, 1, 0, seccomp.AUDIT_ARCH_X86_64),
        _step(seccomp.RETURN, 0, 0, seccomp.RET_KILL_PROCESS),
        _step(seccomp.LOAD, 0, 0, seccomp.OFFSET_NUMBER),
        _step(seccomp.JUMP_AT_LEAST, 0, 1, seccomp.X32_BIT),
        _step(seccomp.RETURN, 0, 0, seccomp.RET_KILL_PROCESS),
    ]
    for name in FORBIDDEN:
        steps += [
            _step(seccomp.JUMP_EQUAL, 0, 1, X86_64[name]),
            _step(seccomp.RETURN, 0, 0, refuse),
        ]
    families = [
        part
        for family in PERMITTED_FAMILIES
        for part in (
            _step(seccomp.JUMP_EQUAL, 0, 1, family),
            _step(seccomp.RETURN, 0, 0, seccomp.RET_ALLOW),
        )
    ]
    steps += [
        _step(seccomp.JUMP_EQUAL, 0, 2 + len(families), X86_64["socket"]),
        _step(seccomp.LOAD, 0, 0, seccomp.OFFSET_ARGUMENTS),
        *families,
        _step(seccomp.RETURN, 0, 0, refuse),
        _step(seccomp.RETURN, 0, 0, seccomp.RET_ALLOW),
    ]
    return seccomp.Program(b"".join(steps))


def forbid_network() -> None:
    """Lay the filter on this process and all its children, for good. Raises OSError."""
    libc = confine.load_libc()
    confine.check(libc.prctl(confine.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    confine.Filter(network_filter().code).install(libc)


def forbid_inspection() -> None:
    """No core file and no ptrace by others of the same user: this process sees plaintext."""
    libc: ctypes.CDLL = confine.load_libc()
    confine.forbid_inspection(libc)
