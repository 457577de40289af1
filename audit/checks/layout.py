"""Nothing in the evidence but what an audit reads: an unread file is a place to hide in."""

from __future__ import annotations

import re
from dataclasses import dataclass

from audit.errors import AuditFailure
from trust.ids import Digest

_OBJECT = re.compile(r"(restricted/)?objects/sha256/([0-9a-f]{2})/(\2[0-9a-f]{62})")
_ROOT = re.compile(r"policy/root-([1-9][0-9]{0,2})\.json")
_RESTRICTED = re.compile(r"restricted/[a-z]+-[A-Za-z0-9_.-]{1,80}\.json")
_EARLIER = re.compile(r"log/checkpoints/[A-Za-z0-9_.-]{1,80}")
LOG_POLICY = "policy/log-policy.txt"
CHECKPOINT = "log/checkpoint"
INDEX = "objects/index"


@dataclass(frozen=True)
class Layout:
    """The evidence's files by part."""

    roots: tuple[str, ...]  # in order of version
    tiles: frozenset[str]  # below log/
    earlier: tuple[str, ...]
    objects: dict[Digest, str]  # digest -> path
    listings: tuple[str, ...]  # restricted/*.json
    index: bool

    @property
    def restricted(self) -> bool:
        """Whether the part for accredited auditors is here."""
        return bool(self.listings)


def sort(files: frozenset[str]) -> tuple[Layout, str]:
    """Every file in its place, once. Raises AuditFailure for a file that has none, or two."""
    roots: dict[int, str] = {}
    tiles: set[str] = set()
    earlier: list[str] = []
    objects: dict[Digest, str] = {}
    listings: list[str] = []
    for path in sorted(files):
        if match := _OBJECT.fullmatch(path):
            digest = Digest(f"sha256:{match[3]}")
            # Only one of two copies would be read.
            if digest in objects:
                raise AuditFailure(f"{digest} stands in both parts of the evidence")
            objects[digest] = path
        elif match := _ROOT.fullmatch(path):
            roots[int(match[1])] = path
        elif path.startswith("log/tile/"):
            tiles.add(path.removeprefix("log/"))
        elif _EARLIER.fullmatch(path):
            earlier.append(path)
        elif _RESTRICTED.fullmatch(path):
            listings.append(path)
        elif path not in {LOG_POLICY, CHECKPOINT, INDEX}:
            raise AuditFailure(
                f"{path[:120]!a} does not belong in evidence",
                remedy="give a folder that holds the evidence alone",
            )
    _require_whole(roots, files)
    layout = Layout(
        tuple(roots[version] for version in sorted(roots)),
        frozenset(tiles),
        tuple(earlier),
        objects,
        tuple(listings),
        INDEX in files,
    )
    return layout, f"{len(files)} files, each in its place"


def _require_whole(roots: dict[int, str], files: frozenset[str]) -> None:
    if sorted(roots) != list(range(1, len(roots) + 1)) or not roots:
        raise AuditFailure(f"the chain of roots has the versions {sorted(roots)}, not 1 to n")
    for needed in (LOG_POLICY, CHECKPOINT):
        if needed not in files:
            raise AuditFailure(f"{needed} is missing")
