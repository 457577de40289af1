"""A bundle's bytes: a reproducible, uncompressed tar, so that one bundle has one digest.

ustar, names sorted, mode 0644, no time, no owner; regular files only. It holds bundle.toml, the
Python sources, plain texts, and `files.json` with every other file's SHA-256. Reading is strict:
the bytes are accepted only if packing their contents again gives the same bytes, so nothing can
hide in a header, in padding or behind the end.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from jobs import manifest as manifests
from jobs.errors import ArchiveRefused, BundleMissing, BundleUnverified
from jobs.schema import Manifest
from trust.ids import Digest

MANIFEST = "bundle.toml"
FILES = "files.json"
# The sandbox takes 256 sources of 4 MiB in all; texts get the same room again.
MAXIMUM_FILES = 256
MAXIMUM_FILE_BYTES = 4 << 20
MAXIMUM_BYTES = 8 << 20
MAXIMUM_SOURCE_BYTES = 4 << 20
# What the header's name field holds (POSIX pax(1), ustar): longer ones would need a second field.
MAXIMUM_NAME_LETTERS = 100
_BLOCK = 512  # ustar's unit of headers, contents and padding
_SIZE = re.compile(rb"([0-7]{11})\0")
_NAME = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]{0,63}/){0,4}[A-Za-z_][A-Za-z0-9_]{0,63}\.(py|md|txt)")
_LICENCE_NAMES = frozenset({"LICENSE", "LICENCE"})
_IGNORED = frozenset({"__pycache__", "mock"})  # an author's folder also holds what is not shipped


@dataclass(frozen=True)
class Bundle:
    """A bundle whose bytes, file list and manifest hold; made by `read` only.

    It is not yet known whose it is: see `jobs.statement`.
    """

    raw: bytes = field(repr=False)
    digest: Digest
    manifest: Manifest
    manifest_digest: Digest
    files: Mapping[str, bytes] = field(repr=False)  # every file but files.json

    @property
    def sources(self) -> Mapping[str, bytes]:
        """The Python sources by path: what the sandbox may import."""
        return {path: text for path, text in self.files.items() if path.endswith(".py")}

    @property
    def filename(self) -> str:
        """The name under which an author ships it."""
        return f"{self.manifest.bundle.name}-{self.manifest.bundle.version}.cadastre"


def pack(files: Mapping[str, bytes]) -> bytes:
    """The archive of `files` (path -> bytes, with bundle.toml). Raises ArchiveRefused."""
    _check(files)
    listed = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    index = json.dumps(listed, sort_keys=True, separators=(",", ":")).encode()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, data in sorted({**files, FILES: index}.items()):
            entry = tarfile.TarInfo(path)  # mode 0644, no owner, time 0: TarInfo's own defaults
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    raw = stream.getvalue()
    if len(raw) > MAXIMUM_BYTES:
        raise ArchiveRefused(f"the bundle has {len(raw)} bytes, the limit is {MAXIMUM_BYTES}")
    return raw


def pack_folder(folder: Path) -> Bundle:
    """The bundle of an author's folder: every file that belongs in one, read and checked.

    Raises BundleMissing, ArchiveRefused or ManifestRefused.
    """
    if not (folder / MANIFEST).is_file():
        raise BundleMissing(
            f"{folder} holds no {MANIFEST}", remedy="make one with `cadastre bundle init`"
        )
    files: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        parts = name.split("/")
        if path.is_dir() or _IGNORED & set(parts) or any(part.startswith(".") for part in parts):
            continue
        if path.suffix in {".cadastre", ".sig"} or name == FILES:
            continue
        if path.is_symlink() or not path.is_file():
            raise ArchiveRefused(
                f"{name} is not a regular file", remedy="replace the link by a copy of its target"
            )
        if path.stat().st_size > MAXIMUM_FILE_BYTES:
            raise ArchiveRefused(f"{name} is over {MAXIMUM_FILE_BYTES} bytes")
        files[name] = path.read_bytes()
    return read(pack(files))


def read(raw: bytes, expected: Digest | None = None) -> Bundle:
    """The bundle in `raw`, every byte of it accounted for.

    Raises BundleUnverified when its digest is not `expected`, ArchiveRefused when it is not
    canonical, ManifestRefused when its manifest has mistakes.
    """
    if len(raw) > MAXIMUM_BYTES:
        raise ArchiveRefused(f"a bundle of {len(raw)} bytes is over the limit of {MAXIMUM_BYTES}")
    digest = Digest.of(raw)
    if expected is not None and digest != expected:
        raise BundleUnverified(
            f"the bundle's bytes have the digest {digest}, expected was {expected}",
            remedy="fetch the bundle again; if it repeats, whoever serves it has altered it",
            expected=expected,
        )
    files = _unpack(raw)
    files.pop(FILES, None)
    if pack(files) != raw:
        raise ArchiveRefused(
            "the bundle is not a canonical archive: packing its files again gives other bytes",
            remedy="make it with `cadastre bundle sign`",
        )
    manifest = manifests.read(files[MANIFEST])
    _check_entries(manifest, files)
    return Bundle(
        raw,
        digest,
        manifest,
        Digest.of(files[MANIFEST]),
        MappingProxyType(dict(sorted(files.items()))),
    )


def _unpack(raw: bytes) -> dict[str, bytes]:
    """The files of an archive laid out as `pack` lays it out.

    A general tar reader follows sparse maps (a few bytes that unfold into gigabytes), extension
    headers and negative sizes before anybody can look; this one knows regular files only, reads
    inside `raw` only, and leaves every other field of a header to the comparison with `pack`.
    """
    files: dict[str, bytes] = {}
    position = 0
    while any(header := raw[position : position + _BLOCK]):
        name = header[:MAXIMUM_NAME_LETTERS].rstrip(b"\0").decode("ascii", "replace")
        size = _SIZE.fullmatch(header[124:136])
        start = position + _BLOCK
        end = start + int(size[1], 8) if size is not None else len(raw) + 1
        if header[156:157] != tarfile.REGTYPE or end > len(raw):
            raise ArchiveRefused(
                f"{name[:80]!r} is not a regular file, or is cut: the bundle is not a canonical "
                "archive",
                remedy="fetch it again, or make it with `cadastre bundle sign`",
            )
        if name in files or len(files) > MAXIMUM_FILES:
            raise ArchiveRefused(
                f"{name[:80]!r} is there twice, or is one of too many files",
                remedy="make the bundle with `cadastre bundle sign`",
            )
        files[name] = raw[start:end]
        position = start + -(-(end - start) // _BLOCK) * _BLOCK
    return files


def _check(files: Mapping[str, bytes]) -> None:
    if MANIFEST not in files:
        raise ArchiveRefused("the bundle holds no bundle.toml")
    if len(files) > MAXIMUM_FILES:
        raise ArchiveRefused(f"the bundle has {len(files)} files, the limit is {MAXIMUM_FILES}")
    for path, data in files.items():
        known = path == MANIFEST or path in _LICENCE_NAMES or _NAME.fullmatch(path)
        if not known or len(path) > MAXIMUM_NAME_LETTERS:
            raise ArchiveRefused(
                f"{path[:120]!r} does not belong in a bundle",
                remedy="a bundle holds bundle.toml, .py sources, .md and .txt texts and LICENSE, "
                f"with names of a-z, 0-9 and _ and at most {MAXIMUM_NAME_LETTERS} letters; "
                "compiled code, pickles and data are refused",
            )
        if len(data) > MAXIMUM_FILE_BYTES:
            raise ArchiveRefused(f"{path} is over {MAXIMUM_FILE_BYTES} bytes")
    sources = sum(len(data) for path, data in files.items() if path.endswith(".py"))
    if sources > MAXIMUM_SOURCE_BYTES:
        raise ArchiveRefused(
            f"the sources have {sources} bytes, the sandbox takes {MAXIMUM_SOURCE_BYTES}",
            remedy="ship less code",
        )


def _check_entries(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    for name in ("contribute", "conclude"):
        entry: str = getattr(manifest.entry, name)
        module = entry.partition(":")[0].replace(".", "/")
        if f"{module}.py" not in files and f"{module}/__init__.py" not in files:
            raise ArchiveRefused(
                f"entry.{name} names {entry}, but the bundle holds no {module}.py",
                remedy="correct the name in bundle.toml, or add the file",
            )
