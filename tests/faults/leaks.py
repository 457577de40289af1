"""Where something secret could have been left: files, and what a core file would hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_PIECE = 1 << 24


def files(folder: Path) -> Iterator[Path]:
    """Every file below `folder`."""
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def memory(pid: int) -> Iterator[bytes]:
    """What a process has written to its memory, as a core file of this moment would hold it."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as stream:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            start, end = (int(part, 16) for part in place.split("-"))
            for at in range(start, end, _PIECE):
                try:
                    stream.seek(at)
                    yield stream.read(min(_PIECE, end - at))
                except (OSError, ValueError, OverflowError):
                    break  # unmapped meanwhile, or the kernel's
