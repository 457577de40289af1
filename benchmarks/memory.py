"""Memory of processes as the kernel counts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Memory:
    """Of one process, in MiB.

    `proportional` (PSS) splits shared pages between those who share them; None where the kernel
    shows it to root alone, because the process forbids inspection. `resident` counts them whole.
    """

    proportional: float | None
    resident: float


def of(process: int) -> Memory:
    """The memory of one process. Raises OSError when it is gone."""
    resident = _kib(_PROC / str(process) / "status", "VmRSS") or 0
    try:
        proportional = _kib(_PROC / str(process) / "smaps_rollup", "Pss")
    except PermissionError:
        proportional = None
    return Memory(None if proportional is None else proportional / 1024, resident / 1024)


def descendants(process: int) -> list[int]:
    """All processes below `process`, whatever namespace they live in."""
    parents: dict[int, int] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            try:
                # The name in brackets may hold spaces; the parent is the second field after it.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended while we looked
            parents[int(entry.name)] = int(fields[1])
    found: list[int] = []
    pending = [process]
    while pending:
        above = pending.pop()
        below = sorted(child for child, parent in parents.items() if parent == above)
        found += below
        pending += below
    return found


def _kib(path: Path, field: str) -> int | None:
    for line in path.read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == field:
            return int(rest.split()[0])
    return None
