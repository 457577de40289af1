"""A copy of the runtime where the sandbox's user can read it.

Needed when the checkout or the interpreter lies in a private home and the worker is started by
root: the sandbox's own user may not enter that home. The copy is named by its image digest, and
verified by it each time, so a crash in the middle of a copy leaves nothing that would be used.
"""

from __future__ import annotations

import shutil
import stat
import tempfile
from pathlib import Path

from capsule_runtime.errors import RuntimeUnreadable
from capsule_runtime.sandbox.image import RuntimeImage
from capsule_runtime.sandbox.layout import (
    STRANGER,
    Bind,
    Layout,
    Reader,
    choose_interpreter,
    find_layout,
    readable_by_others,
    running_interpreter,
)

PUBLIC_DIRECTORY = 0o755
PUBLIC_FILE = 0o644
PUBLIC_PROGRAM = 0o755
NAME_CHARACTERS = 32  # of the digest: 128 bits are enough to name a folder of our own


def stage_runtime(target: Path, libraries: tuple[str, ...] = ("numpy",)) -> Layout:
    """A layout that everybody may read: in place what already is, a copy under `target` otherwise.

    Raises RuntimeUnreadable when `target` itself is private, LibraryMissing, OSError.
    """
    return stage(_source(libraries), target)


def stage(source: Layout, target: Path) -> Layout:
    """`stage_runtime` for a known layout. Raises RuntimeUnreadable, OSError."""
    private = [bind for bind in source.binds if not readable_by_others(bind.source)]
    if not private:
        return source
    target.mkdir(parents=True, exist_ok=True)
    if not readable_by_others(target):
        raise RuntimeUnreadable(
            f"{target} is private, so a runtime staged there would be too.",
            remedy="Choose a directory whose parents everybody may enter, such as "
            "/var/lib/cadastre/runtime.",
        )
    image = RuntimeImage.of(source)
    home = target / image.digest.raw.hex()[:NAME_CHARACTERS]
    staged = _moved(source, private, home)
    if home.exists():
        if RuntimeImage.of(staged).digest == image.digest:
            return staged
        shutil.rmtree(home)
    _copy(private, home)
    return staged


def _source(libraries: tuple[str, ...]) -> Layout:
    """What to copy: the best interpreter that strangers may read, else the running one."""
    try:
        choose_interpreter()
    except RuntimeUnreadable:
        owner = running_interpreter().executable.stat()
        return find_layout(libraries, Reader(owner.st_uid, frozenset({owner.st_gid})))
    return find_layout(libraries, STRANGER)


def _copy(private: list[Bind], home: Path) -> None:
    # Built beside its final name and renamed: a half-made copy never has the final name.
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".staging-") as scratch:
        building = Path(scratch) / "runtime"
        building.mkdir()
        for bind in private:
            place = building / _place(bind)
            place.parent.mkdir(parents=True, exist_ok=True)
            if bind.source.is_dir():
                shutil.copytree(bind.source, place, symlinks=True)
            else:
                shutil.copy2(bind.source, place)
        _publish(building)
        try:
            building.rename(home)
        except OSError:
            if not home.exists():  # another start was quicker: its copy has the same digest
                raise


def _publish(root: Path) -> None:
    """Readable by everybody, writable by nobody else than us."""
    root.chmod(PUBLIC_DIRECTORY)
    for path in root.rglob("*"):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            path.chmod(PUBLIC_DIRECTORY)
        else:
            path.chmod(PUBLIC_PROGRAM if mode & stat.S_IXUSR else PUBLIC_FILE)


def _place(bind: Bind) -> Path:
    return Path(*bind.target.parts[1:])


def _moved(source: Layout, private: list[Bind], home: Path) -> Layout:
    def moved(bind: Bind) -> Bind:
        return Bind(home / _place(bind), bind.target) if bind in private else bind

    return Layout(
        executable=moved(source.executable),
        stdlib=tuple(map(moved, source.stdlib)),
        system=source.system,
        libraries=tuple(map(moved, source.libraries)),
        library_names=source.library_names,
        inside=moved(source.inside),
    )
