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
    def of(cls, layout: Layout) -> RuntimeImage:
        """Hash a layout: about 130 MB with numpy, some hundred milliseconds. Raises OSError."""
        files = dict(_entries(layout))
        stage2 = seccomp.stage2()
        assert stage2 is not None
        files["filter/stage1"] = seccomp.stage1().sha256
        files["filter/stage2"] = stage2.sha256
        listing = tuple(sorted(files.items()))
        total = hashlib.sha256(DOMAIN)
        for path, digest in listing:
            total.update(path.encode() + b"\0" + digest.encode() + b"\n")
        return cls(Digest.from_bytes(total.digest()), listing)


def _entries(layout: Layout) -> Iterator[tuple[str, str]]:
    yield f"interpreter/{layout.executable.target.name}", _hash(layout.executable.source)
    groups = (
        ("stdlib", layout.stdlib),
        ("library", layout.libraries),
        ("inside", (layout.inside,)),
    )
    for group, binds in groups:
        for bind in binds:
            yield from _walk(bind.source, f"{group}/{bind.target.name}")


def _walk(path: Path, name: str) -> Iterator[tuple[str, str]]:
    if not path.is_dir():
        yield name, _hash(path)
        return
    with os.scandir(path) as entries:
        for entry in entries:
            inner = f"{name}/{entry.name}"
            if entry.is_symlink():
                # A link is what it says, not what it reaches: its goal may lie outside.
                text = Path(entry.path).readlink()
                yield inner, hashlib.sha256(b"link\0" + os.fsencode(text)).hexdigest()
            elif entry.is_dir():
                if entry.name not in CACHES:
                    yield from _walk(Path(entry.path), inner)
            elif entry.is_file():
                yield inner, _hash(Path(entry.path))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
