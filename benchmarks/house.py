"""The machine and the versions that a table of figures is worth nothing without."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from capsule_runtime.errors import SandboxUnavailable
from capsule_runtime.sandbox.startup import find_bwrap

PACKAGES = ("numpy", "grpcio", "protobuf", "cryptography", "pynacl", "pydantic", "tenseal")
# Durable writes are measured where a state directory would lie: never on a memory file system.
SCRATCH = Path("/var/tmp")  # noqa: S108 - the place; directories in it are made by mkdtemp


def inspect_house() -> dict[str, str]:
    """Facts in the order to show them. The load tells whether the machine had other work."""
    total = _field(Path("/proc/meminfo"), "MemTotal").removesuffix(" kB")
    return {
        "processor": _field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(total or 0) / 2**20:.1f} GiB",
        "kernel": platform.release(),
        "file system": f"{file_system(SCRATCH)} (durable writes)",
        "load": f"{os.getloadavg()[0]:.1f} runnable processes in the minute before",
        "started by": "root" if os.geteuid() == 0 else "an ordinary user",
        "python": platform.python_version(),
        "bubblewrap": _bubblewrap(),
        **{name: _version(name) for name in PACKAGES},
    }


def file_system(path: Path) -> str:
    """The type of the file system that holds `path`."""
    best, found = "", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split(" ")
        if path.is_relative_to(place) and len(place) >= len(best):
            best, found = place, kind
    return found


def _field(path: Path, name: str) -> str:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _bubblewrap() -> str:
    try:
        done = subprocess.run(
            [find_bwrap(), "--version"], capture_output=True, check=False, text=True, timeout=10
        )
    except (SandboxUnavailable, OSError, subprocess.SubprocessError):
        return "not installed"
    return done.stdout.strip().removeprefix("bubblewrap ")
