"""The broker's own seccomp filter: no way to any network, for it and for all it starts.

Two socket families stay: AF_UNIX, for the channel pairs, and AF_NETLINK to the kernel's routing,
with which bubblewrap raises the loopback of the sandbox's own network namespace. `connect` is
gone, and io_uring, which could do it behind the filter's back. A datagram needs no connection, so
`sendto` takes no address but one as long as netlink's, which bubblewrap needs, and `socketpair`
gives connected kinds only.

What stays open: bubblewrap asks for the loopback's number over a datagram socket of AF_UNIX
(if_nametoindex of the C library), so one can be had, and `sendmsg`, which carries the channel's
descriptors, keeps its address in memory that no filter sees. A broker that is taken over could so
send a datagram to a named socket of this machine that its user may write to; to no other machine.
The algorithm's own process has neither call.
Facts: linux/seccomp.h, linux/audit.h, linux/filter.h, linux/net.h, socket(2), unix(7), netlink(7).
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct

from capsule_runtime.sandbox import seccomp
from capsule_runtime.sandbox.inside import confine
from capsule_runtime.sandbox.syscalls import X86_64

# sizeof(struct sockaddr_nl); a name of AF_UNIX of that length has nine letters.
NETLINK_ADDRESS_BYTES = 12
# Other protocols reach other programs of this machine (NETLINK_USERSOCK); this one the kernel.
NETLINK_ROUTE = 0
# The kind without SOCK_CLOEXEC and SOCK_NONBLOCK (SOCK_TYPE_MASK).
KIND_MASK = 0xF
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
FORBIDDEN = ("connect", "listen", "accept", "io_uring_setup", "io_uring_enter")


def _step(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _load_argument(index: int) -> bytes:
    """The low half of one argument: the kernel takes all of these as 32-bit integers."""
    return _step(seccomp.LOAD, 0, 0, seccomp.OFFSET_ARGUMENTS + 8 * index)


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
    allow = _step(seccomp.RETURN, 0, 0, seccomp.RET_ALLOW)
    # Three blocks, each skipped as a whole by other calls; both jumps count instructions.
    steps += [
        _step(seccomp.JUMP_EQUAL, 0, 5, X86_64["sendto"]),
        _load_argument(5),
        _step(seccomp.JUMP_EQUAL, 2, 0, 0),
        _step(seccomp.JUMP_EQUAL, 1, 0, NETLINK_ADDRESS_BYTES),
        _step(seccomp.RETURN, 0, 0, refuse),
        allow,
        _step(seccomp.JUMP_EQUAL, 0, 8, X86_64["socketpair"]),
        _load_argument(0),
        _step(seccomp.JUMP_EQUAL, 0, 4, socket.AF_UNIX),
        _load_argument(1),
        _step(_AND, 0, 0, KIND_MASK),
        _step(seccomp.JUMP_EQUAL, 2, 0, socket.SOCK_STREAM),
        _step(seccomp.JUMP_EQUAL, 1, 0, socket.SOCK_SEQPACKET),
        _step(seccomp.RETURN, 0, 0, refuse),
        allow,
        _step(seccomp.JUMP_EQUAL, 0, 7, X86_64["socket"]),
        _load_argument(0),
        _step(seccomp.JUMP_EQUAL, 4, 0, socket.AF_UNIX),
        _step(seccomp.JUMP_EQUAL, 0, 2, socket.AF_NETLINK),
        _load_argument(2),
        _step(seccomp.JUMP_EQUAL, 1, 0, NETLINK_ROUTE),
        _step(seccomp.RETURN, 0, 0, refuse),
        allow,
        allow,
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
