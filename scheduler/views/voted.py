"""What bundles and votes say, read from their documents and kept by digest.

Contents that a digest names never change, so each is read once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

from jobs import archive
from protection import accounting
from scheduler.service.desk import Desk
from trust.documents.governance import Authorisation
from trust.documents.root import Duty
from trust.ids import Digest
from trust.problem import Problem

KEPT = 2000  # documents; a few hundred bytes each, once read
_NUMBER = 8  # bytes of a float64, which every state is made of
T = TypeVar("T")


@dataclass(frozen=True)
class Contents:
    """What a bundle's manifest declares."""

    title_fr: str
    title_en: str
    licence: str
    protections: tuple[str, ...]  # "clear" | "shared" | "encrypted", each once
    libraries: tuple[str, ...]
    classes: tuple[str, ...]  # whose data: "personal" | "company" | "public"
    rounds: int
    rho: str  # zCDP of a whole campaign, as declared
    state_bytes: int  # what each round hands to the next


@dataclass(frozen=True)
class Terms:
    """What a vote allows, as its document says it."""

    images: tuple[str, ...]
    rho: str  # zCDP that one campaign costs a privacy unit
    rho_budget: str  # what all of its campaigns together may cost one
    tables: tuple[str, ...]


class Documents:
    """Reads bundles and authorisations of a scheduler. None stands for one that does not hold."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._kept: dict[tuple[str, str], object] = {}

    def contents(self, digest: str) -> Contents | None:
        """What the bundle declares."""
        return self._once(("bundle", digest), lambda: self._contents(Digest(digest)))

    def terms(self, digest: str) -> Terms | None:
        """What the authorisation with this envelope allows."""
        return self._once(("vote", digest), lambda: self._terms(Digest(digest)))

    def _once(self, key: tuple[str, str], read: Callable[[], T]) -> T | None:
        known = self._kept.get(key)
        if known is not None:
            # The key's first part says which of the two it is.
            return cast("T", known)
        try:
            found = read()
        except Problem:
            # Its bytes are gone or altered, or the college that signed it is of an older root:
            # the row is shown without it, and it is read again the next time.
            return None
        if len(self._kept) >= KEPT:
            self._kept.clear()
        self._kept[key] = found
        return found

    def _contents(self, digest: Digest) -> Contents:
        manifest = archive.read(self._desk.blobs.get(digest), digest).manifest
        rules = manifest.rules()
        return Contents(
            title_fr=manifest.bundle.title.fr,
            title_en=manifest.bundle.title.en,
            licence=manifest.bundle.licence,
            protections=tuple(dict.fromkeys(rule.protection.value for rule in rules)),
            libraries=manifest.libraries,
            classes=tuple(one.value for one in manifest.needs.classes),
            rounds=manifest.rounds.maximum,
            rho=accounting.to_text(accounting.rho_of(rules)),
            state_bytes=sum(_cells(array.shape) * _NUMBER for array in manifest.state.values()),
        )

    def _terms(self, digest: Digest) -> Terms:
        raw = self._desk.blobs.get(digest)
        document = self._desk.root.verify(Authorisation, raw, Duty.COLLEGE).document
        return Terms(
            images=tuple(str(image) for image in document.images),
            rho=accounting.to_text(accounting.rho_of(document.rules)),
            rho_budget=document.rho_budget,
            tables=tuple(sorted(document.tables)),
        )


def _cells(shape: tuple[int, ...]) -> int:
    cells = 1
    for length in shape:
        cells *= length
    return cells
