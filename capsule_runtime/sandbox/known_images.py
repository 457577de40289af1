"""Images that were hashed before and whose files nobody has touched since.

torch has 750 MB in 12,000 files: to read them at every start would cost an idle desktop a second
of a core and its page cache. A file's status change time moves with every write, rename and
change of mode, and no program can set it, so files with the same names, inodes, sizes and times
are the ones that were hashed. Who can move a machine's clock, or write to its disk past the
kernel, could state any image anyway: without attested hardware it is a claim.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

from capsule_runtime.sandbox import seccomp
from capsule_runtime.sandbox.image import DOMAIN, RuntimeImage, places, walk
from capsule_runtime.sandbox.layout import Layout
from durable.errors import StorageFailed
from durable.files import write_atomic
from trust.errors import TrustError
from trust.ids import Digest

NAME = "images.json"


class KnownImages:
    """The images of one worker's layouts, kept in its state directory."""

    def __init__(self, state: Path) -> None:
        self._path = state / NAME
        self._known = self._read()
        # Runtimes share most of their files. Both are gone with this object, after the start.
        self._trees: dict[Path, str] = {}
        self._hashes: dict[Path, str] = {}

    def digest(self, layout: Layout) -> Digest:
        """The image of `layout`, hashed only when one of its files has changed. Raises OSError."""
        # Taken before the hashing: what changes meanwhile has another appearance next time.
        seen = self._appearance(layout)
        name = " ".join(layout.library_names)
        known = self._known.get(name)
        if known is not None and known[0] == seen:
            return known[1]
        digest = RuntimeImage.of(layout, self._hashes).digest
        self._known[name] = (seen, digest)
        # A crash or a full disk loses nothing but the time to hash again.
        plain = {key: [look, str(image)] for key, (look, image) in self._known.items()}
        with contextlib.suppress(StorageFailed):
            write_atomic(self._path, json.dumps(plain, sort_keys=True).encode())
        return digest

    def _read(self) -> dict[str, tuple[str, Digest]]:
        try:
            found = json.loads(self._path.read_bytes())
            return {key: (str(look), Digest.parse(image)) for key, (look, image) in found.items()}
        except (OSError, ValueError, TypeError, AttributeError, TrustError):
            return {}  # missing, or damaged: everything is hashed again

    def _appearance(self, layout: Layout) -> str:
        stage2 = seccomp.stage2()
        assert stage2 is not None
        total = hashlib.sha256(DOMAIN)
        total.update(f"{seccomp.stage1().sha256} {stage2.sha256}".encode())
        for name, place in places(layout):
            if place not in self._trees:
                self._trees[place] = appearance(place)
            total.update(f"\n{name} {self._trees[place]}".encode())
        return total.hexdigest()


def appearance(place: Path) -> str:
    """Changes whenever a file below was written, replaced, renamed or re-linked. Raises OSError."""
    lines = []
    for name, path in walk(place, ""):
        found = os.lstat(path)
        lines.append(
            f"{name} {found.st_dev} {found.st_ino} {found.st_mode} {found.st_size} "
            f"{found.st_mtime_ns} {found.st_ctime_ns}"
        )
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
