"""Starting one bubblewrap with a zygote in it, and explaining why when it does not start.

If this program dies here or later, the kernel kills bubblewrap (--die-with-parent, bound to the
thread that started it), its pid namespace takes everything inside along, and the zygote would see
its channel close besides.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from capsule_runtime.errors import RootUidRefused, SandboxStartFailed, SandboxUnavailable
from capsule_runtime.sandbox import command, seccomp
from capsule_runtime.sandbox.layers import ALL, Layers
from capsule_runtime.sandbox.layout import Layout, require_readable, sandbox_reader
from capsule_runtime.sandbox.packing import sealed

# Ours: importing torch cold took 2 s on a small machine; a loaded one may need many times that.
START_SECONDS = 60.0
STOP_SECONDS = 3.0
COMPLAINT_BYTES = 2000
PACKET_BYTES = 4096
SYSTEM_BWRAP = Path("/usr/bin/bwrap")

# What bubblewrap says (0.8 to 0.11, and issue containers/bubblewrap#632) -> what helps.
APPARMOR = (
    "On Ubuntu, AppArmor keeps user namespaces from programs without a profile: install the "
    "profile bwrap-userns-restrict for /usr/bin/bwrap (package apparmor-profiles), or ask your "
    "administrator."
)
COUNT = "Allow user namespaces: sysctl user.max_user_namespaces=15000 (0 switches them off)."
PERMISSION = (
    "Allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1; inside a "
    "container, let it create namespaces."
)
VERSION = "Install bubblewrap 0.8 or newer: --disable-userns is required."
STAGE = "Stage the runtime into a directory that everybody may read."
REMEDIES = (
    ("setting up uid map", APPARMOR),
    ("RTM_NEWADDR", APPARMOR),
    ("nesting depth or /proc/sys/user/max_", COUNT),
    ("No permissions to creat", PERMISSION),
    ("Creating new namespace failed", PERMISSION),
    ("Unknown option", VERSION),
    ("Can't find source path", STAGE),
    ("Can't bind mount", STAGE),
)


@dataclass(frozen=True)
class Setup:
    """How to start zygotes: everything that stays the same from one to the next."""

    layout: Layout
    bwrap: Path
    run_as: tuple[int, int] | None = None
    modules: tuple[str, ...] = ()
    layers: Layers = field(default=ALL)


@dataclass(frozen=True)
class Started:
    """A zygote that said it is ready."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    landlock_abi: int


def find_bwrap(path: Path | None = None) -> Path:
    """The bubblewrap to use: `path` when given, else the distribution's, else the one in PATH.

    The distribution's comes first because AppArmor exempts programs by their path.
    Raises SandboxUnavailable.
    """
    found = path or (SYSTEM_BWRAP if SYSTEM_BWRAP.exists() else None)
    if found is None and (name := shutil.which("bwrap")) is not None:
        found = Path(name)
    if found is None or not os.access(found, os.X_OK):
        raise SandboxUnavailable(
            f"bubblewrap is not installed here ({found or SYSTEM_BWRAP} is missing).",
            remedy="apt install bubblewrap",
        )
    return found


def check_identity(run_as: tuple[int, int] | None, effective_uid: int) -> None:
    """Raise RootUidRefused when the sandbox would run as uid 0.

    A sandbox started by root keeps host uid 0 behind its user namespace, so any escape from the
    mount namespace would be root's.
    """
    uid, gid = run_as if run_as is not None else (effective_uid, 1)
    if uid == 0 or gid == 0:
        raise RootUidRefused(
            "The sandbox would run as root.",
            remedy="Start the worker as an ordinary user, or as root with its dedicated user, "
            "to which it hands the sandbox.",
        )


def start(setup: Setup) -> Started:
    """Start bubblewrap and wait for its zygote. Costs one cold start (tenths of a second).

    Raises RootUidRefused, RuntimeUnreadable, PlatformRefused, SandboxStartFailed.
    """
    seccomp.require_supported_machine()
    check_identity(setup.run_as, os.geteuid())
    require_readable(setup.layout, sandbox_reader(setup.run_as))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with contextlib.ExitStack() as stack:
        stack.enter_context(theirs)
        guard = contextlib.ExitStack()
        stack.enter_context(guard)
        guard.enter_context(ours)
        complaint = _closing(stack, os.memfd_create("complaint", os.MFD_CLOEXEC))
        filter_fd = None
        if setup.layers.syscalls:
            filter_fd = _closing(stack, sealed(seccomp.stage1().code, "stage1"))
            os.lseek(filter_fd, 0, os.SEEK_SET)
        process = _spawn(setup, theirs.fileno(), filter_fd, complaint)
        guard.callback(stop, process)
        theirs.close()
        try:
            _configure(setup, ours)
            ours.settimeout(START_SECONDS)
            answer = ours.recv(PACKET_BYTES)
        except OSError:
            answer = b""
        if not answer.startswith(b"Y"):
            stop(process)
            raise _explain(_tail(complaint), process.returncode)
        guard.pop_all()
    ours.settimeout(None)
    return Started(process, ours, int(json.loads(answer[1:])["landlock_abi"]))


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill bubblewrap, and with it its whole pid namespace, and collect it.

    A process that the kernel can't end yet (it waits for a device) is left to be collected later:
    it is dead to us, and its channel is closed.
    """
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)


def _closing(stack: contextlib.ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _spawn(
    setup: Setup, control_fd: int, filter_fd: int | None, complaint: int
) -> subprocess.Popen[bytes]:
    boot = command.Boot(setup.bwrap, control_fd, filter_fd)
    uid, gid = setup.run_as if setup.run_as is not None else (None, None)
    environment: Mapping[str, str] = {} if setup.layers.environment else os.environ
    try:
        return subprocess.Popen(
            command.arguments(setup.layout, boot, setup.layers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaint,
            pass_fds=[control_fd] if filter_fd is None else [control_fd, filter_fd],
            env=environment,
            user=uid,
            group=gid,
            extra_groups=[] if uid is not None else None,
            cwd="/",
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxStartFailed(
            f"bubblewrap could not be started: {error}.",
            remedy="Check that the sandbox's user exists and may run it.",
        ) from error


def _configure(setup: Setup, control: socket.socket) -> None:
    settings = {
        "libraries": list(setup.layout.library_names),
        "modules": list(setup.modules),
        "switches": setup.layers.inside(),
    }
    program = seccomp.stage2(
        syscalls=setup.layers.syscalls,
        exec_ban=setup.layers.exec_ban,
        arch_check=setup.layers.arch_check,
    )
    descriptors = [] if program is None else [sealed(program.code, "stage2")]
    try:
        socket.send_fds(control, [json.dumps(settings).encode()], descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _tail(complaint: int) -> bytes:
    """The end of what was said: a traceback names its cause last."""
    start = max(0, os.fstat(complaint).st_size - COMPLAINT_BYTES)
    return os.pread(complaint, COMPLAINT_BYTES, start)


def _explain(complaint: bytes, returncode: int | None) -> SandboxStartFailed:
    text = complaint.decode(errors="replace").strip()
    remedy = next(
        (advice for sign, advice in REMEDIES if sign in text),
        "Run `cadastre doctor`, which checks namespaces, AppArmor and the interpreter.",
    )
    return SandboxStartFailed(
        f"The sandbox did not start (status {returncode}); its words: {text or 'none'}",
        remedy=remedy,
    )
