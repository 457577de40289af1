"""The exact bubblewrap command line, as a pure function of a layout.

No shell, no setuid file, no /proc, no device directory, and nothing that can be written: a tmpfs
is the host's memory, so the root is remounted read-only once it stands. /proc/cpuinfo alone is
bound because numerical libraries choose their kernels (and so their last bits) by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from capsule_runtime.sandbox.layers import ALL, Layers
from capsule_runtime.sandbox.layout import (
    INSIDE_PACKAGE,
    INSIDE_ROOT,
    LIBRARY_ROOT,
    SYSTEM_LINKS,
    Layout,
)

HOST_DIRECTORIES = ("/etc", "/home", "/root", "/srv", "/sys", "/usr", "/var")
NOBODY = "65534"
# One thread, one hash seed, one locale: the same input gives the same bits.
ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "LC_ALL": "C.UTF-8",
        "HOME": "/tmp",  # noqa: S108 - an empty, read-only folder of the sandbox, not the host's
        "PATH": "/nonexistent",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
)
# -I would also ignore PYTHONHASHSEED. The environment is cleared and wholly ours, so -P -s -S
# (no script folder, no user folder, no site) isolates as well and keeps the hash seed fixed.
PYTHON_FLAGS = ("-P", "-s", "-S", "-B")


@dataclass(frozen=True)
class Boot:
    """What one start adds to the layout: the bubblewrap program and two open descriptors."""

    bwrap: Path
    control_fd: int
    filter_fd: int | None


def arguments(layout: Layout, boot: Boot, layers: Layers = ALL) -> list[str]:
    """The whole argument list, bubblewrap's own and the zygote's."""
    return [
        str(boot.bwrap),
        *_namespaces(layers),
        *("--uid", NOBODY, "--gid", NOBODY),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *_environment(layers),
        *_links(layout),
        *(() if layers.mounts else _host_directories()),
        *_binds(layout),
        *(_closed_root() if layers.mounts else ()),
        *("--chdir", "/tmp"),  # noqa: S108
        *(("--seccomp", str(boot.filter_fd)) if boot.filter_fd is not None else ()),
        "--",
        *python_command(layout, boot.control_fd),
    ]


def python_command(layout: Layout, control_fd: int) -> list[str]:
    """The interpreter's own part: our zygote from its two read-only folders."""
    start = (
        f"import sys; sys.path[:0] = [{str(INSIDE_ROOT)!r}, {str(LIBRARY_ROOT)!r}]; "
        f"from {INSIDE_PACKAGE}.zygote import main; main()"
    )
    return [str(layout.executable.target), *PYTHON_FLAGS, "-c", start, str(control_fd)]


def _namespaces(layers: Layers) -> list[str]:
    chosen = ["--unshare-user", "--disable-userns", "--assert-userns-disabled"]
    chosen += ["--unshare-ipc"] if layers.ipc else []
    chosen += ["--unshare-pid"] if layers.pids else []
    chosen += ["--unshare-net"] if layers.network else []
    return [*chosen, "--unshare-uts", "--unshare-cgroup-try", "--hostname", "capsule"]


def _environment(layers: Layers) -> list[str]:
    cleared = ["--clearenv"] if layers.environment else []
    return cleared + [
        part for name, value in ENVIRONMENT.items() for part in ("--setenv", name, value)
    ]


def _links(layout: Layout) -> list[str]:
    """/lib and /lib64, which the dynamic linker's fixed path goes through."""
    parts: list[str] = []
    for target, link in SYSTEM_LINKS:
        if any(Path("/", target) in (path, *path.parents) for path in layout.system):
            parts += ["--symlink", target, link]
    return parts


def _binds(layout: Layout) -> list[str]:
    parts: list[str] = []
    for bind in layout.binds:
        parts += ["--ro-bind", str(bind.source), str(bind.target)]
    return parts


def _closed_root() -> list[str]:
    return [
        *("--dir", "/tmp"),  # noqa: S108
        *("--dev-bind", "/dev/null", "/dev/null"),
        *("--dev-bind", "/dev/urandom", "/dev/urandom"),
        *("--ro-bind", "/proc/cpuinfo", "/proc/cpuinfo"),
        *("--remount-ro", "/"),
    ]


def _host_directories() -> list[str]:
    """The private root switched off, for the escape suite: host files, /proc, /dev, scratch."""
    parts: list[str] = []
    for path in HOST_DIRECTORIES:
        parts += ["--bind-try", path, path]
    return [*parts, "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]  # noqa: S108
