"""Atomic, durable file writes: a reader sees the old bytes or the new ones, never a mixture.

Sequence: write a temporary file beside the target, fsync it, rename it over the target, fsync
the directory. If we crash before the rename the target is untouched (a stray temporary file
may remain); after the rename but before the last fsync a power cut may bring the old file
back, so nothing may be answered before `write_atomic` has returned.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from durable.errors import StorageFailed


def sync_directory(path: Path) -> None:
    """Make the names inside `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path, mode: int = 0o755) -> None:
    """Create `path` (and its parents) durably; an existing directory is left as it is."""
    if path.is_dir():
        return
    make_directory(path.parent, mode)
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        return
    except OSError as error:
        raise StorageFailed.writing(path, error) from error
    sync_directory(path.parent)


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `data` durably. Raises StorageFailed; then the old file is intact."""
    try:
        _write(path, data, mode, Path.rename)
    except OSError as error:
        raise StorageFailed.writing(path, error) from error


def write_new(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write `data` durably to `path`, which must not exist, not even as a dangling link.

    Raises FileExistsError or StorageFailed; of several writers at once exactly one succeeds.
    """
    try:
        _write(path, data, mode, _link)
    except FileExistsError:
        raise
    except OSError as error:
        raise StorageFailed.writing(path, error) from error


def _link(temporary: Path, path: Path) -> None:
    path.hardlink_to(temporary)  # unlike a rename it never replaces
    temporary.unlink()


def _write(path: Path, data: bytes, mode: int, place: Callable[[Path, Path], object]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        place(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
