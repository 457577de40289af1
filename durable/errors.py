"""What can go wrong between a program and its disk."""

from __future__ import annotations

import errno
from pathlib import Path

from trust.problem import Kind, Problem


class DurableError(Problem):
    """Root of this package's refusals."""

    code = "durable"


class StorageFailed(DurableError):
    """A write or read failed; what was there before is intact."""

    code = "storage-failed"
    kind = Kind.UNAVAILABLE
    retryable = True
    advice = "check the disk, and that this user may read and write the folder; then start again"

    @classmethod
    def writing(cls, path: Path, error: OSError) -> StorageFailed:
        """The refusal for `error` met while writing `path`."""
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return DiskFull(
                f"the disk that holds {path.parent} is full",
                remedy="free some space there; nothing was lost or half written, work resumes",
            )
        return cls(
            f"could not write {path}: {error.strerror}",
            remedy=f"check that {path.parent} exists and is writable by this user",
        )


class DiskFull(StorageFailed):
    """No space left on the device."""

    code = "disk-full"
    kind = Kind.EXHAUSTED


class BlobCorrupted(DurableError):
    """Stored bytes no longer have the digest they are filed under."""

    code = "blob-corrupted"
    kind = Kind.UNVERIFIED


class BlobMissing(DurableError):
    """No blob is filed under this digest."""

    code = "blob-missing"
    kind = Kind.NOT_FOUND


class KeyFileRefused(DurableError):
    """A private key file that is missing, malformed or readable by others."""

    code = "key-file-refused"
    kind = Kind.INVALID
    advice = "restore the key file from its backup; without one, let a new key take its place"
