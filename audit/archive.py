"""Evidence in one tar file, as the log's page of a campaign offers it; nothing is unpacked."""

from __future__ import annotations

import tarfile
from pathlib import Path

from audit.errors import AuditFailure, EvidenceMissing
from audit.evidence import MAXIMUM_FILE_BYTES, MAXIMUM_FILES

_REMEDY = "download the archive again and compare its SHA-256 with the page's"


class EvidenceArchive:
    """An uncompressed tar of plain files."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, tuple[int, int]] = {}  # first byte and size

    def files(self) -> frozenset[str]:
        found: dict[str, tuple[int, int]] = {}
        try:
            end = self._path.stat().st_size
            with tarfile.open(self._path, "r:") as tar:
                for member in tar:
                    # Links, devices and sparse files have no place; a name twice would hide one.
                    plain = member.type in {tarfile.REGTYPE, tarfile.AREGTYPE}
                    if not plain or member.name in found:
                        raise AuditFailure(
                            f"{member.name[:120]!a} is no plain file, or there twice",
                            remedy=_REMEDY,
                        )
                    if member.size > MAXIMUM_FILE_BYTES or len(found) >= MAXIMUM_FILES:
                        raise AuditFailure("the archive has more than an audit takes")
                    if member.offset_data + member.size > end:
                        raise AuditFailure("the archive ends within a file", remedy=_REMEDY)
                    found[member.name] = (member.offset_data, member.size)
        except OSError as error:
            raise EvidenceMissing(
                f"could not read {self._path}: {error.strerror}", remedy="check the path"
            ) from error
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise AuditFailure(f"{self._path} is no tar archive", remedy=_REMEDY) from error
        self._places = found
        return frozenset(found)

    def read(self, path: str) -> bytes:
        if path not in self._places:
            raise LookupError(path)
        first, size = self._places[path]
        with self._path.open("rb") as file:
            file.seek(first)
            return file.read(size)
