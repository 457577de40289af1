"""The port through which the log's writer stores, and the one on a plain directory.

`public/` below the log's directory is what is served (checkpoint and tiles); the lock record
and the staged batch lie beside it and are never served.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Protocol

from durable.errors import StorageFailed
from durable.files import make_directory, sync_directory, write_atomic
from scheduler.log.errors import LogBusy, RecordMoved

PUBLIC = "public"

_LOCK = "lock"


class LogStore(Protocol):
    """Named bytes with the consistency that a log needs.

    Single writer; a read sees the last write that returned; what a write replaced it replaced
    whole; what returned is durable. A write that raises may have happened or not.
    """

    def read(self, path: str) -> bytes | None:
        """The bytes at `path`, None when there are none."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Put `data` at `path`. Raises StorageFailed."""
        ...

    def swap(self, path: str, expected: bytes | None, data: bytes) -> None:
        """Put `data` at `path` if `expected` is there. Raises RecordMoved, StorageFailed."""
        ...

    def remove(self, path: str) -> None:
        """Remove what is at `path`, if anything. Raises StorageFailed."""
        ...

    def close(self) -> None:
        """Give up the place of the single writer."""
        ...


class DirectoryStore:
    """A LogStore in a directory of small files, held by one process at a time (flock)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        make_directory(directory)
        self._lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise LogBusy(
                f"another process writes the log in {directory}",
                remedy="stop it first: two writers would sign two different logs",
            ) from error
        # Directories this process has made: one stat less for each tile.
        self._made: set[Path] = set()

    def read(self, path: str) -> bytes | None:
        try:
            return (self._directory / path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageFailed(
                f"could not read {path} of the log: {error.strerror}",
                remedy="check the disk and the rights of this user on the log's directory",
            ) from error

    def write(self, path: str, data: bytes) -> None:
        target = self._directory / path
        if target.parent not in self._made:
            make_directory(target.parent)
            self._made.add(target.parent)
        write_atomic(target, data)

    def swap(self, path: str, expected: bytes | None, data: bytes) -> None:
        # The lock makes read-compare-write one step: no other process can be between them.
        if self.read(path) != expected:
            raise RecordMoved(
                "the log's lock record changed under its writer",
                remedy="find out who else writes this directory before starting again",
            )
        self.write(path, data)

    def remove(self, path: str) -> None:
        target = self._directory / path
        try:
            target.unlink(missing_ok=True)
            sync_directory(target.parent)
        except OSError as error:
            raise StorageFailed.writing(target, error) from error

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
