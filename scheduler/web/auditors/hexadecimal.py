"""Bytes as people compare them: offset, sixteen bytes, and what of them is text."""

from __future__ import annotations

WIDTH = 16
MOST = 8192  # bytes on a page; the download has all of them


def dump(data: bytes) -> str:
    """The first `MOST` bytes, sixteen a line."""
    shown = data[:MOST]
    return "\n".join(_line(at, shown[at : at + WIDTH]) for at in range(0, len(shown), WIDTH))


def _line(at: int, part: bytes) -> str:
    letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
    return f"{at:08x}  {part.hex(' '):<{3 * WIDTH - 1}}  {letters}"
