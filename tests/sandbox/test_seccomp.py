"""The filters: golden digests, and their meaning by a small reading of classic BPF."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsule_runtime.errors import PlatformRefused
from capsule_runtime.sandbox import seccomp
from capsule_runtime.sandbox.seccomp import MINIMUM, Program, stage1, stage2
from capsule_runtime.sandbox.syscalls import X86_64

# A changed filter is a changed runtime image: change these knowingly, after the escape suite.
STAGE1 = "b486973c5240269be7787469046d5892c71cae689c3c6eb29d8da4d957a9833b"
STAGE2 = "cc268e17dc0fcbc7d6808748870283384d9a4a44d3046bc55ca00e295e468254"

ALLOW, KILL = seccomp.RET_ALLOW, seccomp.RET_KILL_PROCESS
NAMES = {number: name for name, number in X86_64.items()}


def judge(
    program: Program, number: int, *arguments: int, arch: int = seccomp.AUDIT_ARCH_X86_64
) -> int:
    """What the kernel would answer (linux/filter.h, only the five instructions we use)."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, arch, 0, *padded)
    steps = list(struct.iter_unpack("<HBBI", program.code))
    accumulator = position = 0
    while True:
        code, if_true, if_false, value = steps[position]
        position += 1
        if code == seccomp.RETURN:
            return int(value)
        if code == seccomp.LOAD:
            (accumulator,) = struct.unpack_from("<I", data, value)
            continue
        hit = {
            seccomp.JUMP_EQUAL: accumulator == value,
            seccomp.JUMP_AT_LEAST: accumulator >= value,
            seccomp.JUMP_ANY_BIT: bool(accumulator & value),
        }[code]
        position += if_true if hit else if_false


def refused(code: int) -> int:
    return seccomp.RET_ERRNO | code


def minimum() -> Program:
    program = stage2()
    assert program is not None
    return program


def test_the_programs_are_the_ones_that_were_measured() -> None:
    assert (stage1().sha256, minimum().sha256) == (STAGE1, STAGE2)
    assert stage1().code == stage1().code


def test_stage_2_allows_26_calls_and_no_other() -> None:
    allowed = {number for number in range(1024) if judge(minimum(), number) == ALLOW}
    assert {NAMES[number] for number in allowed} == set(MINIMUM)
    assert len(allowed) == 26


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 2**64 - 1), max_size=6))
def test_whatever_is_not_named_is_refused(number: int, arguments: list[int]) -> None:
    verdict = judge(minimum(), number, *arguments)
    name = NAMES.get(number)
    if name in {"mmap", "mprotect"}:
        executable = len(arguments) > 2 and arguments[2] & 4
        assert verdict == (refused(errno.EACCES) if executable else ALLOW)
    elif name in MINIMUM:
        assert verdict == ALLOW
    elif number >= seccomp.X32_BIT or name in {*seccomp.HOSTILE, *seccomp.HOSTILE_IN_CHILD}:
        assert verdict == KILL
    else:
        assert verdict == refused(errno.ENOSYS)


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(X86_64.values())))
def test_another_architecture_is_killed(arch: int, number: int) -> None:
    for program in (stage1(), minimum()):
        if arch != seccomp.AUDIT_ARCH_X86_64:
            assert judge(program, number, arch=arch) == KILL
        assert judge(program, number | seccomp.X32_BIT) == KILL


def test_stage_1_forks_but_enters_no_namespace() -> None:
    clone, unshare = X86_64["clone"], X86_64["unshare"]
    assert judge(stage1(), clone, 17) == ALLOW
    for flag in (0x80, 0x20000, *(1 << bit for bit in range(25, 31))):
        assert judge(stage1(), clone, 17 | flag) == refused(errno.EPERM)
        assert judge(stage1(), unshare, flag) == refused(errno.EPERM)
    assert judge(stage1(), unshare, seccomp.CLONE_THREAD) == ALLOW
    assert judge(stage1(), X86_64["clone3"]) == refused(errno.ENOSYS)


def test_stage_1_opens_no_socket_and_types_nothing() -> None:
    for name in ("socket", "connect", "bind", "mount"):
        assert judge(stage1(), X86_64[name]) == refused(errno.EPERM)
    tiocsti, winsize = 0x5412, 0x5413
    assert judge(stage1(), X86_64["ioctl"], 0, tiocsti) == refused(errno.EPERM)
    assert judge(stage1(), X86_64["ioctl"], 0, winsize) == ALLOW
    for name in seccomp.HOSTILE:
        assert judge(stage1(), X86_64[name]) == KILL


def test_nothing_left_is_no_filter() -> None:
    assert stage2(syscalls=False, exec_ban=False, arch_check=False) is None


@pytest.mark.parametrize(
    ("machine", "system"), [("aarch64", "linux"), ("x86_64", "darwin"), ("i686", "linux")]
)
def test_another_machine_is_refused(machine: str, system: str) -> None:
    with pytest.raises(PlatformRefused, match=machine):
        seccomp.require_supported_machine(machine, system)
    seccomp.require_supported_machine("x86_64", "linux")
