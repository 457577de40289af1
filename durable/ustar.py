"""A plain tar archive as a stream: the same files give the same bytes, whoever makes it, whenever.

No owner, no time, no compression; the POSIX ustar form that every tar reads.
"""

from __future__ import annotations

import tarfile

BLOCK = 512  # bytes: headers and contents are filled up to whole blocks
END = bytes(2 * BLOCK)


def header(path: str, size: int) -> bytes:
    """What stands before a file of `size` bytes. Raises ValueError for a path that is too long."""
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode, entry.mtime = size, 0o644, 0
    return entry.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def padding(size: int) -> bytes:
    """What fills a file of `size` bytes up to whole blocks."""
    return bytes(-size % BLOCK)


def length(sizes: list[int]) -> int:
    """The bytes of an archive of files of these sizes."""
    return sum(BLOCK + size + len(padding(size)) for size in sizes) + len(END)
