"""A copy of this program where the dedicated user can read it, when it lies in a private home.

A developer's checkout or a virtual environment below /root is closed to `cadastre-worker`. The
copy holds our own packages and every installed library; the interpreter must be one that
everybody may read (the system's). It is named by the digest of its file list, so that an
upgraded checkout makes a new copy, and finished by a rename, so that half a copy is never used.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import sysconfig
import tempfile
from pathlib import Path

from capsule_runtime.errors import RuntimeUnreadable
from capsule_runtime.sandbox.layout import Reader, choose_interpreter, readable_by_others
from worker.privileges import Account

TARGET = Path("/var/cache/cadastre/program")
PUBLIC_DIRECTORY = 0o755
# Our rooms that an agent and its broker need; the others never run on a worker.
ROOMS = (
    *("trust", "protos", "wire", "durable", "terminal", "protection", "jobs"),
    *("capsule_runtime", "worker", "client"),
)
FRONT_DOOR = "cadastre.py"
_SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc")


def source_root() -> Path:
    """The directory that holds our packages."""
    return Path(__file__).resolve().parent.parent


def readable(account: Account) -> bool:
    """Whether `account` can read the interpreter, our packages and the installed libraries."""
    reader = Reader(account.uid, frozenset({account.gid}))
    places = [Path(sys.executable), source_root(), *_libraries()]
    places += [source_root() / room for room in ROOMS]
    return all(reader.can_read(place) for place in places)


def stage(target: Path = TARGET) -> Path:
    """The directory of a readable copy, made when it is not there. Raises RuntimeUnreadable."""
    target.mkdir(parents=True, exist_ok=True)
    _require_ours(target)
    target.chmod(PUBLIC_DIRECTORY)
    if not readable_by_others(target):
        raise RuntimeUnreadable(
            f"{target} lies in a private directory, so a program staged there would be too",
            remedy="open its parents (chmod o+x), or install Cadastre with deploy/install.sh",
        )
    home = target / _name()
    if home.exists():
        _require_ours(home)
        return home
    with tempfile.TemporaryDirectory(dir=target, prefix=".staging-") as scratch:
        building = Path(scratch) / "program"
        building.mkdir()
        for room in ROOMS:
            shutil.copytree(source_root() / room, building / room, ignore=_SKIPPED)
        shutil.copy2(source_root() / FRONT_DOOR, building / FRONT_DOOR)
        for place in _libraries():
            shutil.copytree(place, building, ignore=_SKIPPED, dirs_exist_ok=True, symlinks=True)
        _open_to_all(building)
        _settle(building, home)
    return home


def _settle(building: Path, home: Path) -> None:
    """Give a finished copy its name, unless another worker's start was quicker."""
    try:
        building.rename(home)
    except OSError:
        if not home.exists():
            raise
        _require_ours(home)


def _require_ours(target: Path) -> None:
    """What is staged is run again by root, to drop from there: only root may have written it.

    Raises RuntimeUnreadable unless `target` and every directory above it belong to us or to
    root and are writable by nobody else (a sticky one above, like /var/tmp, keeps its names).
    """
    for place in (target, *target.absolute().parents):
        found = place.lstat()
        theirs = found.st_uid not in {0, os.geteuid()}
        sticky = place != target and found.st_mode & stat.S_ISVTX
        open_to_others = found.st_mode & 0o022 and not sticky
        if theirs or open_to_others or not stat.S_ISDIR(found.st_mode):
            raise RuntimeUnreadable(
                f"{place} can be changed by others, so no program may be staged below it",
                remedy=f"chown root {place} && chmod go-w {place}, or install Cadastre with "
                "deploy/install.sh",
            )


def restart_from(home: Path, arguments: list[str]) -> None:
    """Become the same command, run from `home` by an interpreter that everybody may read.

    Returns only by raising RuntimeUnreadable.
    """
    interpreter = str(choose_interpreter().executable)
    environment = {
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [interpreter, "-s", "-S", str(home / FRONT_DOOR), *arguments]
    os.execve(interpreter, command, environment)  # noqa: S606 - the same program, another copy


def _libraries() -> list[Path]:
    """The installed libraries' directories, pure and compiled, each once."""
    paths = sysconfig.get_paths()
    return list(dict.fromkeys(Path(paths[name]) for name in ("purelib", "platlib")))


def _name() -> str:
    """Changes when any of our files, or the set of installed libraries, changes."""
    total = hashlib.sha256()
    for room in ROOMS:
        for path in sorted((source_root() / room).rglob("*.py")):
            found = path.stat()
            total.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    for place in _libraries():
        for entry in sorted(path.name for path in place.iterdir()):
            total.update(f"{entry}\n".encode())
    return total.hexdigest()[:32]


def _open_to_all(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(PUBLIC_DIRECTORY if path.is_dir() or mode & 0o100 else 0o644)
