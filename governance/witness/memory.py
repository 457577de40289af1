"""What a witness must never forget: the newest checkpoint it cosigned of each log.

One file per log, named by the SHA-256 of its origin, holding the cosigned note. The directory
is created on purpose: an empty directory taken for a fresh start would be a rollback.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from pathlib import Path

from durable.errors import StorageFailed
from durable.files import make_directory, write_atomic
from governance.witness.errors import MemoryRefused

_MARKER = "witness-memory-v1"


def origin_id(origin: str) -> str:
    """The hex SHA-256 by which files and addresses name a log."""
    return hashlib.sha256(origin.encode()).hexdigest()


class WitnessMemory:
    """The memory in `directory`, held by one process at a time. Raises MemoryRefused."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._writing = threading.Lock()
        try:
            self._lock = os.open(directory / _MARKER, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise MemoryRefused(
                f"there is no witness memory in {directory}",
                remedy="create it once; if it existed, restore it: a witness that forgets can "
                "be made to cosign a rewritten log",
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise MemoryRefused(
                f"another witness uses the memory in {directory}", remedy="stop it first"
            ) from error

    @classmethod
    def create(cls, directory: Path) -> None:
        """Make an empty memory. Raises MemoryRefused if there is one, StorageFailed."""
        if (directory / _MARKER).exists():
            raise MemoryRefused(
                f"{directory} holds a witness's memory already",
                remedy="use it with `cadastre witness serve`, or name a new folder",
            )
        make_directory(directory)
        write_atomic(directory / _MARKER, b"", 0o600)

    def close(self) -> None:
        """Let another process open the memory; whoever is still at work here writes no more.

        A request that outlives the stop could otherwise write over what the next process
        cosigned meanwhile: two histories with this witness's name under both.
        """
        with self._writing:
            if self._lock >= 0:
                os.close(self._lock)
                self._lock = -1

    def read(self, origin: str) -> bytes | None:
        """The note last cosigned for `origin`, None if there never was one."""
        try:
            return (self._directory / origin_id(origin)).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageFailed(
                f"could not read the memory of {origin}: {error.strerror}",
                remedy="check the disk; the witness cosigns nothing until it can remember",
            ) from error

    def write(self, origin: str, note: bytes) -> None:
        """Remember `note`, durably when this returns. Raises StorageFailed or MemoryRefused."""
        with self._writing:
            if self._lock < 0:
                raise MemoryRefused(
                    "this witness was stopped and remembers nothing more",
                    remedy="ask the witness that runs now",
                )
            write_atomic(self._directory / origin_id(origin), note)
