"""The port through which checks read evidence, and the folder that implements it.

log/checkpoint, log/tile/...        a static C2SP log
log/checkpoints/<name>              earlier checkpoints that somebody kept
objects/sha256/xx/<hex>             envelopes and blobs by digest
objects/index                       their digests, one a line, sorted (optional)
policy/root-<n>.json                the chain of territory roots
policy/log-policy.txt               the log policy of the newest root
restricted/<name>.json              salts of commitments, for accredited auditors
restricted/objects/sha256/xx/<hex>  what those commitments are about
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Protocol

from audit.errors import AuditFailure, EvidenceMissing

# An int64 column blob may have 64 MiB (protection.columns); nothing in evidence is larger.
MAXIMUM_FILE_BYTES = 64 << 20
MAXIMUM_FILES = 5_000_000


class Evidence(Protocol):
    """Read-only evidence; paths are relative, with forward slashes."""

    def files(self) -> frozenset[str]:
        """Every file. Raises AuditFailure for anything that is not a plain file or folder."""
        ...

    def read(self, path: str) -> bytes:
        """The bytes of one file. Raises LookupError when it is absent, AuditFailure too large."""
        ...


class EvidenceFolder:
    """Evidence in a directory of this machine; symbolic links are refused, never followed."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise EvidenceMissing(
                f"{root} is not a folder", remedy="give the evidence folder itself, or its address"
            )
        self._root = root

    def files(self) -> frozenset[str]:
        found: list[str] = []
        pending = [""]
        while pending:
            prefix = pending.pop()
            with os.scandir(self._root / prefix) as entries:
                for entry in entries:
                    path = f"{prefix}{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(f"{path}/")
                    elif entry.is_file(follow_symlinks=False):
                        found.append(path)
                        if len(found) > MAXIMUM_FILES:
                            raise AuditFailure(
                                f"the evidence has over {MAXIMUM_FILES} files",
                                remedy="give a folder that holds one territory's evidence alone",
                            )
                    else:
                        raise AuditFailure(
                            f"{path[:120]!a} is neither a plain file nor a folder",
                            remedy="give a folder that holds the evidence alone",
                        )
        return frozenset(found)

    def read(self, path: str) -> bytes:
        try:
            # The file may have become a link or a pipe since it was listed.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(self._root / path, flags)
        except OSError as error:
            raise LookupError(path) from error
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise AuditFailure(f"{path} is not a plain file")
            if status.st_size > MAXIMUM_FILE_BYTES:
                raise AuditFailure(f"{path} has over {MAXIMUM_FILE_BYTES} bytes")
            return stream.read(MAXIMUM_FILE_BYTES + 1)
