"""The owner's side of consent: signing decisions and filing them in the owner's directory."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from capsule_runtime.capsules.directory import CONSENTS, OwnerKey, file_all
from capsule_runtime.capsules.errors import ConsentRefused, OwnerDirectoryRefused
from trust import clock
from trust.documents import signed
from trust.documents.consent import Consent, Decision
from trust.ids import CapsuleId, WorkerId

# The promise to owners: a yes ends by itself after twelve months.
DEFAULT_LIFETIME = timedelta(days=365)
# Twelve months can hold a leap day.
MAXIMUM_LIFETIME = timedelta(days=366)

_TAG_LETTERS = 16
_FILE_NAME = re.compile(r"(cap_[0-9a-z]{26})\.([0-9a-f]{16})\.(\d{1,9})\.consent", re.ASCII)

LastSerials = dict[tuple[str, str], int]  # (capsule, target tag) -> highest serial signed


def decide(
    key: OwnerKey,
    decision: Decision,
    target: str,
    tables: Collection[str],
    *,
    territory: str,
    worker: WorkerId,
    serial: int,
    now: datetime,
    lifetime: timedelta = DEFAULT_LIFETIME,
) -> signed.Signed[Consent]:
    """The owner's signed decision about one capsule and one target."""
    if not tables or not timedelta(0) < lifetime <= MAXIMUM_LIFETIME:
        raise ConsentRefused(
            "a consent names at least one table and lasts at most twelve months",
            remedy="give --table, and --days from 1 to 365",
        )
    issued_at = clock.from_text(clock.to_text(now))
    consent = Consent(
        territory=territory,
        capsule=key.capsule,
        worker=worker,
        owner=key.signing.public,
        serial=serial,
        decision=decision,
        target=target,
        tables=tuple(sorted(tables)),
        issued_at=issued_at,
        expires_at=issued_at + lifetime,
    )
    return signed.sign(consent, [key.signing])


def target_tag(target: str) -> str:
    """How a target is written in file names."""
    return hashlib.sha256(target.encode()).hexdigest()[:_TAG_LETTERS]


def last_serials(directory: Path) -> LastSerials:
    """The highest serial filed per capsule and target."""
    highest: LastSerials = {}
    for capsule, tag, serial, _ in _files(directory):
        highest[capsule, tag] = max(serial, highest.get((capsule, tag), 0))
    return highest


def read_directory(directory: Path) -> list[bytes]:
    """The owner's last words: one raw envelope per capsule and target, in order of name.

    `directory` is an owner's directory; this is what is sent to a worker or to the registry.
    """
    last: dict[tuple[str, str], tuple[int, Path]] = {}
    for capsule, tag, serial, path in _files(directory):
        if serial > last.get((capsule, tag), (0, path))[0]:
            last[capsule, tag] = (serial, path)
    try:
        return [path.read_bytes() for _, (_, path) in sorted(last.items())]
    except OSError as error:
        raise OwnerDirectoryRefused(
            f"could not read the consents of {directory}: {error.strerror}",
            remedy="check that this user may read them",
        ) from error


def write_decisions(directory: Path, decisions: Sequence[signed.Signed[Consent]]) -> None:
    """File decisions durably. If we crash inside, each file is whole or absent."""
    file_all(
        directory / CONSENTS,
        {_name(found.document): found.envelope.raw for found in decisions},
    )


def _name(consent: Consent) -> str:
    return f"{consent.capsule}.{target_tag(consent.target)}.{consent.serial}.consent"


def _files(directory: Path) -> Iterable[tuple[str, str, int, Path]]:
    folder = directory / CONSENTS
    if not folder.is_dir():
        raise OwnerDirectoryRefused(
            f"{directory} is not an owner's directory: it has no {CONSENTS}/",
            remedy="give the directory that `cadastre capsule seal --out` made",
        )
    for path in folder.glob("*.consent"):
        found = _FILE_NAME.fullmatch(path.name)
        if found is None:
            raise OwnerDirectoryRefused(
                f"{path} is not named like a consent",
                remedy="move it elsewhere; consents are named <capsule>.<target>.<serial>.consent",
            )
        yield CapsuleId.parse(found[1]), found[2], int(found[3]), path
