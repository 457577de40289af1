"""The escape suite: every behaviour in the full sandbox, then with its named layer taken away.

A behaviour that still fails without its layer stands in REDUNDANT: another of our layers stops it
too (then it must work once all of them are gone, which proves that the attack is real), or the
kernel refuses it to a user without privileges.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest

from capsule_runtime.sandbox import Job, Limits, Outcome, OutputField, Status, Zygote
from capsule_runtime.sandbox.layers import ALL, Layers
from capsule_runtime.sandbox.selftest import LANDLOCK_WITH_SCOPES

pytestmark = pytest.mark.sandbox
Sandbox = Callable[..., Zygote]

SOURCE = (Path(__file__).parent / "attacks.py").read_bytes()
OPEN, DENIED, KILLED, LIMIT, REFUSED, ERROR = (
    "open",
    "denied",
    "killed",
    "limit",
    "refused",
    "error",
)
MEMORY_MIB = 256
MARKER = b"marker of the capsule before: 7731"
FRESH_MARKER = b"marker that no capsule ever had: 9"
# Arrangements that stand in for a layer which has no switch in `Layers`.
ONE_PROCESS = "a process for each capsule"  # off: the attack meets itself in one process
DROPPED_STDERR = "stderr dropped"  # off: keep_stderr, as for runs on mock data
STATUS_WORDS = "five status words"  # off: the raw exit status that only the host's inside sees
NO_LAYER = "none"


@dataclass(frozen=True)
class Behaviour:
    """An attack, how the full sandbox ends it, and the layers of ours that each stop it alone.

    `layers[0]` is the named layer.
    """

    name: str
    ending: str
    layers: tuple[str, ...]
    wall: float = 8.0


def _many(ending: str, layers: tuple[str, ...], names: str) -> list[Behaviour]:
    return [Behaviour(name, ending, layers) for name in names.split()]


S = "syscalls"
FILES = (S, "landlock", "rlimits")
BEHAVIOURS = [
    # network
    *_many(KILLED, (S, "rlimits", "landlock", "network"), "net_connect_tcp net_abstract_unix"),
    *_many(KILLED, (S, "rlimits", "landlock"), "net_bind_tcp"),
    *_many(KILLED, (S, "rlimits", "network"), "net_dns"),
    *_many(KILLED, (S, "rlimits", "mounts"), "net_path_unix"),
    *_many(KILLED, (S, "rlimits"), "net_ipv6 net_vsock_socket net_netlink net_socketpair"),
    *_many(KILLED, (S,), "net_afalg net_raw_packet"),
    # files
    *_many(DENIED, (*FILES, "mounts"), "read_passwd read_home_listing read_host_secret_path"),
    *_many(DENIED, (*FILES, "mounts"), "read_shadow write_root_and_usr write_tmp_persist"),
    *_many(DENIED, (*FILES, "mounts"), "write_devshm_persist disk_fill inode_fill"),
    *_many(DENIED, (*FILES, "mounts"), "symlink_in_output hardlink_and_rename mknod_device"),
    *_many(DENIED, (S, "mounts"), "stat_host_secret"),
    *_many(DENIED, FILES, "read_own_interpreter read_inside_code read_cpuinfo openat2_path"),
    *_many(DENIED, FILES, "import_from_disk"),
    *_many(DENIED, (*FILES, "exec_ban"), "dlopen_library"),
    *_many(DENIED, (S, "rlimits"), "inotify_watch"),
    *_many(DENIED, (S,), "fanotify_watch"),
    # earlier and other capsules
    *_many(DENIED, (ONE_PROCESS,), "state_monkeypatch_next module_cache_poison"),
    *_many(DENIED, (ONE_PROCESS,), "speculative_neighbor_readmem"),
    *_many(DENIED, ("close_fds",), "fd_leak control_channel_forge stdin_reopen_data_rw"),
    *_many(DENIED, ("environment",), "env_leak"),
    # resources
    *_many(KILLED, (S, "rlimits"), "fork_bomb thread_bomb vfork_raw"),
    *_many(DENIED, ("rlimits",), "mem_bomb_private mem_bomb_shared_anon"),
    *_many(DENIED, (S, "rlimits"), "mem_bomb_memfd mem_lock raise_rlimit"),
    Behaviour("cpu_spin", LIMIT, ("rlimits",)),
    Behaviour("ignore_signals_spin", LIMIT, ("rlimits",)),
    Behaviour("sleep_forever", LIMIT, ("wall",), wall=0.4),
    Behaviour("futex_forever", LIMIT, ("wall",), wall=0.4),
    *_many(DENIED, (S,), "renice_sched_rt renice_nicer timer_signal"),
    # other processes
    *_many(KILLED, (S, "landlock", "dumpable"), "ptrace_parent process_vm_readv_parent"),
    *_many(KILLED, (S, "landlock", "dumpable"), "process_vm_writev_parent"),
    *_many(KILLED, (S, "landlock"), "kill_parent kill_all"),
    *_many(DENIED, (S, "landlock"), "tgkill_parent"),
    *_many(KILLED, (S, "landlock", "rlimits"), "kill_by_pidfd"),
    *_many(KILLED, (S, "landlock", "rlimits", "dumpable"), "pidfd_steal_fd"),
    *_many(DENIED, (*FILES, "mounts", "dumpable"), "proc_self_mem proc_ppid_mem_environ"),
    *_many(DENIED, (*FILES, "mounts"), "proc_sysinfo_leak"),
    *_many(DENIED, (S,), "prlimit_parent prctl_undo_dumpable prctl_no_pdeathsig setsid_escape"),
    # programs and code
    *_many(KILLED, (*FILES, "exec_ban"), "ld_preload_exec"),
    *_many(DENIED, (*FILES, "exec_ban"), "exec_memfd"),
    *_many(KILLED, (*FILES, "exec_ban", "mounts"), "subprocess_shell"),
    *_many(DENIED, (*FILES, "mounts"), "setuid_binaries_present"),
    *_many(DENIED, (S,), "setuid0 setgroups_drop capset_all"),
    *_many(DENIED, ("exec_ban",), "raw_shellcode_jit shellcode_by_mprotect patch_loaded_code"),
    *_many(DENIED, (S,), "shellcode_by_pkey"),
    *_many(DENIED, ("exec_ban", "arch_check", S), "i386_syscall_int80"),
    *_many(KILLED, ("arch_check", S), "x32_syscall"),
    # the kernel's wide doors
    *_many(KILLED, (S,), "personality_readimplies keyctl add_key request_key unshare_files"),
    *_many(KILLED, (S, "rlimits"), "io_uring_setup userfaultfd perf_event_open memfd_secret"),
    *_many(KILLED, (S,), "bpf unshare_user clone3_newuser mount_tmpfs remount_rw umount_root"),
    *_many(KILLED, (S,), "setns_init chroot_escape pivot_root open_by_handle fsopen open_tree"),
    *_many(KILLED, (S,), "init_module kexec_load reboot ioperm modify_ldt quotactl"),
    *_many(DENIED, (S,), "sethostname clock_settime syslog_read seccomp_own_filter tiocsti"),
    *_many(DENIED, (S,), "ioctl_any ipc_sysv_shm ipc_message_queue"),
    *_many(DENIED, (S, "ipc"), "ipc_shm_of_the_host"),
    *_many(DENIED, (S, "rlimits"), "eventfd pipe_pair"),
    *_many(DENIED, (S,), "host_fingerprint_uname host_fingerprint_sysinfo host_fingerprint_cpu"),
    *_many(DENIED, (S,), "random_nondeterminism"),
    # what leaves
    *_many(REFUSED, ("frame_check",), "huge_output lying_frame short_frame empty_frame"),
    *_many(REFUSED, ("frame_check",), "two_frames trailing_byte pickle_payload json_instead"),
    *_many(REFUSED, (NO_LAYER,), "wrong_schema wrong_shape wrong_type"),
    *_many(ERROR, (NO_LAYER,), "frame_then_crash"),
    *_many(DENIED, (DROPPED_STDERR,), "stderr_exfil"),
    *_many(DENIED, (STATUS_WORDS,), "exit_code_exfil"),
    *_many(OPEN, (NO_LAYER,), "clock_timing duration_exfil mantissa_exfil nan_inf_result"),
]
BY_NAME = {behaviour.name: behaviour for behaviour in BEHAVIOURS}

# What the sandbox does not stop; docs/threat-model.md bounds each.
ACCEPTED = {
    "clock_timing": "the processor's own clock needs no system call",
    "duration_exfil": "results leave in fixed slots (next_slot), which bounds it",
    "mantissa_exfil": "any answer carries bits; the release guard quantises, clips and counts them",
    "nan_inf_result": "numbers are the release guard's matter: it refuses what is not finite",
}

PRIVILEGE = "needs a capability that nobody in the sandbox has"
NEEDS_PRIVILEGE = """
net_raw_packet mknod_device fanotify_watch renice_sched_rt setgroups_drop capset_all setns_init
mount_tmpfs remount_rw umount_root chroot_escape pivot_root open_by_handle fsopen open_tree
init_module kexec_load reboot ioperm sethostname clock_settime
"""
# Refused by the kernel itself, whatever we do.
BY_THE_KERNEL = {
    **dict.fromkeys(NEEDS_PRIVILEGE.split(), PRIVILEGE),
    "read_shadow": "the file belongs to root, and the sandbox's user is not root",
    "setuid0": "uid 0 has no mapping in the sandbox's user namespace",
    "unshare_user": "--disable-userns: no further user namespace may be made",
    "clone3_newuser": "--disable-userns: no further user namespace may be made",
    "stdin_reopen_data_rw": "the memory is sealed against writing",
    "tiocsti": "there is no terminal: a new session, /dev/null and pipes",
    "wrong_schema": "the harness refuses what is not declared",
    "wrong_shape": "the harness refuses what is not declared",
    "wrong_type": "the harness refuses what is not declared",
    "frame_then_crash": "a frame counts only after a clean exit",
}
# Refused or not by the kernel's build and settings: with our layers gone either end is right.
BY_CONFIGURATION = {
    "net_afalg": "CONFIG_CRYPTO_USER_API",
    "net_ipv6": "CONFIG_IPV6",
    "net_vsock_socket": "CONFIG_VSOCKETS",
    "request_key": "no such key is there to be found",
    "keyctl": "CONFIG_KEYS",
    "add_key": "CONFIG_KEYS",
    "io_uring_setup": "kernel.io_uring_disabled",
    "userfaultfd": "vm.unprivileged_userfaultfd",
    "perf_event_open": "kernel.perf_event_paranoid",
    "memfd_secret": "secretmem.enable",
    "bpf": "kernel.unprivileged_bpf_disabled",
    "x32_syscall": "CONFIG_X86_X32_ABI",
    "i386_syscall_int80": "CONFIG_IA32_EMULATION",
    "modify_ldt": "CONFIG_MODIFY_LDT_SYSCALL",
    "quotactl": "CONFIG_QUOTA",
    "syslog_read": "kernel.dmesg_restrict",
    "shellcode_by_pkey": "protection keys",
    "ptrace_parent": "kernel.yama.ptrace_scope",
    "process_vm_readv_parent": "kernel.yama.ptrace_scope",
    "process_vm_writev_parent": "kernel.yama.ptrace_scope",
    "pidfd_steal_fd": "kernel.yama.ptrace_scope",
    "proc_ppid_mem_environ": "kernel.yama.ptrace_scope",
}
REDUNDANT = {
    **{
        behaviour.name: "also stopped by " + ", ".join(behaviour.layers[1:])
        for behaviour in BEHAVIOURS
        if len(behaviour.layers) > 1
    },
    **BY_THE_KERNEL,
}

# The ids of the reference suite, section 7, so that none is lost on the way.
REFERENCE = """
net_connect_tcp net_dns net_abstract_unix net_vsock_socket net_netlink net_afalg read_shadow
read_passwd read_home_listing read_host_secret_path write_root_and_usr write_tmp_persist
write_devshm_persist state_monkeypatch_next fork_bomb thread_bomb mem_bomb_private
mem_bomb_shared_anon mem_bomb_memfd cpu_spin sleep_forever ignore_signals_spin disk_fill
inode_fill ptrace_parent process_vm_readv_parent kill_parent kill_all proc_self_mem
proc_ppid_mem_environ proc_sysinfo_leak host_fingerprint_uname symlink_in_output huge_output
lying_frame two_frames wrong_schema nan_inf_result pickle_payload env_leak fd_leak
stdin_reopen_data_rw ld_preload_exec exec_memfd subprocess_shell setuid0 setuid_binaries_present
keyctl io_uring_setup userfaultfd bpf perf_event_open unshare_user clone3_newuser mount_tmpfs
remount_rw chroot_escape open_by_handle fsopen personality_readimplies prctl_undo_dumpable
raise_rlimit renice_sched_rt tiocsti i386_syscall_int80 x32_syscall raw_shellcode_jit clock_timing
random_nondeterminism stderr_exfil exit_code_exfil duration_exfil mantissa_exfil ipc_sysv_shm
inotify_watch speculative_neighbor_readmem
"""


def job(behaviour: Behaviour, host: dict[str, Any], **more: object) -> Job:
    """The hostile bundle, told which attack to try."""
    numbers = "float64" if behaviour.name == "nan_inf_result" else "int64"
    parameters = {"name": behaviour.name, "together": False, "exit_code": 77, **host, **more}
    return Job(
        sources={"attacks.py": SOURCE},
        entry="attacks:run",
        parameters=json.dumps(parameters).encode(),
        outputs=(OutputField("verdict", numbers, (2,)),),
        limits=Limits(MEMORY_MIB if "mem_" in behaviour.name else 1024, 1, behaviour.wall),
    )


def tables(marker: bytes = b"") -> bytes:
    """One capsule's data: a column that carries `marker` a few thousand times."""
    body = (marker + bytes(-len(marker) % 8)) * 3000 or bytes(8)
    column = {"dtype": "int64", "offset": 0}
    header = {"tables": {"left": {"rows": len(body) // 8, "columns": {"column": column}}}}
    text = json.dumps(header).encode()
    return b"CADCOL1\n" + struct.pack("<I", len(text)) + text + body


def run(zygote: Zygote, work: Job, data: bytes) -> Outcome:
    with zygote.load(work) as loaded:
        return zygote.run(loaded, data)


def verdict(outcome: Outcome) -> tuple[int, ...]:
    assert outcome.frame is not None
    return struct.unpack(f"<{len(outcome.frame) // 8}q", outcome.frame)


def ending(outcome: Outcome) -> str:
    words = {
        Status.killed_policy: KILLED,
        Status.killed_limit: LIMIT,
        Status.refused_output: REFUSED,
        Status.error: ERROR,
    }
    if outcome.status is not Status.ok:
        return words[outcome.status]
    return OPEN if len(outcome.frame or b"") != 16 or verdict(outcome)[0] else DENIED


def attempt(
    sandbox: Sandbox, behaviour: Behaviour, host: dict[str, Any], off: tuple[str, ...] = ()
) -> str:
    """Try one attack with some layers off; how it ended."""
    switches = {name: False for name in off if name in {field.name for field in fields(Layers)}}
    zygote = sandbox(replace(ALL, **switches), keep_stderr=DROPPED_STDERR in off)
    if behaviour.name == "speculative_neighbor_readmem":
        return _remanence(zygote, behaviour, host, own=ONE_PROCESS in off)
    if behaviour.name == "exit_code_exfil":
        return _exit_codes(zygote, behaviour, host, raw=STATUS_WORDS in off)
    outcomes = [
        run(zygote, job(behaviour, host, together=ONE_PROCESS in off), tables())
        # What an earlier capsule leaves behind shows in the second run.
        for _ in range(2 if behaviour.layers[0] == ONE_PROCESS else 1)
    ]
    outcome = outcomes[-1]
    if behaviour.name == "stderr_exfil":
        return OPEN if b"EXFIL" in outcome.stderr else ending(outcome)
    if behaviour.name == "kill_all" and outcome.status is Status.error:
        return OPEN if zygote._started is None else ERROR
    if behaviour.name == "control_channel_forge":
        zygote._discard()  # its real report would answer the next run
    return ending(outcome)


def _remanence(zygote: Zygote, behaviour: Behaviour, host: dict[str, Any], *, own: bool) -> str:
    """Pages with an earlier capsule's marker, against pages with one that never was there."""
    reader = replace(behaviour, name="speculative_neighbor_readmem_count")

    def hits(marker: bytes) -> int:
        hidden = bytes(byte ^ 0x5A for byte in marker).hex()
        data = tables(MARKER if own else b"")
        return verdict(run(zygote, job(reader, host, marker_xor=hidden), data))[0]

    run(zygote, job(BY_NAME["mantissa_exfil"], host), tables(MARKER))
    return OPEN if hits(MARKER) > hits(FRESH_MARKER) else DENIED


def _exit_codes(zygote: Zygote, behaviour: Behaviour, host: dict[str, Any], *, raw: bool) -> str:
    """Whether two exit codes can be told apart from outside."""
    seen = []
    for code in (77, 99):
        outcome = run(zygote, job(behaviour, host, exit_code=code), tables())
        assert zygote._last_report is not None
        seen.append(zygote._last_report.status if raw else outcome.status)
    return OPEN if seen[0] != seen[1] else DENIED


def _id(behaviour: Behaviour) -> str:
    return behaviour.name


def _sorted(behaviours: list[Behaviour], key: Callable[[Behaviour], Any]) -> list[Behaviour]:
    """Cases with the same layers off come together: one zygote serves them."""
    return sorted(behaviours, key=key)


def test_the_suite_covers_the_reference() -> None:
    assert len(BEHAVIOURS) == len(BY_NAME) >= 76
    assert len(REFERENCE.split()) == 76
    assert not set(REFERENCE.split()) - set(BY_NAME)
    assert {*REDUNDANT, *BY_CONFIGURATION, *ACCEPTED} <= set(BY_NAME)
    assert {b.name for b in BEHAVIOURS if b.ending == OPEN} == set(ACCEPTED)
    assert len(ACCEPTED) <= 4
    written = set(re.findall(r"^def (\w+)\(_?(?:tables)?, p\):", SOURCE.decode(), re.MULTILINE))
    assert {name.removesuffix("_count") for name in written} == set(BY_NAME)


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=_id)
def test_the_full_sandbox_stops(
    behaviour: Behaviour, sandbox: Sandbox, host: dict[str, Any]
) -> None:
    assert attempt(sandbox, behaviour, host) == behaviour.ending


@pytest.mark.parametrize(
    "behaviour",
    _sorted([b for b in BEHAVIOURS if b.ending != OPEN], lambda b: b.layers[0]),
    ids=_id,
)
def test_without_its_named_layer(
    behaviour: Behaviour, sandbox: Sandbox, host: dict[str, Any]
) -> None:
    if behaviour.layers[1:] == ("landlock",) and sandbox().landlock_abi < LANDLOCK_WITH_SCOPES:
        pytest.skip("this kernel's Landlock has no scopes, so the filter stands alone here")
    found = attempt(sandbox, behaviour, host, behaviour.layers[:1])
    if behaviour.name in REDUNDANT:
        assert found != OPEN, f"{behaviour.name} is not redundant after all"
    elif behaviour.name not in BY_CONFIGURATION:
        assert found == OPEN, f"{behaviour.name} was stopped by something else: {found}"


@pytest.mark.parametrize(
    "behaviour",
    _sorted([b for b in BEHAVIOURS if len(b.layers) > 1], lambda b: sorted(b.layers)),
    ids=_id,
)
def test_without_any_of_its_layers(
    behaviour: Behaviour, sandbox: Sandbox, host: dict[str, Any]
) -> None:
    found = attempt(sandbox, behaviour, host, behaviour.layers)
    if behaviour.name in BY_THE_KERNEL:
        assert found != OPEN
    elif behaviour.name not in BY_CONFIGURATION:
        assert found == OPEN, f"{behaviour.name} was stopped by something else: {found}"


def test_the_32_bit_gate_is_a_kill_where_memory_can_be_executed(
    sandbox: Sandbox, host: dict[str, Any]
) -> None:
    assert attempt(sandbox, BY_NAME["i386_syscall_int80"], host, ("exec_ban",)) == KILLED


def document() -> str:
    """The table of docs/sandbox-suite.md, from the tables above."""
    summary = (
        f"{len(BEHAVIOURS)} behaviours run in the full sandbox under an unprivileged user; "
        f"{len(ACCEPTED)} stay open. Each also runs with its named layer switched off and must "
        "then work, unless another layer or the kernel stops it too. Written by "
        "`python tests/escape/test_escape.py`; a test compares."
    )
    lines = [
        "# What the sandbox stops, and which layer does it",
        "",
        summary,
        "",
        "| behaviour | ends as | named layer | without that layer |",
        "|---|---|---|---|",
    ]
    for case in BEHAVIOURS:
        without = REDUNDANT.get(case.name, "works")
        if case.name in BY_THE_KERNEL:
            without = f"kernel: {BY_THE_KERNEL[case.name]}"
        elif case.name in BY_CONFIGURATION:
            also = f"{without}; " if case.name in REDUNDANT else ""
            without = f"{also}the kernel's configuration decides ({BY_CONFIGURATION[case.name]})"
        elif case.ending == OPEN:
            without = ACCEPTED[case.name]
        lines.append(f"| {case.name} | {case.ending} | {case.layers[0]} | {without} |")
    return "\n".join([*lines, ""])


def test_the_document_is_this_suite() -> None:
    written = Path(__file__).parents[2] / "docs" / "sandbox-suite.md"
    assert written.read_text() == document()


def test_the_suite_runs_unprivileged(sandbox: Sandbox) -> None:
    zygote = sandbox()
    status = Path(f"/proc/{zygote.process_id}/status").read_text()
    (uids,) = re.findall(r"^Uid:\s+(.*)$", status, re.MULTILINE)
    assert "0" not in uids.split()


if __name__ == "__main__":
    print(document(), end="")
