"""Files in memory: the capsule's table at `data-path`, and whatever an app writes, which is lost.

The sandbox has no file system and refuses every call that would look for one. An unmodified app
opens its data by a path, and saves its model at the end; both work here, on a few bytes of this
process. Nothing is a boundary: there is simply nothing else to open.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import posixpath
import random
import stat
import sys
import time
from typing import Any

HOME = "/app"
_DIRECTORY, _FILE = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644
# An app that waits for something to change waits in vain: after so many naps it is stopped.
MAXIMUM_NAPS = 1000


class _Kept(io.BytesIO):
    """A file being written; its bytes are kept when it is closed."""

    def __init__(self, files: MemoryFiles, path: str, content: bytes) -> None:
        super().__init__(content)
        self._files, self._path = files, path

    def close(self) -> None:
        if not self.closed:
            self._files.contents[self._path] = self.getvalue()
        super().close()


class MemoryFiles:
    """A tiny file system: path -> bytes; every folder of a file exists."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = dict(contents)
        self._folders = {"/", HOME}

    def open(
        self,
        file: Any,
        mode: str = "r",
        _buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *_: Any,
        **__: Any,
    ) -> Any:
        """The builtin open, for these files. Raises FileNotFoundError, PermissionError."""
        if isinstance(file, int):
            raise PermissionError(errno.EPERM, "no descriptor can be opened here", file)
        path = self._path(file)
        if "r" in mode and path not in self.contents:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), file)
        if "r" in mode and "+" not in mode:
            raw: io.BytesIO = io.BytesIO(self.contents[path])
        else:
            raw = _Kept(self, path, b"" if "w" in mode else self.contents.get(path, b""))
            raw.seek(0, io.SEEK_END if "a" in mode else io.SEEK_SET)
        if "b" in mode:
            return raw
        return io.TextIOWrapper(raw, encoding or "utf-8", errors, newline)

    def stat(self, path: Any, **_: Any) -> os.stat_result:
        """As os.stat. Raises FileNotFoundError."""
        known = self._path(path)
        if known in self.contents:
            return os.stat_result((_FILE, 1, 0, 1, 0, 0, len(self.contents[known]), 0, 0, 0))
        if self._is_folder(known):
            return os.stat_result((_DIRECTORY, 1, 0, 1, 0, 0, 0, 0, 0, 0))
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def listdir(self, path: Any = HOME) -> list[str]:
        """As os.listdir."""
        start = self._path(path).rstrip("/") + "/"
        below = (name for name in {*self.contents, *self._folders} if name.startswith(start))
        return sorted({name[len(start) :].split("/")[0] for name in below} - {""})

    def mkdir(self, path: Any, *_: Any, **__: Any) -> None:
        """As os.mkdir."""
        if self._is_folder(self._path(path)):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        self._folders.add(self._path(path))

    def remove(self, path: Any, **_: Any) -> None:
        """As os.remove. Raises FileNotFoundError."""
        if self.contents.pop(self._path(path), None) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def _path(self, path: Any) -> str:
        return posixpath.normpath(posixpath.join(HOME, os.fsdecode(path)))

    def _is_folder(self, path: str) -> bool:
        start = path.rstrip("/") + "/"
        return path in self._folders or any(name.startswith(start) for name in self.contents)

    def install(self) -> None:
        """Take the place of the real calls in this process, for good."""
        builtins.open = io.open = self.open  # type: ignore[assignment]
        os.stat = os.lstat = self.stat
        os.listdir, os.mkdir = self.listdir, self.mkdir  # type: ignore[assignment]
        os.remove = os.unlink = self.remove
        os.getcwd = lambda: HOME
        _reach_numpy(self)
        _reach_torch(self)


def _reach_numpy(files: MemoryFiles) -> None:
    # loadtxt and genfromtxt hold on to the open they found when numpy was loaded.
    source = sys.modules.get("numpy.lib._datasource")
    with contextlib.suppress(AttributeError, TypeError):
        source._file_openers._load()  # type: ignore[union-attr] # noqa: SLF001
        source._file_openers._file_openers[None] = files.open  # type: ignore[union-attr] # noqa: SLF001


def _reach_torch(files: MemoryFiles) -> None:
    # torch.save opens a path in C++; given a file object it writes through Python.
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return
    save = torch.save

    def save_in_memory(obj: Any, f: Any, *arguments: Any, **named: Any) -> None:
        if not isinstance(f, str | os.PathLike):
            save(obj, f, *arguments, **named)
            return
        with files.open(f, "wb") as stream:
            save(obj, stream, *arguments, **named)

    torch.save = save_in_memory


class Naps:
    """time.sleep for an app whose world stands still: nothing passes, and it ends."""

    def __init__(self, stop: Any) -> None:
        """`stop` is called, and should raise, when the app has slept MAXIMUM_NAPS times."""
        self._stop, self.taken = stop, 0

    def sleep(self, _seconds: Any) -> None:
        """As time.sleep, at once."""
        self.taken += 1
        if self.taken > MAXIMUM_NAPS:
            self._stop()


def fix_chance(seed: int) -> None:
    """One seed for all that draws: a ServerApp that is played again must do the same again.

    The kernel's generator cannot be asked in the sandbox; what asks it gets seeded bytes, which
    makes `default_rng()` and `uuid4()` work, and the same each time. Not for keys: nothing here
    has any.
    """
    random.seed(seed)
    source = random.Random(seed)  # noqa: S311 - repeatable on purpose
    os.urandom = source.randbytes
    random._urandom = source.randbytes  # type: ignore[attr-defined] # noqa: SLF001
    import numpy as np  # noqa: PLC0415

    np.random.seed(seed)  # the shared generator that apps use
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def stop_clock(naps: Naps) -> None:
    """Let sleeping take no time."""
    time.sleep = naps.sleep
