"""The registry of consents: one SQLite file, every decision durable before it is answered.

Owners and capsules are stored as keyed hashes under a salt kept in another file: a copy of the
database without the salt links no row to a capsule or an owner's key. The highest serial wins;
the first owner key seen for a capsule stays its owner.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from durable.files import make_directory, write_atomic
from governance.errors import (
    ConsentForeign,
    ConsentMalformed,
    ConsentOutOfTime,
    ConsentOwnerChanged,
    ConsentStale,
    RegistryFull,
    StateRefused,
)
from trust import clock
from trust.documents import signed
from trust.documents.consent import PURPOSE_PREFIX, Consent, Decision, revocation_token
from trust.documents.governance import Suspended, Suspension
from trust.entropy import Entropy
from trust.ids import AuthorisationId, Digest, WorkerId
from trust.problem import Problem

SCHEMA_VERSION = 1
# A territory of 400,000 people with five consented purposes each.
MAXIMUM_CONSENTS = 2_000_000
# Consents last 12 months by default; a month of slack for a renewal made early.
MAXIMUM_VALIDITY = timedelta(days=400)
# Owners' clocks are the clocks of phones and home computers.
CLOCK_SKEW = timedelta(minutes=10)
MAXIMUM_SERIAL = 2**63 - 1  # an SQL integer
MAXIMUM_TARGET = 200  # characters; a digest has 71, a purpose is a few words
_SALT_BYTES = 32

_SCHEMA = """
-- One row: whose registry this is, and the counters that must survive a crash.
CREATE TABLE state (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  territory TEXT NOT NULL,
  number INTEGER NOT NULL,          -- of the last status that may have been published
  revision INTEGER NOT NULL         -- grows with every accepted change
);
-- The first owner key seen for a capsule, both as keyed hashes.
CREATE TABLE owners (capsule BLOB PRIMARY KEY, owner BLOB NOT NULL) WITHOUT ROWID;
-- The consent with the highest serial per capsule and target.
CREATE TABLE consents (
  capsule BLOB NOT NULL,            -- keyed hash
  target TEXT NOT NULL,             -- bundle digest or purpose:text
  serial INTEGER NOT NULL,
  granted INTEGER NOT NULL,         -- 1 grant, 0 revocation
  worker TEXT NOT NULL,             -- the host that the owner chose
  expires_at TEXT NOT NULL,         -- RFC 3339; of a revocation: when its token may be dropped
  token TEXT NOT NULL,              -- revocation token, published while revoked
  envelope TEXT NOT NULL,           -- digest of the owner's envelope
  PRIMARY KEY (capsule, target)
) WITHOUT ROWID;
CREATE INDEX consents_by_target ON consents (granted, target, worker, expires_at);
CREATE TABLE suspensions (
  authorisation TEXT PRIMARY KEY,
  reason TEXT NOT NULL,
  issued_at TEXT NOT NULL,
  envelope BLOB NOT NULL            -- the college's own bytes
) WITHOUT ROWID;
"""

_ROOM = "SELECT ? - count(*) FROM consents"


@dataclass(frozen=True)
class RefusedConsent:
    """Why one line of a submission was not taken."""

    index: int
    code: str
    sentence: str


@dataclass(frozen=True)
class Receipt:
    """What became of a submission."""

    accepted: int
    unchanged: int
    refused: tuple[RefusedConsent, ...]


@dataclass(frozen=True)
class Snapshot:
    """What the status says, as of one revision of the registry."""

    revision: int
    suspensions: tuple[Suspended, ...]
    revoked: tuple[Digest, ...]
    live_consents: dict[str, dict[WorkerId, int]]


class Registry:
    """Consents and suspensions of one territory; safe for many threads of one process.

    A second process (the command line) may add suspensions at the same time: SQLite serialises
    the writers, and `revision` tells the server that something changed.
    """

    def __init__(self, folder: Path, territory: str, entropy: Entropy) -> None:
        make_directory(folder, mode=0o700)
        path = folder / "registry.sqlite"
        self._salt = _salt(folder / "registry.salt", path, entropy)
        self._lock = threading.Lock()
        self._connection = _open(path)
        self._territory = territory
        with self._transaction() as sql:
            _prepare(sql, territory, path)

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()

    def submit(self, envelopes: Sequence[bytes], now: datetime) -> Receipt:
        """Take what holds of `envelopes`, in order; durable when this returns.

        If we crash inside, none of the submission is kept and sending it again is right: known
        bytes count as unchanged.
        """
        refused: list[RefusedConsent] = []
        checked: list[tuple[int, signed.Signed[Consent]]] = []
        for index, raw in enumerate(envelopes):
            try:
                checked.append((index, self._checked(raw, now)))
            except Problem as problem:
                refused.append(RefusedConsent(index, problem.code, problem.sentence))
        accepted = unchanged = 0
        with self._transaction() as sql:
            (room,) = sql.execute(
                "SELECT ? - count(*) FROM consents", [MAXIMUM_CONSENTS]
            ).fetchone()
            for index, consent in checked:
                try:
                    changed = self._take(sql, consent, room - accepted)
                except Problem as problem:
                    refused.append(RefusedConsent(index, problem.code, problem.sentence))
                    continue
                accepted += changed
                unchanged += not changed
            if accepted:
                sql.execute("UPDATE state SET revision = revision + 1")
        return Receipt(accepted, unchanged, tuple(sorted(refused, key=lambda r: r.index)))

    def suspend(self, suspension: signed.Signed[Suspension]) -> bool:
        """Record a college's suspension; False when it was known. There is no way back."""
        document = suspension.document
        if document.territory != self._territory:
            raise ConsentForeign(
                f"the suspension is for {document.territory}, this server for {self._territory}"
            )
        with self._transaction() as sql:
            added = sql.execute(
                "INSERT OR IGNORE INTO suspensions VALUES (?, ?, ?, ?)",
                [
                    document.authorisation,
                    document.reason,
                    clock.to_text(document.issued_at),
                    suspension.envelope.raw,
                ],
            ).rowcount
            if added:
                sql.execute("UPDATE state SET revision = revision + 1")
        return bool(added)

    def revision(self) -> int:
        """A number that grows whenever the status would say something else."""
        with self._lock:
            (value,) = self._connection.execute("SELECT revision FROM state").fetchone()
        return int(value)

    def next_number(self) -> int:
        """The number of the status about to be published.

        Committed before it is returned: after a crash the next status has a higher number than
        anything a worker can have seen.
        """
        with self._transaction() as sql:
            sql.execute("UPDATE state SET number = number + 1")
            (number,) = sql.execute("SELECT number FROM state").fetchone()
        return int(number)

    def snapshot(self, now: datetime) -> Snapshot:
        """Suspensions, revocation tokens and live consents per target and worker at `now`."""
        moment = clock.to_text(now)
        live: dict[str, dict[WorkerId, int]] = {}
        with self._transaction() as sql:
            (revision,) = sql.execute("SELECT revision FROM state").fetchone()
            # Nothing reads an expired row again: a grant no longer counts, and every grant that
            # a revocation's token withdraws has expired too.
            sql.execute("DELETE FROM consents WHERE expires_at <= ? AND granted = 0", [moment])
            for target, worker, count in sql.execute(
                "SELECT target, worker, count(*) FROM consents "
                "WHERE granted = 1 AND expires_at > ? GROUP BY target, worker",
                [moment],
            ):
                live.setdefault(target, {})[WorkerId.parse(worker)] = count
            tokens = sql.execute("SELECT token FROM consents WHERE granted = 0 ORDER BY token")
            revoked = tuple(Digest.parse(token) for (token,) in tokens)
            rows = sql.execute(
                "SELECT authorisation, reason FROM suspensions ORDER BY authorisation"
            )
            suspensions = tuple(Suspended(AuthorisationId.parse(a), r) for a, r in rows)
        return Snapshot(revision, suspensions, revoked, live)

    def _checked(self, raw: bytes, now: datetime) -> signed.Signed[Consent]:
        consent = signed.verify_self_named(Consent, raw, "owner")
        document = consent.document
        if document.territory != self._territory:
            raise ConsentForeign(
                f"the consent is for {document.territory}, this registry for {self._territory}"
            )
        if not 0 <= document.serial <= MAXIMUM_SERIAL:
            raise ConsentMalformed(f"a serial is 0 to {MAXIMUM_SERIAL}")
        if len(document.target) > MAXIMUM_TARGET or not document.target.startswith(
            (PURPOSE_PREFIX, "sha256:")
        ):
            raise ConsentMalformed(
                f"a consent's target is a bundle digest or {PURPOSE_PREFIX}<text>"
            )
        if document.issued_at > now + CLOCK_SKEW:
            raise ConsentOutOfTime("the consent is dated in the future")
        if document.expires_at <= now:
            raise ConsentOutOfTime("the consent has expired")
        if document.expires_at - document.issued_at > MAXIMUM_VALIDITY:
            raise ConsentOutOfTime(f"a consent lasts at most {MAXIMUM_VALIDITY.days} days")
        return consent

    def _take(self, sql: sqlite3.Connection, consent: signed.Signed[Consent], room: int) -> bool:
        document = consent.document
        capsule = self._pseudonym(b"capsule", document.capsule.encode())
        owner = self._pseudonym(b"owner", document.owner.raw)
        pinned = sql.execute("SELECT owner FROM owners WHERE capsule = ?", [capsule]).fetchone()
        if pinned is not None and pinned[0] != owner:
            raise ConsentOwnerChanged("another key speaks for this capsule already")
        known = sql.execute(
            "SELECT serial, envelope, expires_at FROM consents WHERE capsule = ? AND target = ?",
            [capsule, document.target],
        ).fetchone()
        if known is not None and known[1] == consent.digest:
            return False
        if known is not None and document.serial <= known[0]:
            raise ConsentStale(f"serial {document.serial} is not above the known {known[0]}")
        if known is None and room <= 0:
            raise RegistryFull(f"the registry holds {MAXIMUM_CONSENTS} consents, its limit")
        granted = document.decision is Decision.GRANT
        expires = clock.to_text(document.expires_at)
        if not granted:
            # A revocation must outlive every grant that it withdraws, also one that only the
            # worker has seen: those end at most a full validity after the revocation.
            expires = clock.to_text(document.issued_at + MAXIMUM_VALIDITY)
        sql.execute("INSERT OR IGNORE INTO owners VALUES (?, ?)", [capsule, owner])
        sql.execute(
            "INSERT OR REPLACE INTO consents VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                capsule,
                document.target,
                document.serial,
                granted,
                document.worker,
                expires,
                revocation_token(document.capsule, document.target),
                consent.digest,
            ],
        )
        return True

    def _pseudonym(self, label: bytes, value: bytes) -> bytes:
        return hmac.digest(self._salt, label + b"\0" + value, hashlib.sha256)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction; rolled back when the body raises."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _salt(path: Path, database: Path, entropy: Entropy) -> bytes:
    """The key of the pseudonyms, made once, before the database.

    If we crash between the two, the next start finds the salt and makes the database.
    """
    if path.exists():
        salt = path.read_bytes()
    elif database.exists():
        raise StateRefused(
            f"{path} is missing beside its database",
            remedy="restore it from a backup: without it no consent can be matched",
        )
    else:
        salt = entropy(_SALT_BYTES)
        write_atomic(path, salt, mode=0o600)
    if len(salt) != _SALT_BYTES:
        raise StateRefused(f"{path} is damaged: it has {len(salt)} bytes")
    return salt


def _open(path: Path) -> sqlite3.Connection:
    if not path.exists():
        path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StateRefused(
            f"{path} is not a readable SQLite file",
            remedy="restore it from a backup; then publish a status with a higher number",
        ) from error
    return connection


def _prepare(sql: sqlite3.Connection, territory: str, path: Path) -> None:
    (version,) = sql.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in _SCHEMA.split(";\n"):
            if statement.strip():
                sql.execute(statement)
        sql.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        sql.execute("INSERT INTO state VALUES (1, ?, 0, 0)", [territory])
        return
    if version != SCHEMA_VERSION:
        raise StateRefused(
            f"{path} has schema {version}, this program knows {SCHEMA_VERSION}",
            remedy="run the release that wrote it",
        )
    (owner,) = sql.execute("SELECT territory FROM state").fetchone()
    if owner != territory:
        raise StateRefused(
            f"{path} is the registry of {owner}, not of {territory}",
            remedy="give the state folder of this territory",
        )
