"""Where the sandbox's contents lie on this machine: interpreter, libraries, our inside code.

Only what is listed here is bound into the sandbox. All of it must be readable by the user that
the sandbox runs as: a dedicated one who owns nothing when a worker is started by root.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from capsule_runtime.errors import RuntimeUnreadable
from capsule_runtime.sandbox.libraries import library_paths

INSIDE_PACKAGE = "cadastre_inside"
INSIDE_ROOT = PurePosixPath("/runtime")
LIBRARY_ROOT = PurePosixPath("/libraries")
# Where distributions keep shared objects and the dynamic linker (Debian multi-arch, Fedora).
SYSTEM_DIRECTORIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64")
SYSTEM_LINKS = (("usr/lib", "/lib"), ("usr/lib64", "/lib64"))
STDLIB_QUERY_SECONDS = 20

READ_AND_ENTER = stat.S_IROTH | stat.S_IXOTH


@dataclass(frozen=True)
class Bind:
    """A host path and the place where the sandbox sees it, read-only."""

    source: Path
    target: PurePosixPath


@dataclass(frozen=True)
class Layout:
    """Everything that one sandbox contains besides /dev/null, /dev/urandom and /proc/cpuinfo."""

    executable: Bind
    stdlib: tuple[Bind, ...]
    system: tuple[Path, ...]
    libraries: tuple[Bind, ...]
    library_names: tuple[str, ...]
    inside: Bind

    @property
    def binds(self) -> tuple[Bind, ...]:
        """All of them, in a fixed order."""
        system = tuple(Bind(path, PurePosixPath(path)) for path in self.system)
        return (*system, self.executable, *self.stdlib, *self.libraries, self.inside)


@dataclass(frozen=True)
class Reader:
    """A user whose access is judged from permission bits; without `uid`, one who owns nothing."""

    uid: int | None = None
    groups: frozenset[int] = frozenset()

    def can_read(self, path: Path) -> bool:
        """Whether this user can reach and read `path`: bits of it and of every parent.

        Directories need read and search, files read. Symlinks are followed first.
        """
        try:
            real = path.resolve(strict=True)
            found = real.stat()
            need = READ_AND_ENTER if stat.S_ISDIR(found.st_mode) else stat.S_IROTH
            if self._bits(found) & need != need:
                return False
            return all(self._bits(parent.stat()) & stat.S_IXOTH for parent in real.parents)
        except OSError:
            return False

    def _bits(self, found: os.stat_result) -> int:
        """The three permission bits that count for this user, in the place of others' bits."""
        if self.uid is not None and found.st_uid == self.uid:
            return found.st_mode >> 6
        if found.st_gid in self.groups:
            return found.st_mode >> 3
        return found.st_mode


STRANGER = Reader()


def readable_by_others(path: Path) -> bool:
    """Whether a user who owns nothing can reach and read `path`."""
    return STRANGER.can_read(path)


def sandbox_reader(run_as: tuple[int, int] | None) -> Reader:
    """The user that the sandbox will be: `run_as`, or the one who runs this program."""
    if run_as is None:
        return Reader(os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))
    return Reader(run_as[0], frozenset({run_as[1]}))


@dataclass(frozen=True)
class Interpreter:
    """A Python program and the directories of its standard library, as it itself reports them."""

    executable: Path
    stdlib: tuple[Path, ...]

    def readable_by(self, reader: Reader) -> bool:
        """Whether that user can read all of it."""
        return all(reader.can_read(path) for path in (self.executable, *self.stdlib))


def running_interpreter() -> Interpreter:
    """The interpreter under this program, seen through any virtual environment."""
    paths = sysconfig.get_paths(vars={"base": sys.base_prefix, "platbase": sys.base_exec_prefix})
    stdlib = [Path(paths["stdlib"]), Path(paths["platstdlib"])]
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        library = Path(str(sysconfig.get_config_var("LIBDIR"))) / str(
            sysconfig.get_config_var("INSTSONAME")
        )
        system = set(map(Path, SYSTEM_DIRECTORIES))
        if library.exists() and not system & set(library.resolve().parents):
            stdlib.append(library)
    return Interpreter(Path(sys.executable).resolve(), _distinct(stdlib))


def system_interpreter() -> Interpreter | None:
    """The distribution's Python of the same minor version, or None."""
    executable = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
    if not executable.exists():
        return None
    query = (
        "import json, sysconfig as s; "
        "print(json.dumps([s.get_path('stdlib'), s.get_path('platstdlib')]))"
    )
    try:
        answer = subprocess.run(
            [str(executable), "-I", "-S", "-c", query],
            capture_output=True,
            timeout=STDLIB_QUERY_SECONDS,
            check=True,
        )
        paths = [Path(text) for text in json.loads(answer.stdout)]
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Interpreter(executable.resolve(), _distinct(paths))


def choose_interpreter(reader: Reader = STRANGER) -> Interpreter:
    """The running interpreter when the sandbox's user can read it, else the system's.

    Raises RuntimeUnreadable when neither will do.
    """
    running = running_interpreter()
    if running.readable_by(reader):
        return running
    system = system_interpreter()
    if system is not None and system.readable_by(reader):
        return system
    minor = f"python{sys.version_info.major}.{sys.version_info.minor}"
    raise RuntimeUnreadable(
        f"The interpreter {running.executable} cannot be read by the sandbox's user, "
        f"and /usr/bin/{minor} is missing or unreadable.",
        remedy=f"Install the system's interpreter (apt install {minor}), or stage the runtime into "
        "a directory that everybody may read.",
    )


def inside_source() -> Path:
    """Our own code that runs inside the sandbox."""
    return (Path(__file__).parent / "inside").resolve()


def find_layout(libraries: tuple[str, ...], reader: Reader | None = None) -> Layout:
    """The layout of this installation, where it lies; its libraries may still be unreadable.

    The interpreter is one that `reader` can read: by default this program's user, whom the sandbox
    will be, or a stranger when that is root, whom it never is.

    Raises LibraryMissing, or RuntimeUnreadable when no interpreter will do.
    """
    if reader is None:
        reader = STRANGER if os.geteuid() == 0 else sandbox_reader(None)
    python = choose_interpreter(reader)
    names = tuple(sorted(set(libraries)))
    # Two libraries may share a part.
    binds = tuple(
        dict.fromkeys(
            Bind(path, LIBRARY_ROOT / path.name) for name in names for path in library_paths(name)
        )
    )
    return Layout(
        executable=Bind(python.executable, PurePosixPath(python.executable)),
        stdlib=tuple(Bind(path, PurePosixPath(path)) for path in python.stdlib),
        system=tuple(Path(text) for text in SYSTEM_DIRECTORIES if Path(text).is_dir()),
        libraries=binds,
        library_names=names,
        inside=Bind(inside_source(), INSIDE_ROOT / INSIDE_PACKAGE),
    )


def unreadable(layout: Layout, reader: Reader = STRANGER) -> tuple[Path, ...]:
    """The host paths that the sandbox's user could not read."""
    return tuple(bind.source for bind in layout.binds if not reader.can_read(bind.source))


def require_readable(layout: Layout, reader: Reader = STRANGER) -> Layout:
    """`layout` itself. Raises RuntimeUnreadable naming the first private path."""
    private = unreadable(layout, reader)
    if private:
        raise RuntimeUnreadable(
            f"{private[0]} cannot be read by the sandbox's unprivileged user.",
            remedy="Stage the runtime into a directory that everybody may read, or open the path "
            f"(chmod o+rX on it and on its parents; {len(private)} such paths).",
        )
    return layout


def _distinct(paths: list[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(Path(os.path.realpath(path)) for path in paths))
