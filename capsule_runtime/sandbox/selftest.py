"""The start-up self-test: real attacks in the real sandbox, and a level that the worker may claim.

L3 needs user namespaces, both filters, Landlock with scopes and a memory cgroup above us; L2 lacks
one of the last two; at L0 no native bundle may run. Nothing here is a flag: a layer counts when
its canary was stopped in the way it should be, and one that is not stopped means L0.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from pathlib import Path

from capsule_runtime.errors import SandboxError, SandboxUnavailable
from capsule_runtime.sandbox.layout import Layout
from capsule_runtime.sandbox.model import Job, Limits, Outcome, OutputField, Status
from capsule_runtime.sandbox.packing import LoadedJob
from capsule_runtime.sandbox.zygote import Zygote

LANDLOCK_WITH_SCOPES = 6
CANARY_LIMITS = Limits(memory_mib=1024, cpu_seconds=5, wall_seconds=10.0)
EMPTY_TABLES = b'CADCOL1\n\x0d\x00\x00\x00{"tables":{}}'
CGROUP_V1_UNLIMITED = 1 << 62

# Raw calls by number, so that no Python check stands in the way. 1 = it worked.
CANARY_SOURCE = b"""
import ctypes

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long  # an address cut to 32 bits would look like a failure
AF_INET, AF_VSOCK, SOCK_STREAM, SIGCHLD, PROT_RWX, MAP_PRIVATE_ANONYMOUS = 2, 40, 1, 17, 7, 0x22
CLONE_NEWUSER = 0x10000000


def worked(number, *arguments):
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return 1 if LIBC.syscall(ctypes.c_long(number), *wide) >= 0 else 0


CANARIES = {
    "connect": lambda: worked(42, -1, b"\\2\\0", 16),
    "openat": lambda: worked(257, -100, b"/dev/null", 0),
    "vsock": lambda: worked(41, AF_VSOCK, SOCK_STREAM, 0),
    "keyctl": lambda: worked(250, 0, -3, 0),
    "unshare": lambda: worked(272, CLONE_NEWUSER),
    "fork": lambda: worked(56, SIGCHLD, 0, 0, 0, 0),
    "executable_memory": lambda: worked(9, 0, 4096, PROT_RWX, MAP_PRIVATE_ANONYMOUS, -1, 0),
}


def canary(tables, parameters):
    return [CANARIES[parameters["name"]]()]


def benign(tables, parameters):
    import numpy

    return [int(numpy.linalg.inv(numpy.eye(8) * 0.5).sum())]
"""
# How each canary has to end: a kill is the policy for calls that only an attack makes.
KILLED, DENIED = "killed", "denied"
CANARIES = {
    "connect": KILLED,
    "openat": DENIED,
    "vsock": KILLED,
    "keyctl": KILLED,
    "unshare": KILLED,
    "fork": KILLED,
    "executable_memory": DENIED,
}
BENIGN_ANSWER = 16


class Level(enum.IntEnum):
    """What a worker may advertise; a manifest names the least it accepts."""

    L0 = 0
    L2 = 2
    L3 = 3


@dataclass(frozen=True)
class SandboxLevel:
    """The level that this machine reached, with the reason for each one it missed."""

    level: Level
    reasons: tuple[str, ...]

    def require(self, minimum: Level = Level.L2) -> SandboxLevel:
        """This level. Raises SandboxUnavailable below `minimum`."""
        if self.level < minimum:
            raise SandboxUnavailable(
                f"This machine's sandbox reaches {self.level.name}, {minimum.name} is needed: "
                + "; ".join(self.reasons),
                remedy="Repair what the reasons name, then start again; capsules stay closed.",
            )
        return self


def assess(
    libraries: tuple[str, ...] = ("numpy",),
    *,
    run_as: tuple[int, int] | None = None,
    layout: Layout | None = None,
    bwrap: Path | None = None,
) -> SandboxLevel:
    """Run every canary once: about a second, most of it new zygotes after kills.

    Never raises for a machine that is not up to it: that is L0 with bubblewrap's own words and
    the remedy.
    """
    try:
        with Zygote.start(libraries, run_as=run_as, layout=layout, bwrap=bwrap) as zygote:
            failures = _failures(zygote)
            abi = zygote.landlock_abi
    except SandboxError as problem:
        return SandboxLevel(Level.L0, (str(problem),))
    if failures:
        return SandboxLevel(Level.L0, tuple(failures))
    return grade(abi, bounded=memory_is_bounded(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")))


def grade(landlock_abi: int, *, bounded: bool) -> SandboxLevel:
    """The level of a machine on which every canary was stopped. Pure."""
    reasons = []
    if landlock_abi < LANDLOCK_WITH_SCOPES:
        reasons.append(
            f"Landlock answers ABI {landlock_abi}, {LANDLOCK_WITH_SCOPES} is needed for L3: "
            "a newer kernel (6.12) brings it"
        )
    if not bounded:
        reasons.append(
            "no memory cgroup bounds this process: start the worker from its systemd unit, which "
            "sets MemoryMax"
        )
    return SandboxLevel(Level.L2 if reasons else Level.L3, tuple(reasons))


def memory_is_bounded(membership: Path, root: Path) -> bool:
    """Whether a memory cgroup (v2 or v1) at or above this process has a limit."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return False
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        place = base / path.lstrip("/")
        while True:
            if _limited(place / name):
                return True
            if place == base:
                break
            place = place.parent
    return False


def _limited(file: Path) -> bool:
    try:
        text = file.read_text().strip()
    except OSError:
        return False
    return text.isdigit() and int(text) < CGROUP_V1_UNLIMITED


def _failures(zygote: Zygote) -> list[str]:
    failures = []
    with zygote.load(_job("benign", b"{}")) as job:
        outcome = zygote.run(job, EMPTY_TABLES)
        if _answer(outcome) != BENIGN_ANSWER:
            failures.append(f"an honest numpy job ended with {outcome.status.value}")
    for name, expected in CANARIES.items():
        with zygote.load(_job("canary", b'{"name":"%s"}' % name.encode())) as job:
            found = _ending(zygote, job)
        if found != expected:
            failures.append(f"the canary {name} was {found}, it should have been {expected}")
    return failures


def _ending(zygote: Zygote, job: LoadedJob) -> str:
    outcome = zygote.run(job, EMPTY_TABLES)
    if outcome.status is Status.killed_policy:
        return KILLED
    if outcome.status is Status.ok:
        return "not stopped" if _answer(outcome) else DENIED
    return str(outcome.status.value)


def _answer(outcome: Outcome) -> int | None:
    if outcome.frame is None:
        return None
    (value,) = struct.unpack("<q", outcome.frame)
    return int(value)


def _job(function: str, parameters: bytes) -> Job:
    return Job(
        sources={"canaries.py": CANARY_SOURCE},
        entry=f"canaries:{function}",
        parameters=parameters,
        outputs=(OutputField("answer", "int64", (1,)),),
        limits=CANARY_LIMITS,
    )
