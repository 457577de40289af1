"""The layers of the sandbox, each with a switch that only a test's constructor can reach.

Production code builds `Layers()` and nothing else: no flag, variable or file leads here (a test
reads the sources and holds us to it). The switches exist so that the escape suite can show, for
every attack, which layer stops it, by taking that one layer away and watching the attack work.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Layers:
    """Which layers are up. Every field False removes exactly one of them."""

    syscalls: bool = True  # stage 2: the list of 26 calls
    exec_ban: bool = True  # stage 2: no new executable memory
    arch_check: bool = True  # stage 2: 64-bit x86 calls only (no int 0x80, no x32)
    landlock: bool = True  # no path, no TCP, no signal out of the child
    rlimits: bool = True  # address space, CPU, processes, files
    wall: bool = True  # the deadline
    close_fds: bool = True  # a child keeps four descriptors
    dumpable: bool = True  # memory of the child and of the zygote closed to ptrace
    mounts: bool = True  # private root with a bind list, instead of the host's files
    network: bool = True  # private, empty network namespace
    ipc: bool = True  # private System V and POSIX queues
    pids: bool = True  # private process ids: no other process has a name
    environment: bool = True  # cleared variables
    frame_check: bool = True  # exactly one frame of exactly the declared length
    recycle: bool = True  # a new zygote after N capsules and after any forbidden call

    def inside(self) -> dict[str, bool]:
        """The switches that the program inside the sandbox has to know."""
        names = ("syscalls", "landlock", "rlimits", "wall", "close_fds", "dumpable")
        return {name: value for name, value in asdict(self).items() if name in names}


ALL = Layers()
