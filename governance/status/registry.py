"""The registry of consents: one SQLite file, every decision durable before it is answered.

Owners and capsules are stored as keyed hashes. The highest serial wins; the first owner key
seen for a capsule stays its owner. Rows are never deleted: a clock that jumped ahead once would
otherwise have forgotten every revocation, and an old grant could be replayed.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from governance.errors import (
    ConsentForeign,
    ConsentOwnerChanged,
    ConsentStale,
    OwnerBudgetExceeded,
    RegistryFull,
)
from governance.status.admission import (
    TARGET_BYTES,
    TOKEN_BYTES,
    WORKER_BYTES,
    Room,
    admit,
    kept_until,
)
from governance.status.checkpoints import Checkpoints
from governance.status.database import RegistryFile
from governance.status.numbers import Numbers
from trust import clock, schema
from trust.documents import signed
from trust.documents.budget import LEDGER_CAP, OWNER_CAP
from trust.documents.consent import Consent, Decision, revocation_token
from trust.documents.governance import Suspended, Suspension
from trust.entropy import Entropy
from trust.ids import AuthorisationId, Digest, WorkerId
from trust.problem import Problem

# A territory of 400,000 people with five consented purposes each.
MAXIMUM_CONSENTS = 2_000_000
# An envelope of at most 4 MiB holds 3 MiB of status: what consents may fill of it (35,000
# withdrawals, or 50,000 pairs of worker and purpose), and what is kept for the college.
STATUS_BYTES = 2_600_000
# Each host's ledger lets an owner spend LEDGER_CAP and forgets nothing; what was spent on a host
# that an owner left stays spent. The registry sees whom owners choose, never what they spend.
MAXIMUM_HOSTS = OWNER_CAP // LEDGER_CAP
SUSPENSIONS_BYTES = 500_000

_LIVE = "FROM consents WHERE granted = 1 AND expires_at > ?"


@dataclass(frozen=True)
class RefusedConsent:
    """Why one line of a submission was not taken."""

    index: int
    code: str
    sentence: str
    remedy: str

    @classmethod
    def of(cls, index: int, problem: Problem) -> RefusedConsent:
        """The refusal of line `index` for the reason that `problem` gives."""
        return cls(index, problem.code, problem.sentence, problem.remedy)


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
    the writers, and `revision` tells the server that something changed. Everything here raises
    StorageFailed when the disk does not obey.
    """

    def __init__(self, folder: Path, territory: str, entropy: Entropy) -> None:
        self._file = RegistryFile(folder, territory, entropy)
        self._territory = territory
        self.checkpoints = Checkpoints(self._file, territory)
        self.numbers = Numbers(self._file)

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def submit(self, envelopes: Sequence[bytes], now: datetime) -> Receipt:
        """Take what holds of `envelopes`, in order; durable when this returns.

        If we crash inside, none of the submission is kept and sending it again is right: known
        bytes count as unchanged.
        """
        refused: list[RefusedConsent] = []
        admitted: list[tuple[int, signed.Signed[Consent]]] = []
        for index, raw in enumerate(envelopes):
            try:
                admitted.append((index, admit(raw, self._territory, now)))
            except Problem as problem:
                refused.append(RefusedConsent.of(index, problem))
        accepted = unchanged = 0
        with self._file.transaction() as sql:
            room = _room(sql, clock.to_text(now))
            for index, consent in admitted:
                try:
                    changed = self._take(sql, consent, room, now)
                except Problem as problem:
                    refused.append(RefusedConsent.of(index, problem))
                    continue
                accepted += changed
                unchanged += not changed
            if accepted:
                sql.execute("UPDATE state SET revision = revision + 1")
        return Receipt(accepted, unchanged, tuple(sorted(refused, key=lambda r: r.index)))

    def suspend(self, suspension: signed.Signed[Suspension]) -> bool:
        """Record a college's suspension; False when it was known. There is no way back.

        Raises ConsentForeign, or RegistryFull when the college suspended thousands.
        """
        document = suspension.document
        if document.territory != self._territory:
            raise ConsentForeign(
                f"the suspension is for {document.territory[:80]}, this server for "
                f"{self._territory}"
            )
        line = len(schema.encode(Suspended(document.authorisation, document.reason))) + 1
        with self._file.transaction() as sql:
            rows = sql.execute("SELECT authorisation, reason FROM suspensions").fetchall()
            if document.authorisation in {authorisation for authorisation, _ in rows}:
                return False
            held = sum(
                len(schema.encode(Suspended(AuthorisationId.parse(a), r))) + 1 for a, r in rows
            )
            if held + line > SUSPENSIONS_BYTES:
                raise RegistryFull(
                    "the status can name no more suspensions",
                    remedy="rotate the territory root: it ends every authorisation at once",
                )
            sql.execute(
                "INSERT INTO suspensions VALUES (?, ?, ?, ?)",
                [
                    document.authorisation,
                    document.reason,
                    clock.to_text(document.issued_at),
                    suspension.envelope.raw,
                ],
            )
            sql.execute("UPDATE state SET revision = revision + 1")
        return True

    def revision(self) -> int:
        """A number that grows whenever the status would say something else."""
        with self._file.reading() as sql:
            (value,) = sql.execute("SELECT revision FROM state").fetchone()
        return int(value)

    def snapshot(self, now: datetime) -> Snapshot:
        """Suspensions, revocation tokens and live consents per target and worker at `now`."""
        moment = clock.to_text(now)
        live: dict[str, dict[WorkerId, int]] = {}
        with self._file.transaction() as sql:
            (revision,) = sql.execute("SELECT revision FROM state").fetchone()
            for target, worker, count in sql.execute(
                f"SELECT target, worker, count(*) {_LIVE} GROUP BY target, worker",
                [moment],
            ):
                live.setdefault(target, {})[WorkerId.parse(worker)] = count
            tokens = sql.execute(
                "SELECT token FROM consents WHERE granted = 0 AND expires_at > ? ORDER BY token",
                [moment],
            )
            revoked = tuple(Digest.parse(token) for (token,) in tokens)
            rows = sql.execute(
                "SELECT authorisation, reason FROM suspensions ORDER BY authorisation"
            )
            suspensions = tuple(Suspended(AuthorisationId.parse(a), r) for a, r in rows)
        return Snapshot(revision, suspensions, revoked, live)

    def _take(
        self, sql: sqlite3.Connection, consent: signed.Signed[Consent], room: Room, now: datetime
    ) -> bool:
        document = consent.document
        capsule = self._pseudonym(b"capsule", document.capsule.encode())
        owner = self._pseudonym(b"owner", document.owner.raw)
        pinned = sql.execute("SELECT owner FROM owners WHERE capsule = ?", [capsule]).fetchone()
        if pinned is not None and pinned[0] != owner:
            raise ConsentOwnerChanged("another key speaks for this capsule already")
        known = sql.execute(
            "SELECT serial, envelope, granted FROM consents WHERE capsule = ? AND target = ?",
            [capsule, document.target],
        ).fetchone()
        if known is not None and known[1] == consent.digest:
            return False
        if known is not None and document.serial <= known[0]:
            raise ConsentStale(f"serial {document.serial} is not above the known {known[0]}")
        granted = document.decision is Decision.GRANT
        line = _line(sql, document, clock.to_text(now)) if granted else TOKEN_BYTES
        if known is not None and not known[2]:
            line -= TOKEN_BYTES  # the token that goes away, or is there already
        if granted:
            _require_host(sql, owner, document.worker)
        room.take(rows=int(known is None), status=line)
        if granted:
            sql.execute("INSERT OR IGNORE INTO hosts VALUES (?, ?)", [owner, document.worker])
        sql.execute("INSERT OR IGNORE INTO owners VALUES (?, ?)", [capsule, owner])
        sql.execute(
            "INSERT OR REPLACE INTO consents VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                capsule,
                document.target,
                document.serial,
                granted,
                document.worker,
                clock.to_text(kept_until(document, now)),
                revocation_token(document.capsule, document.target),
                consent.digest,
            ],
        )
        return True

    def _pseudonym(self, label: bytes, value: bytes) -> bytes:
        return hmac.digest(self._file.salt, label + b"\0" + value, hashlib.sha256)


def _room(sql: sqlite3.Connection, moment: str) -> Room:
    (rows,) = sql.execute("SELECT count(*) FROM consents").fetchone()
    (tokens,) = sql.execute(
        "SELECT count(*) FROM consents WHERE granted = 0 AND expires_at > ?", [moment]
    ).fetchone()
    (pairs,) = sql.execute(
        f"SELECT count(*) FROM (SELECT DISTINCT target, worker {_LIVE})",  # noqa: S608 - a constant
        [moment],
    ).fetchone()
    targets = sql.execute(f"SELECT DISTINCT target {_LIVE}", [moment])
    used = tokens * TOKEN_BYTES + pairs * WORKER_BYTES
    used += sum(_spelled(target) for (target,) in targets)
    return Room(MAXIMUM_CONSENTS - rows, STATUS_BYTES - used)


def _require_host(sql: sqlite3.Connection, owner: bytes, worker: WorkerId) -> None:
    """Raise OwnerBudgetExceeded when `worker` would be one host too many; never for a known one."""
    rows = sql.execute("SELECT worker FROM hosts WHERE owner = ?", [owner]).fetchall()
    if (worker,) not in rows and len(rows) >= MAXIMUM_HOSTS:
        raise OwnerBudgetExceeded(
            f"this owner has consented to {len(rows)} hosts, each with a budget of {LEDGER_CAP} "
            f"zCDP; a further one would pass {OWNER_CAP}"
        )


def _line(sql: sqlite3.Connection, document: Consent, moment: str) -> int:
    """What a grant adds to the status: nothing where its worker has others for the target."""
    among = f"SELECT 1 {_LIVE} AND target = ?"
    target, worker = document.target, document.worker
    if sql.execute(f"{among} AND worker = ? LIMIT 1", [moment, target, worker]).fetchone():
        return 0
    if sql.execute(f"{among} LIMIT 1", [moment, target]).fetchone():
        return WORKER_BYTES
    return WORKER_BYTES + _spelled(target)


def _spelled(target: str) -> int:
    return len(target.encode()) + target.count('"') + target.count("\\") + TARGET_BYTES
