"""The file of a backup: a tar of named files, the manifest with their hashes last.

Names are ours: whatever else a tar could hold (links, devices, ways out of the folder) is refused
before anything is written. A file that breaks off has no manifest, and so is no backup.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from durable.errors import StorageFailed
from durable.files import make_directory, sync_directory
from scheduler.errors import BackupRefused
from trust.clock import from_text, to_text

FORMAT = "cadastre-backup-v1"
MANIFEST = "manifest.json"
DATABASE = "scheduler.db"
SEALED_KEYS = "keys.sealed"
PRIVATE = 0o600
_FOLDER = 0o700
_LARGEST_MANIFEST = 512 * 1024**2
_CHUNK = 1 << 20
# Everything that a state directory may get back, and nothing else.
_NAME = re.compile(
    r"config\.json|authority\.der|offer\.json|roots/[1-9][0-9]{0,3}\.json|scheduler\.db"
    r"|keys\.sealed|log/(?:state|staged|public/checkpoint"
    r"|public/tile/(?:[0-9]{1,2}|entries)(?:/x[0-9]{3}){0,6}/[0-9]{3}(?:\.p/[0-9]{1,3})?)"
    r"|objects/sha256/(?P<two>[0-9a-f]{2})/(?P=two)[0-9a-f]{62}"
)


@dataclass(frozen=True)
class Manifest:
    """What the archive is of. `files` has size and sha256 by name."""

    territory: str
    taken_at: datetime
    log_size: int
    log_root: str  # hex
    files: dict[str, tuple[int, str]]

    def emit(self) -> bytes:
        """The stored form."""
        fields = {**asdict(self), "taken_at": to_text(self.taken_at)}
        return json.dumps({"format": FORMAT, **fields}, indent=1).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Raises BackupRefused."""
        try:
            fields: dict[str, Any] = json.loads(data)
            known = fields.pop("format") == FORMAT
            files = {str(name): (int(size), str(mark)) for name, (size, mark)
                     in fields.pop("files").items()}  # fmt: skip
            taken_at = from_text(fields.pop("taken_at"))
            found = cls(taken_at=taken_at, files=files, **fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _unread() from error
        if not known:
            raise _unread()
        return found


class Writer:
    """Files into a tar, hashed on their way; `close` adds the manifest. Nothing is kept before."""

    def __init__(self, stream: BinaryIO) -> None:
        self._tar = tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by `close`
        self._files: dict[str, tuple[int, str]] = {}

    def add(self, name: str, data: bytes) -> None:
        """One small file."""
        self._put(name, io.BytesIO(data), len(data))

    def copy(self, name: str, path: Path) -> None:
        """One file from the disk. Raises FileNotFoundError when it is gone by now."""
        with path.open("rb") as stream:
            self._put(name, stream, os.fstat(stream.fileno()).st_size)

    def close(self, territory: str, taken_at: datetime, log_size: int, log_root: bytes) -> Manifest:
        """Write the manifest and the end of the tar."""
        manifest = Manifest(territory, taken_at, log_size, log_root.hex(), self._files)
        data = manifest.emit()
        self._tar.addfile(_entry(MANIFEST, len(data)), io.BytesIO(data))
        self._tar.close()
        return manifest

    def _put(self, name: str, stream: BinaryIO, size: int) -> None:
        assert _NAME.fullmatch(name), name
        hashing = _Hashing(stream, size)
        self._tar.addfile(_entry(name, size), hashing)
        self._files[name] = (size, hashing.mark)


def unpack(path: Path, folder: Path) -> Manifest:
    """Write every file of the backup below `folder`. Raises BackupRefused, StorageFailed."""
    found: dict[str, tuple[int, str]] = {}
    manifest: Manifest | None = None
    try:
        with tarfile.open(path, "r:") as tar:
            for entry in tar:
                stream = tar.extractfile(entry) if entry.isreg() else None
                if stream is None or manifest is not None or entry.name in found:
                    raise BackupRefused(f"{entry.name[:80]!r} is nothing that a backup holds")
                if entry.name == MANIFEST and entry.size <= _LARGEST_MANIFEST:
                    manifest = Manifest.parse(stream.read())
                    continue
                if not _NAME.fullmatch(entry.name):
                    raise BackupRefused(f"{entry.name[:80]!r} is nothing that a backup holds")
                found[entry.name] = _written(stream, entry.size, folder / entry.name)
    except tarfile.TarError as error:
        raise _broken(path) from error
    except OSError as error:
        raise StorageFailed(f"the backup was not unpacked: {error.strerror or error}") from error
    if manifest is None:
        raise _broken(path)
    if found != manifest.files:
        wrong = sorted(name for name in found.keys() | manifest.files.keys()
                       if found.get(name) != manifest.files.get(name))  # fmt: skip
        raise BackupRefused(
            f"{len(wrong)} files are not what was backed up, {wrong[0]} among them",
            remedy="the file was altered or its disk is failing: take another copy of it",
        )
    return manifest


def _unread() -> BackupRefused:
    return BackupRefused(
        "the manifest cannot be read",
        remedy="a newer release may have written it; otherwise take an older backup",
    )


def _broken(path: Path) -> BackupRefused:
    return BackupRefused(
        f"{path} is no whole backup: its end is missing, or it never was one",
        remedy="take another copy of it, or an older backup",
    )


def _written(stream: Any, size: int, target: Path) -> tuple[int, str]:
    make_directory(target.parent, _FOLDER)
    mark, total = hashlib.sha256(), 0
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    with os.fdopen(descriptor, "wb") as out:
        while chunk := stream.read(_CHUNK):
            mark.update(chunk)
            total += len(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if total != size:
        raise tarfile.ReadError("unexpected end of data")
    sync_directory(target.parent)
    return total, mark.hexdigest()


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, PRIVATE
    return entry


class _Hashing(io.RawIOBase):
    """Reads through, and knows the hash of what was read. Never more than `size` bytes."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        super().__init__()
        self._stream, self._left, self._mark = stream, size, hashlib.sha256()

    @property
    def mark(self) -> str:
        return self._mark.hexdigest()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        self._mark.update(data)
        return data
