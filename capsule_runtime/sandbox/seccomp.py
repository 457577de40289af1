"""Two system-call filters, assembled here into classic BPF without any library.

Stage 1 lies on bubblewrap's last exec and on the trusted zygote: it can start an interpreter,
import libraries and fork, but opens no socket and enters no namespace. Stage 2 is laid by the
forked child on itself before the algorithm's first byte is compiled: 26 calls, no new executable
memory, an outright kill for calls that no numerical code makes (a kill is an audit signal), and
ENOSYS for the rest, because the C library probes and falls back on ENOSYS, not on EPERM.

Facts: linux/seccomp.h, linux/filter.h, linux/audit.h; reference measurements of which calls numpy
makes. A filter sees argument registers, not memory, so clone3 (flags in memory) is never allowed.
"""

from __future__ import annotations

import errno
import hashlib
import platform
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from capsule_runtime.errors import PlatformRefused
from capsule_runtime.sandbox.syscalls import X86_64

# struct seccomp_data: u32 nr; u32 arch; u64 instruction_pointer; u64 args[6]  (little endian)
OFFSET_NUMBER = 0
OFFSET_ARCH = 4
OFFSET_ARGUMENTS = 16
AUDIT_ARCH_X86_64 = 0xC000003E
X32_BIT = 0x40000000

RET_KILL_PROCESS = 0x80000000
RET_ERRNO = 0x00050000
RET_ALLOW = 0x7FFF0000

LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

PROT_EXEC = 0x4
CLONE_THREAD = 0x00010000
# NEWTIME NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET (linux/sched.h)
CLONE_NEW_ANY = 0x80 | 0x20000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x70000000

HOT = ("read", "write", "munmap", "futex", "clock_gettime", "brk", "madvise")
MINIMUM = (
    *HOT,
    *("close", "lseek", "fstat", "mmap", "mremap", "mprotect"),
    *("clock_nanosleep", "nanosleep", "restart_syscall"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack"),
    *("sched_yield", "sched_getaffinity", "gettid", "getpid", "exit", "exit_group"),
)
assert len(MINIMUM) == 26

# Never made by honest numerical code, trusted or not.
HOSTILE = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module"),
    *("bpf", "perf_event_open", "userfaultfd", "memfd_secret", "personality", "modify_ldt"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("add_key", "request_key", "keyctl", "lookup_dcookie", "acct", "quotactl"),
    *("open_by_handle_at", "name_to_handle_at", "setns", "swapon", "swapoff", "reboot"),
    *("iopl", "ioperm", "vhangup", "mount_setattr", "open_tree", "move_mount"),
    *("fsopen", "fsconfig", "fsmount", "fspick"),
)
# Ordinary for the zygote, an attack when the algorithm does it. Not tgkill: abort() makes it, and
# an honest crash must not look like an attack.
HOSTILE_IN_CHILD = (
    *("execve", "execveat", "fork", "vfork", "clone", "clone3", "unshare", "mount", "umount2"),
    *("pivot_root", "chroot", "socket", "socketpair", "connect", "bind", "listen", "accept"),
    *("sendto", "sendmsg", "kill", "tkill", "pidfd_send_signal", "pidfd_open"),
)

BOOT = (
    # interpreter and dynamic linker
    *("open", "openat", "stat", "lstat", "newfstatat", "statx", "access", "faccessat"),
    *("faccessat2", "readlink", "readlinkat", "getdents64", "getcwd", "chdir", "pread64"),
    *("readv", "writev", "pwrite64", "dup", "dup2", "dup3", "fcntl", "pipe2", "poll", "ppoll"),
    *("select", "pselect6", "execve", "arch_prctl", "set_tid_address", "set_robust_list", "rseq"),
    *("prlimit64", "getrlimit", "setrlimit", "getrandom", "uname", "sysinfo", "getrusage"),
    *("clock_getres", "gettimeofday", "time", "times", "mincore", "membarrier", "statfs"),
    *("getuid", "geteuid", "getgid", "getegid", "getppid", "getpgrp", "getpgid", "getsid"),
    *("sched_setaffinity", "sched_getparam", "sched_getscheduler", "fadvise64", "umask"),
    *("get_mempolicy", "mbind", "set_mempolicy", "rt_sigtimedwait", "tgkill", "memfd_create"),
    # bubblewrap's pid 1 and the zygote
    *("wait4", "waitid", "kill", "fork", "vfork", "pidfd_open", "pidfd_send_signal"),
    *("recvmsg", "sendmsg", "recvfrom", "sendto", "getsockname", "getpeername", "getsockopt"),
    *("shutdown", "close_range", "prctl", "capget", "capset", "seccomp", "setsid"),
    *("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"),
)
BOOT_DENIED = ("socket", "connect", "bind", "listen", "accept", "mount", "umount2", "chroot")
# TCGETS FIONREAD FIONBIO FIOCLEX FIONCLEX TIOCGWINSZ: what isatty() and pipes need (asm/ioctls.h)
TERMINAL_QUERIES = (0x5401, 0x541B, 0x5421, 0x5451, 0x5450, 0x5413)


def _step(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _argument(index: int) -> bytes:
    """Load the low half of one argument; every flag that we look at lives there."""
    return _step(LOAD, 0, 0, OFFSET_ARGUMENTS + 8 * index)


def _when(name: str, body: Sequence[bytes]) -> list[bytes]:
    """`body`, which must end in a return on every path, for one call by name."""
    return [_step(JUMP_EQUAL, 0, len(body), X86_64[name]), *body]


def _give(names: Iterable[str], verdict: int) -> list[bytes]:
    program: list[bytes] = []
    for name in names:
        program += _when(name, [_step(RETURN, 0, 0, verdict)])
    return program


def _unless_bits(name: str, argument: int, bits: int, refusal: int) -> list[bytes]:
    """Allow a call unless its argument carries one of `bits`."""
    return _when(
        name,
        [
            _argument(argument),
            _step(JUMP_ANY_BIT, 0, 1, bits),
            _step(RETURN, 0, 0, refusal),
            _step(RETURN, 0, 0, RET_ALLOW),
        ],
    )


def _only_values(name: str, argument: int, values: Sequence[int], refusal: int) -> list[bytes]:
    """Allow a call only when its argument is one of `values`."""
    tests = [
        part
        for value in values
        for part in (_step(JUMP_EQUAL, 0, 1, value), _step(RETURN, 0, 0, RET_ALLOW))
    ]
    return _when(name, [_argument(argument), *tests, _step(RETURN, 0, 0, refusal)])


def _machine_check() -> list[bytes]:
    """Kill calls made through the 32-bit gate or the x32 table: their numbers mean other things."""
    return [
        _step(LOAD, 0, 0, OFFSET_ARCH),
        _step(JUMP_EQUAL, 1, 0, AUDIT_ARCH_X86_64),
        _step(RETURN, 0, 0, RET_KILL_PROCESS),
        _step(LOAD, 0, 0, OFFSET_NUMBER),
        _step(JUMP_AT_LEAST, 0, 1, X32_BIT),
        _step(RETURN, 0, 0, RET_KILL_PROCESS),
    ]


@dataclass(frozen=True)
class Program:
    """An assembled filter: 8 bytes an instruction, as the kernel takes it."""

    code: bytes

    @property
    def instructions(self) -> int:
        return len(self.code) // 8

    @property
    def sha256(self) -> str:
        """Hex digest; it stands in the runtime image and in golden tests."""
        return hashlib.sha256(self.code).hexdigest()


def stage1() -> Program:
    """The filter of the trusted part: boots an interpreter, forks, waits; no sockets, no mounts."""
    eperm = RET_ERRNO | errno.EPERM
    steps = _machine_check()
    steps += _give(HOT, RET_ALLOW)
    steps += _give([name for name in (*MINIMUM, *BOOT) if name not in HOT], RET_ALLOW)
    steps += _unless_bits("clone", 0, CLONE_NEW_ANY, eperm)
    # unshare(CLONE_THREAD) changes nothing and fails when there is a second thread: our proof
    # of being single-threaded in a place without /proc.
    steps += _only_values("unshare", 0, [CLONE_THREAD], eperm)
    steps += _only_values("ioctl", 1, TERMINAL_QUERIES, eperm)
    steps += _give(BOOT_DENIED, eperm)
    steps += _give(HOSTILE, RET_KILL_PROCESS)
    steps.append(_step(RETURN, 0, 0, RET_ERRNO | errno.ENOSYS))
    return Program(b"".join(steps))


def stage2(
    *, syscalls: bool = True, exec_ban: bool = True, arch_check: bool = True
) -> Program | None:
    """The filter of profile `min`. The switches serve the escape suite; None when nothing is left.

    Without `syscalls` everything but the two other checks is allowed.
    """
    steps = _machine_check() if arch_check else [_step(LOAD, 0, 0, OFFSET_NUMBER)]
    memory = ("mmap", "mprotect")
    if syscalls:
        steps += _give(HOT, RET_ALLOW)
    for name in memory:
        if exec_ban:
            steps += _unless_bits(name, 2, PROT_EXEC, RET_ERRNO | errno.EACCES)
        elif syscalls:
            steps += _give([name], RET_ALLOW)
    if syscalls:
        steps += _give([n for n in MINIMUM if n not in HOT and n not in memory], RET_ALLOW)
        steps += _give(sorted({*HOSTILE, *HOSTILE_IN_CHILD}), RET_KILL_PROCESS)
        steps.append(_step(RETURN, 0, 0, RET_ERRNO | errno.ENOSYS))
    elif exec_ban or arch_check:
        steps.append(_step(RETURN, 0, 0, RET_ALLOW))
    else:
        return None
    return Program(b"".join(steps))


def require_supported_machine(machine: str | None = None, system: str | None = None) -> None:
    """Raise PlatformRefused unless this is Linux on x86-64, the only measured table."""
    machine = machine or platform.machine()
    system = system or sys.platform
    if system != "linux" or machine not in {"x86_64", "AMD64"}:
        raise PlatformRefused(
            f"Native bundles need Linux on x86-64; this is {system} on {machine}.",
            remedy="Host capsules on a Linux x86-64 machine: the system-call filter has not been "
            "measured on any other.",
        )
