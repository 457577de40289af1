"""The worker's capsules: one SQLite file, imported all or nothing, erased for good.

Verified on the way in (owner's signature, content digest, grant signature). On the way out the
ciphertext is authenticated by decryption itself, so reading costs one indexed lookup.
Erasing destroys ciphertext and grants (the only way to the key on this machine), overwrites
the pages, and keeps a tombstone that names nobody but stops the id from coming back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from capsule_runtime.capsules import grants, sealed
from capsule_runtime.capsules.errors import (
    CapsuleConflict,
    CapsuleErased,
    CapsuleMissing,
    GrantMissing,
)
from capsule_runtime.capsules.grants import Grant
from capsule_runtime.capsules.sealed import Header, SealedCapsule
from capsule_runtime.database import Database
from trust import clock
from trust.clock import Clock
from trust.documents.rules import DataClass, PrivacyUnit
from trust.ids import CapsuleId, Digest, WorkerId
from trust.keys import PublicKey

FILE_NAME = "capsules.sqlite"
_APPLICATION = 0x43414401  # "CAD", file kind 1
_VERSION = 1
_SCHEMA = (
    # One row per hosted capsule; `envelope` is the owner's signed header, verbatim.
    """CREATE TABLE capsule (
        id TEXT PRIMARY KEY, data_class TEXT NOT NULL, unit TEXT NOT NULL, owner TEXT NOT NULL,
        content TEXT NOT NULL, envelope BLOB NOT NULL, imported_at TEXT NOT NULL
    ) WITHOUT ROWID""",
    # Apart from `capsule`, so that listing never walks over the encrypted bytes.
    """CREATE TABLE ciphertext (
        capsule TEXT NOT NULL UNIQUE REFERENCES capsule(id) ON DELETE CASCADE,
        bytes BLOB NOT NULL
    )""",
    # The grant that lasts longest, per capsule and worker (an owner's directory may hold grants
    # for an earlier host too); `envelope` is signed by the owner, verbatim.
    """CREATE TABLE grant_ (
        capsule TEXT NOT NULL REFERENCES capsule(id) ON DELETE CASCADE, worker TEXT NOT NULL,
        expires_at TEXT NOT NULL, envelope BLOB NOT NULL, PRIMARY KEY (capsule, worker)
    ) WITHOUT ROWID""",
    # Erased ids, hashed: enough to refuse their return, nothing to list them by.
    "CREATE TABLE tombstone (token TEXT PRIMARY KEY, erased_at TEXT NOT NULL) WITHOUT ROWID",
)


@dataclass(frozen=True)
class Tombstone:
    """A capsule was erased here. Names no owner; sign it to publish it."""

    TYPE: ClassVar[str] = "application/vnd.cadastre.tombstone.v1+json"

    token: Digest  # hash of the random capsule id
    erased_at: datetime


@dataclass(frozen=True)
class HostedCapsule:
    """One line of `cadastre capsule list`."""

    id: CapsuleId
    data_class: DataClass
    unit: PrivacyUnit
    owner: PublicKey
    bytes: int
    grant_expires_at: datetime | None


@dataclass(frozen=True)
class Imported:
    """What one import changed."""

    added: int
    unchanged: int
    grants: int


class CapsuleStore:
    """The capsules that this worker hosts, in `<state>/capsules.sqlite`."""

    def __init__(self, state: Path, clock_: Clock) -> None:
        self._clock = clock_
        self._database = Database(
            state / FILE_NAME, application=_APPLICATION, version=_VERSION, schema=_SCHEMA
        )

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def add(self, capsules: Iterable[SealedCapsule], grants_: Iterable[bytes] = ()) -> Imported:
        """Import verified capsules and raw grants in ONE transaction.

        Repeating an import changes nothing. Raises CapsuleConflict (other content, owner or
        data class under a known id), CapsuleErased, CapsuleMissing (a grant without its
        capsule), GrantRefused, StorageFailed; then nothing of the batch was imported.
        """
        now = clock.to_text(self._clock.now())
        with self._database.transaction() as connection:
            fresh = [_insert(connection, capsule, now) for capsule in capsules]
            renewed = sum(_insert_grant(connection, raw) for raw in grants_)
        return Imported(sum(fresh), len(fresh) - sum(fresh), renewed)

    def header(self, capsule: CapsuleId) -> Header:
        """The signed header. Raises CapsuleMissing; re-verified on every call."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT envelope FROM capsule WHERE id=?", (capsule,)
            ).fetchone()
        if row is None:
            raise _missing(capsule)
        return sealed.verify_header(row[0])

    def ciphertext(self, capsule: CapsuleId) -> bytes:
        """The encrypted tables, authenticated by whoever decrypts. Raises CapsuleMissing."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT bytes FROM ciphertext WHERE capsule=?", (capsule,)
            ).fetchone()
        if row is None:
            raise _missing(capsule)
        return bytes(row[0])

    def grant(self, capsule: CapsuleId, worker: WorkerId) -> Grant:
        """The worker's grant that lasts longest, re-verified. Raises GrantMissing."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT g.envelope, c.owner FROM grant_ g JOIN capsule c ON c.id = g.capsule"
                " WHERE g.capsule=? AND g.worker=?",
                (capsule, worker),
            ).fetchone()
        if row is None:
            raise GrantMissing(
                "no grant lets this worker open the capsule",
                remedy="the owner runs `cadastre capsule grant DIR --worker CARD`",
                capsule=capsule,
            )
        return grants.verify(row[0], PublicKey.parse(row[1]))

    def owner(self, capsule: CapsuleId) -> PublicKey:
        """The owner's key as the signed header gave it. Raises CapsuleMissing."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT owner FROM capsule WHERE id=?", (capsule,)).fetchone()
        if row is None:
            raise _missing(capsule)
        return PublicKey.parse(row[0])

    def owners(self) -> dict[CapsuleId, PublicKey]:
        """Every hosted capsule with its owner's key."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT id, owner FROM capsule").fetchall()
        return {CapsuleId(name): PublicKey.parse(owner) for name, owner in rows}

    def hosted(self, worker: WorkerId | None = None) -> list[HostedCapsule]:
        """Every hosted capsule, by id; grants are those for `worker`, or for anyone if None."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT c.id, c.data_class, c.unit, c.owner, length(t.bytes),"
                " (SELECT max(expires_at) FROM grant_ g WHERE g.capsule = c.id"
                " AND (:worker IS NULL OR g.worker = :worker))"
                " FROM capsule c JOIN ciphertext t ON t.capsule = c.id ORDER BY c.id",
                {"worker": worker},
            ).fetchall()
        return [
            HostedCapsule(
                CapsuleId(name),
                DataClass(data_class),
                PrivacyUnit(unit),
                PublicKey.parse(owner),
                size,
                clock.from_text(expires) if expires else None,
            )
            for name, data_class, unit, owner, size, expires in rows
        ]

    def erase(self, capsules: Sequence[CapsuleId]) -> list[Tombstone]:
        """Destroy capsules and grants for good, all or none. Raises CapsuleMissing.

        Erasing an erased capsule again is fine: it repeats the scrubbing.
        Afterwards no byte of ciphertext or wrapped key is left in the store's files. If we
        crash between the commit and the scrubbing, old pages stay in the write-ahead log until
        the next `scrub` (run at every erase and worker start).
        """
        erased_at = clock.from_text(clock.to_text(self._clock.now()))
        stones = [Tombstone(tombstone_token(capsule), erased_at) for capsule in capsules]
        with self._database.transaction() as connection:
            for capsule, stone in zip(capsules, stones, strict=True):
                gone = connection.execute("DELETE FROM capsule WHERE id=?", (capsule,)).rowcount
                if not gone and not _is_erased(connection, capsule):
                    raise _missing(capsule)
                connection.execute(
                    "INSERT OR IGNORE INTO tombstone VALUES (?,?)",
                    (stone.token, clock.to_text(stone.erased_at)),
                )
        self.scrub()
        return stones

    def scrub(self) -> None:
        """Overwrite what deletions left in the write-ahead log."""
        self._database.scrub()


def tombstone_token(capsule: CapsuleId) -> Digest:
    """What a tombstone shows of a capsule: a hash of its random 128-bit id."""
    return Digest.of(f"cadastre/erased/v1\n{capsule}\n".encode())


def _insert(connection: sqlite3.Connection, capsule: SealedCapsule, now: str) -> bool:
    header = capsule.header
    _refuse_erased(connection, header.capsule)
    row = connection.execute(
        "SELECT content, owner, data_class, unit FROM capsule WHERE id=?", (header.capsule,)
    ).fetchone()
    values = (header.content, str(header.owner), header.data_class.value, header.unit.value)
    if row is not None:
        if row == values:
            return False
        names = ("content", "owner", "data class", "privacy unit")
        changed = [name for name, old, new in zip(names, row, values, strict=True) if old != new]
        raise CapsuleConflict(
            f"a capsule with this id is hosted already, with another {', '.join(changed)}",
            remedy="erase the hosted one first, or seal the new data under a new id",
            capsule=header.capsule,
        )
    connection.execute(
        "INSERT INTO capsule(id, content, owner, data_class, unit, envelope, imported_at)"
        " VALUES (?,?,?,?,?,?,?)",
        (header.capsule, *values, capsule.envelope, now),
    )
    connection.execute("INSERT INTO ciphertext VALUES (?,?)", (header.capsule, capsule.ciphertext))
    return True


def _insert_grant(connection: sqlite3.Connection, raw: bytes) -> bool:
    claimed = grants.claimed(raw)
    _refuse_erased(connection, claimed.capsule)
    row = connection.execute(
        "SELECT c.owner, g.expires_at FROM capsule c LEFT JOIN grant_ g"
        " ON g.capsule = c.id AND g.worker = ? WHERE c.id=?",
        (claimed.worker, claimed.capsule),
    ).fetchone()
    if row is None:
        raise _missing(claimed.capsule)
    grant = grants.verify(raw, PublicKey.parse(row[0]))
    expires_at = clock.to_text(grant.expires_at)
    if row[1] is not None and expires_at <= row[1]:
        return False
    connection.execute(
        "INSERT OR REPLACE INTO grant_ VALUES (?,?,?,?)",
        (grant.capsule, grant.worker, expires_at, raw),
    )
    return True


def _refuse_erased(connection: sqlite3.Connection, capsule: CapsuleId) -> None:
    if _is_erased(connection, capsule):
        raise CapsuleErased(
            "this capsule was erased here; its id cannot return",
            remedy="seal the data again: a new capsule gets a new id and a new key",
            capsule=capsule,
        )


def _is_erased(connection: sqlite3.Connection, capsule: CapsuleId) -> bool:
    token = tombstone_token(capsule)
    found = connection.execute("SELECT 1 FROM tombstone WHERE token=?", (token,)).fetchone()
    return found is not None


def _missing(capsule: CapsuleId) -> CapsuleMissing:
    return CapsuleMissing(
        "no such capsule is hosted here",
        remedy="see `cadastre capsule list`, or host it with `cadastre capsule host`",
        capsule=capsule,
    )
