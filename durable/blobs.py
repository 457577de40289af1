"""A content-addressed folder: `sha256/ab/abcd…`; a blob is checked whenever it is read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from durable.errors import BlobCorrupted, BlobMissing, StorageFailed
from durable.files import make_directory, sync_directory, write_atomic
from trust.ids import Digest


class BlobFolder:
    """Blobs below `root`; safe for many readers and writers, since names are contents."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, digest: Digest) -> Path:
        """Where the blob is or would be."""
        # Parsed again: a digest made by hand from a message would lead anywhere.
        name = Digest.parse(digest).removeprefix("sha256:")
        return self._root / "sha256" / name[:2] / name

    def room(self) -> tuple[int, int]:
        """Bytes free on the disk that holds it, and bytes in all. Raises StorageFailed."""
        place = self._root
        while not place.exists() and place != place.parent:
            place = place.parent  # nothing was put yet
        try:
            usage = shutil.disk_usage(place)
        except OSError as error:
            raise StorageFailed(
                f"could not look at the disk of {place}: {error.strerror}"
            ) from error
        return usage.free, usage.total

    def put(self, data: bytes) -> Digest:
        """Store `data` durably; storing it again is free. Raises StorageFailed."""
        digest = Digest.of(data)
        path = self.path(digest)
        if not path.exists():
            make_directory(path.parent)
            write_atomic(path, data)
        return digest

    def adopt(self, source: Path, digest: Digest) -> None:
        """File `source`, whose bytes are durable and those of `digest`, by moving it here.

        Nothing is copied: of large blobs that would be most of the work. Raises StorageFailed.
        """
        path = self.path(digest)
        try:
            if path.exists():
                source.unlink(missing_ok=True)  # or it was moved in an earlier try
                return
            make_directory(path.parent)
            source.rename(path)
            sync_directory(path.parent)
        except OSError as error:
            raise StorageFailed.writing(path, error) from error

    def has(self, digest: Digest) -> bool:
        """Whether a blob is filed under `digest` (its bytes are checked on `get`)."""
        return self.path(digest).exists()

    def size(self, digest: Digest) -> int | None:
        """Bytes filed under `digest` (unchecked, as for `has`); None where there are none."""
        try:
            return self.path(digest).stat().st_size
        except OSError:
            return None

    def get(self, digest: Digest) -> bytes:
        """The blob. Raises BlobMissing, BlobCorrupted or StorageFailed."""
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise BlobMissing(
                f"no blob {digest} is stored here",
                remedy="fetch it from the party that named it",
                digest=digest,
            ) from error
        except OSError as error:
            raise StorageFailed(f"could not read blob {digest}: {error.strerror}") from error
        if Digest.of(data) != digest:
            raise BlobCorrupted(
                f"the bytes stored as {digest} have another digest",
                remedy="check the disk; delete the file and fetch the blob again",
                digest=digest,
            )
        return data

    def remove(self, digest: Digest) -> None:
        """Forget a blob; a missing one is fine."""
        self.path(digest).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[Digest]:
        for path in sorted(self._root.glob("sha256/??/*")):
            if not path.name.startswith("."):
                yield Digest("sha256:" + path.name)
