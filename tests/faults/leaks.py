"""Where something secret could have been left: files, and what a core file would hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

_PAGE = os.sysconf("SC_PAGE_SIZE")
# Of a page's eight bytes in /proc/<pid>/pagemap: in memory, or moved out to disk.
_THERE = np.uint64(1 << 63 | 1 << 62)


def files(folder: Path) -> Iterator[Path]:
    """Every file below `folder`."""
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def memory(pid: int) -> Iterator[bytes]:
    """What a process has written to its memory, as a core file of this moment would hold it.

    Of a gigabyte that it may write to, most was never touched: nothing is there to be read.
    """
    process = Path(f"/proc/{pid}")
    with (process / "mem").open("rb", 0) as stream, (process / "pagemap").open("rb", 0) as pages:
        for line in (process / "maps").read_text().splitlines():
            place, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            start, end = (int(part, 16) for part in place.split("-"))
            try:
                for first, last in _written(pages, start, end):
                    stream.seek(first)
                    yield stream.read(last - first)
            except (OSError, ValueError, OverflowError):
                continue  # unmapped meanwhile, or the kernel's


def _written(pages: BinaryIO, start: int, end: int) -> list[tuple[int, int]]:
    """The runs of pages between two addresses that hold something."""
    pages.seek(start // _PAGE * 8)
    entries = np.frombuffer(pages.read((end - start) // _PAGE * 8), np.uint64)
    there = np.concatenate([[False], entries & _THERE != 0, [False]])
    edges = start + np.flatnonzero(there[1:] != there[:-1]) * _PAGE
    return [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]
