"""Releases as files: found by digest, verified by signature, with the rules that were voted.

A folder may be evidence (`cadastre audit fetch`), what `cadastre campaign report --out` wrote
beside an authorisation, or both: every file is known by its bytes, never by its name. Whether
the releases stand in the log is audited apart (`cadastre audit verify`); the signed graph names
their digests so that anybody can look them up there.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from graph.errors import GraphMissing, ReleaseUnfit
from trust import dsse
from trust.documents.campaign import Release
from trust.documents.governance import Authorisation
from trust.documents.root import Duty
from trust.documents.signed import Signed
from trust.errors import TrustError
from trust.ids import Digest
from trust.root import TrustedRoot

REPORT_FORMAT = "cadastre-report-v1"
# A report of 16 million cells would be 256 MiB: no graph is made of such a one.
MAXIMUM_FILE_BYTES = 32 << 20
MAXIMUM_FILES = 200_000


@dataclass(frozen=True)
class VerifiedRelease:
    """A release whose signature, report and vote hold; made by `verified` only."""

    release: Signed[Release]
    report: Mapping[str, Any]  # numbers as int or Decimal
    authorisation: Authorisation

    @property
    def bundle(self) -> str:
        """The bundle's name."""
        return str(self.report["bundle"]["name"])

    @property
    def minimum(self) -> int:
        """Persons behind an edge, at least: the strictest of the rules that were voted."""
        rules = self.authorisation.rules
        return max(max(rule.minimum_contributors, rule.suppress_below) for rule in rules)


def gather(folders: Sequence[Path]) -> dict[Digest, bytes]:
    """Every JSON file below `folders`, by digest. Raises GraphMissing or ReleaseUnfit."""
    found: dict[Digest, bytes] = {}
    for number, path in enumerate(_files(folders)):
        if number >= MAXIMUM_FILES:
            raise ReleaseUnfit(
                f"over {MAXIMUM_FILES} files below the given folders",
                remedy="give the folders of one territory's releases alone",
            )
        raw = _read(path)
        # Column blobs and bundles are large, and nothing here: they are not kept.
        if raw.startswith(b"{"):
            found[Digest.of(raw)] = raw
    return found


def verified(pile: Mapping[Digest, bytes], root: TrustedRoot) -> list[VerifiedRelease]:
    """The releases in `pile`, oldest first, each with its report and authorisation.

    Raises ReleaseUnfit when one is not signed under the territory's root, or stands alone.
    """
    votes = [raw for raw in pile.values() if _is(raw, Authorisation.TYPE)]
    found = [_whole(raw, pile, votes, root) for raw in pile.values() if _is(raw, Release.TYPE)]
    return sorted(found, key=lambda item: (item.release.document.released_at, item.release.digest))


def _whole(
    raw: bytes, pile: Mapping[Digest, bytes], votes: Sequence[bytes], root: TrustedRoot
) -> VerifiedRelease:
    try:
        release = root.verify(Release, raw, Duty.ORDERS)
    except TrustError as error:
        raise ReleaseUnfit(f"a release does not verify: {error.sentence}") from error
    about = release.document
    if about.territory != root.document.territory:
        raise ReleaseUnfit(f"the release of {about.campaign} is of another territory")
    if about.report not in pile:
        raise ReleaseUnfit(f"the report of {about.campaign} is not among the files")
    authorisation = _vote(about, votes, root)
    return VerifiedRelease(release, _report(pile[about.report], about), authorisation)


def _vote(release: Release, votes: Sequence[bytes], root: TrustedRoot) -> Authorisation:
    for raw in votes:
        try:
            vote = root.verify(Authorisation, raw, Duty.COLLEGE).document
        except TrustError:
            continue  # another territory's or an unfinished draft: it decides nothing here
        if (vote.id, vote.bundle) == (release.authorisation, release.bundle) and vote.rules:
            return vote
    raise ReleaseUnfit(
        f"no valid authorisation {release.authorisation} is among the files: nobody can tell "
        f"which minimum was voted for {release.campaign}",
        remedy="give the evidence folder, or the signed authorisation beside the release",
    )


def _report(raw: bytes, release: Release) -> Mapping[str, Any]:
    try:
        report = json.loads(raw, parse_float=Decimal, parse_constant=_no_constant)
        _check(report)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ReleaseUnfit(
            f"the report of {release.campaign} is not in the form of this release of Cadastre"
        ) from error
    return dict(report)


def _check(report: Mapping[str, Any]) -> None:
    if report["format"] != REPORT_FORMAT:
        raise ValueError("an unknown format")
    str(report["bundle"]["name"])
    str(report["title"]["fr"])
    for array in report["arrays"].values():
        _array(array)


def _array(array: Mapping[str, Any]) -> None:
    cells, kind, size = array["cells"], array["kind"], 1
    if not isinstance(array["unit"], str) or not isinstance(array["of"], str | None):
        raise TypeError("an array without its unit")
    for length in array["shape"]:
        if type(length) is not int or length < 0:
            raise TypeError("a shape is made of whole numbers")
        size *= length
    if not isinstance(cells, list) or len(cells) != size:
        raise ValueError("cells do not fill the shape")
    if kind == "value" and [len(axis) for axis in array["labels"]] != array["shape"]:
        raise ValueError("labels do not fill the shape")


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of a report")


def _is(raw: bytes, payload_type: str) -> bool:
    if not raw.startswith(b"{") or payload_type.encode() not in raw:
        return False
    try:
        return dsse.Envelope.parse(raw).payload_type == payload_type
    except TrustError:
        return False


def _files(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        if folder.is_file():
            yield folder
        elif folder.is_dir():
            yield from sorted(
                path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
            )
        else:
            raise GraphMissing(f"{folder} is neither a file nor a folder")


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise GraphMissing(f"could not read {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise GraphMissing(f"{path} is not a plain file")
        raw = stream.read(MAXIMUM_FILE_BYTES + 1)
    # A column blob may be larger; it is no release, report or vote, and its digest is not asked.
    return raw if len(raw) <= MAXIMUM_FILE_BYTES else b""
