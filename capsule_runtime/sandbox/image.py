"""The runtime image: one digest for everything that decides what an algorithm computes.

It covers the interpreter, its standard library, the declared libraries, our inside code and the
two filters. It leaves out compiled caches (they follow from the sources) and the distribution's C
library, which security updates replace every few weeks. Without hardware attestation the digest
that a worker states is a claim; it serves comparison and audit, not proof.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from capsule_runtime.sandbox import seccomp
from capsule_runtime.sandbox.layout import Layout
from trust.ids import Digest

DOMAIN = b"cadastre runtime image v1\n"
CHUNK_BYTES = 1024 * 1024
CACHES = {"__pycache__"}


@dataclass(frozen=True)
class RuntimeImage:
    """The sorted files of a layout with their sha256, and the digest over that list."""

    digest: Digest
    files: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, layout: Layout, memory: dict[Path, str] | None = None) -> RuntimeImage:
        """Hash a layout: about 130 MB with numpy, 0.3 s; 900 MB with torch. Raises OSError.

        What stands in `memory` is not read again; layouts that are hashed together share one.
        """
        seen: dict[Path, str] = {} if memory is None else memory
        files = {}
        for name, path in members(layout):
            seen[path] = files[name] = seen.get(path) or _hash(path)
        stage2 = seccomp.stage2()
        assert stage2 is not None
        files["filter/stage1"] = seccomp.stage1().sha256
        files["filter/stage2"] = stage2.sha256
        listing = tuple(sorted(files.items()))
        total = hashlib.sha256(DOMAIN)
        for name, digest in listing:
            total.update(name.encode() + b"\0" + digest.encode() + b"\n")
        return cls(Digest.from_bytes(total.digest()), listing)


def members(layout: Layout) -> Iterator[tuple[str, Path]]:
    """Every file and link that the image covers, by its name there. Raises OSError."""
    for name, place in places(layout):
        yield from walk(place, name)


def places(layout: Layout) -> Iterator[tuple[str, Path]]:
    """The trees and files that the image covers, by their names there."""
    yield f"interpreter/{layout.executable.target.name}", layout.executable.source
    groups = (
        ("stdlib", layout.stdlib),
        ("library", layout.libraries),
        ("inside", (layout.inside,)),
    )
    for group, binds in groups:
        for bind in binds:
            yield f"{group}/{bind.target.name}", bind.source


def walk(path: Path, name: str) -> Iterator[tuple[str, Path]]:
    """Every file and link below `path`, caches left out, by `name` and its own. Raises OSError."""
    if not path.is_dir():
        yield name, path
        return
    with os.scandir(path) as entries:
        for entry in entries:
            inner = f"{name}/{entry.name}"
            if entry.is_symlink() or entry.is_file():
                yield inner, Path(entry.path)
            elif entry.is_dir() and entry.name not in CACHES:
                yield from walk(Path(entry.path), inner)


def _hash(path: Path) -> str:
    if path.is_symlink():
        # A link is what it says, not what it reaches: its goal may lie outside.
        return hashlib.sha256(b"link\0" + os.fsencode(path.readlink())).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
