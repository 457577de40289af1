"""An owner's directory: plain files that the owner can see, copy and destroy.

    capsules/<id>.capsule   what a worker hosts
    grants/<id>.<worker>.grant
    keys/<id>.key           0600: the owner's signing key and the capsule key, nothing else
    consents/<id>.<target>.<serial>.consent
    worker.card             the host that was chosen
    index.csv               0600: whose capsule it is, when there is one per owner

One file per capsule and kind, also in bulk: an owner can hand over or erase exactly one.
A sealing writes into a hidden directory, syncs it once, and renames it: if we crash before
the rename the directory does not exist; afterwards it is whole.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from capsule_runtime.capsules import card, sealed
from capsule_runtime.capsules.card import WorkerCard
from capsule_runtime.capsules.encryption import KEY_BYTES
from capsule_runtime.capsules.errors import CapsuleMalformed, OwnerDirectoryRefused
from durable.errors import StorageFailed
from durable.files import make_directory, sync_directory, write_atomic
from trust.errors import Malformed
from trust.ids import CapsuleId, WorkerId
from trust.keys import PrivateKey

CAPSULES, GRANTS, KEYS, CONSENTS = "capsules", "grants", "keys", "consents"
CARD, INDEX = "worker.card", "index.csv"
_KEY_MAGIC = "cadastre-owner-key-v1"


@dataclass(frozen=True)
class OwnerKey:
    """What only the owner holds of a capsule."""

    capsule: CapsuleId
    signing: PrivateKey = field(repr=False)
    capsule_key: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """One line: magic, capsule id, seed and capsule key in base64."""
        parts = (self.signing.seed, self.capsule_key)
        texts = (base64.b64encode(part).decode() for part in parts)
        return " ".join((_KEY_MAGIC, self.capsule, *texts)).encode() + b"\n"


class OwnerDirectory:
    """An existing directory made by `cadastre capsule seal`."""

    def __init__(self, path: Path) -> None:
        """Raises OwnerDirectoryRefused when `path` is no such directory."""
        if not (path / KEYS).is_dir() or not (path / CAPSULES).is_dir():
            raise OwnerDirectoryRefused(
                f"{path} is not an owner's directory: it has no keys/ and capsules/",
                remedy="give the directory that `cadastre capsule seal --out` made",
            )
        self.path = path

    def owner_keys(self) -> Iterator[OwnerKey]:
        """Every owner key, by capsule id. Raises OwnerDirectoryRefused."""
        for path in sorted((self.path / KEYS).glob("*.key")):
            yield read_owner_key(path)

    def key(self, capsule: CapsuleId) -> OwnerKey:
        """One owner key. Raises OwnerDirectoryRefused."""
        return read_owner_key(self.path / KEYS / f"{capsule}.key")

    def capsule_files(self) -> list[Path]:
        """The capsule files, by id."""
        return sorted((self.path / CAPSULES).glob("*.capsule"))

    def capsule_path(self, capsule: CapsuleId) -> Path:
        """Where the capsule's file is."""
        return self.path / CAPSULES / f"{capsule}.capsule"

    def header(self, capsule: CapsuleId) -> sealed.Header:
        """The verified header of one of the owner's capsules."""
        path = self.capsule_path(capsule)
        try:
            header = sealed.parse(path.read_bytes()).header
        except OSError as error:
            raise OwnerDirectoryRefused(
                f"could not read {path}: {error.strerror}",
                remedy="restore the file from a copy, or seal the data again",
            ) from error
        if header.capsule != capsule:
            raise CapsuleMalformed(
                f"{path.name} holds another capsule than its name says",
                remedy="give the file back the name of its own capsule, or restore the directory",
            )
        return header

    def grant_files(self) -> list[Path]:
        """The grant files."""
        return sorted((self.path / GRANTS).glob("*.grant"))

    def card(self) -> WorkerCard:
        """The card of the chosen host. Raises CardRefused."""
        return card.read_card(self.path / CARD)

    def erase(self, capsule: CapsuleId) -> None:
        """Destroy the keys first, then everything else of this capsule.

        Once the key file is gone nothing can be opened again; if we crash in between, the rest
        is unreadable bytes, and erasing again removes them.
        """
        found = [
            self.path / KEYS / f"{capsule}.key",
            self.capsule_path(capsule),
            *(self.path / GRANTS).glob(f"{capsule}.*"),
            *(self.path / CONSENTS).glob(f"{capsule}.*"),
        ]
        if not any(path.exists() for path in found):
            raise OwnerDirectoryRefused(
                f"{self.path} holds nothing of that capsule",
                remedy="see its capsules/ for the ids",
                capsule=capsule,
            )
        try:
            for path in found:
                if path.exists():
                    _overwrite(path)
                    path.unlink()
                    sync_directory(path.parent)
            self._forget(capsule)
        except OSError as error:
            raise StorageFailed.writing(self.path, error) from error

    def _forget(self, capsule: CapsuleId) -> None:
        index = self.path / INDEX
        if index.exists():
            lines = index.read_text("utf-8").splitlines(keepends=True)
            kept = [line for line in lines if not line.startswith(f"{capsule},")]
            write_atomic(index, "".join(kept).encode(), mode=0o600)


class Staging:
    """A directory in the making; visible under its name only once it is whole and durable."""

    def __init__(self, target: Path) -> None:
        """Raises OwnerDirectoryRefused when `target` exists."""
        if target.exists():
            raise OwnerDirectoryRefused(
                f"{target} exists already",
                remedy="choose another --out directory: keys are never overwritten",
            )
        self._target = target
        self._written: list[Path] = []
        make_directory(target.absolute().parent)
        self._path = target.with_name(f".{target.name}.{secrets.token_hex(8)}.partial")

    def __enter__(self) -> Self:
        try:
            self._path.mkdir(0o700)
            for name in (CAPSULES, GRANTS, KEYS, CONSENTS):
                (self._path / name).mkdir(0o700)
        except OSError as error:
            raise StorageFailed.writing(self._target, error) from error
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        # After `commit` the hidden name no longer exists and this does nothing.
        shutil.rmtree(self._path, ignore_errors=True)

    def write(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file that becomes durable with `commit`. Raises StorageFailed."""
        path = self._path / name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
        except OSError as error:
            raise StorageFailed.writing(self._target / name, error) from error
        self._written.append(path)

    def write_key(self, key: OwnerKey) -> None:
        """Write an owner's keys, readable by this user only."""
        self.write(f"{KEYS}/{key.capsule}.key", key.to_bytes(), 0o600)

    def write_grant(self, capsule: CapsuleId, worker: WorkerId, raw: bytes) -> None:
        """Write one grant."""
        self.write(f"{GRANTS}/{capsule}.{worker}.grant", raw)

    def commit(self) -> None:
        """Make everything durable, then visible. Raises StorageFailed."""
        try:
            _sync(self._written)
            self._path.rename(self._target)
            sync_directory(self._target.absolute().parent)
        except OSError as error:
            raise StorageFailed.writing(self._target, error) from error


def read_owner_key(path: Path) -> OwnerKey:
    """The keys in one file of keys/. Raises OwnerDirectoryRefused, never showing the content."""
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()
    except OSError as error:
        raise OwnerDirectoryRefused(
            f"could not read the key file {path}: {error.strerror}",
            remedy="check the path and that this user may read it",
        ) from error
    if mode & 0o077:
        raise OwnerDirectoryRefused(
            f"{path} can be read by other users",
            remedy=f"chmod 600 {path}, and consider the keys seen",
        )
    try:
        capsule, seed, capsule_key = _parse_key(text)
    except (ValueError, Malformed, binascii.Error) as error:
        raise OwnerDirectoryRefused(
            f"{path} is not an owner's key file, or is damaged",
            remedy="restore it from a copy; without it the capsule can only be sealed again",
        ) from error
    return OwnerKey(capsule, PrivateKey(seed), capsule_key)


def _parse_key(text: bytes) -> tuple[CapsuleId, bytes, bytes]:
    magic, capsule, *bodies = text.decode("ascii").split()
    seed, capsule_key = (base64.b64decode(body, validate=True) for body in bodies)
    if magic != _KEY_MAGIC or len(seed) != KEY_BYTES or len(capsule_key) != KEY_BYTES:
        raise ValueError("form")
    return CapsuleId.parse(capsule), seed, capsule_key


def file_all(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write many files into `folder` durably, replacing those of the same name.

    If we crash inside, every file is whole, and each is the old or the new one.
    """
    make_directory(folder, 0o700)
    staging = folder / f".{secrets.token_hex(8)}.partial"
    try:
        staging.mkdir(0o700)
        try:
            for name, data in files.items():
                (staging / name).write_bytes(data)
            _sync([staging / name for name in files])
            for name in files:
                (staging / name).rename(folder / name)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        sync_directory(folder)
    except OSError as error:
        raise StorageFailed.writing(folder / "…", error) from error


def _sync(paths: Collection[Path]) -> None:
    # A fsync per small file costs a disk flush each; after one sync of everything they are
    # nearly free and still report a write that failed, which sync does not.
    if len(paths) > 1:
        os.sync()
    for path in {*paths, *(path.parent for path in paths)}:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _overwrite(path: Path) -> None:
    # Best effort below the file: flash and copy-on-write disks may keep old blocks.
    with path.open("r+b") as stream:
        stream.write(bytes(path.stat().st_size))
        stream.flush()
        os.fsync(stream.fileno())
