"""Where a bundle lies: an author's folder, a `.cadastre` file, or beside this code."""

from __future__ import annotations

from pathlib import Path

from jobs import archive, statement
from jobs.archive import Bundle
from jobs.errors import BundleMissing
from trust.documents.membership import BundleStatement
from trust.documents.signed import Signed

BUILT_IN = Path(__file__).with_name("bundles")


def built_in() -> tuple[str, ...]:
    """The names of the bundles that come with the project."""
    return tuple(sorted(path.parent.name for path in BUILT_IN.glob(f"*/{archive.MANIFEST}")))


def built_in_folder(name: str) -> Path:
    """The folder of a built-in bundle. Raises BundleMissing."""
    if name not in built_in():
        raise BundleMissing(
            f"no built-in bundle is called {name[:64]!r}", remedy=f"one of: {', '.join(built_in())}"
        )
    return BUILT_IN / name


def open_bundle(path: Path) -> Bundle:
    """The bundle in a folder or a file. Raises BundleMissing, ArchiveRefused, ManifestRefused."""
    if path.is_dir():
        return archive.pack_folder(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(archive.MAXIMUM_BYTES + 1)  # one byte more, so that `read` refuses
    except OSError as error:
        raise BundleMissing(
            f"could not read the bundle {path}: {error.strerror}",
            remedy="name a folder with bundle.toml, or a .cadastre file",
        ) from error
    return archive.read(raw)


def signature_of(path: Path, bundle: Bundle) -> Signed[BundleStatement] | None:
    """The author's statement beside the file `path`, verified; None where there is none.

    Raises BundleUnverified or SignatureInvalid when there is one and it does not hold.
    """
    beside = path.with_name(path.name + statement.SUFFIX)
    if path.is_dir() or not beside.is_file():
        return None
    return statement.verify(bundle, beside.read_bytes())
