"""The worker's memory: what must survive kill -9 at any instant, each write one transaction.

SQLite, WAL with synchronous=FULL: what a method has returned from is on disk; if we crash inside
one, nothing of it is. The order of writes around a contribution is the promise of "neither lost
nor repeated":

1. `begin_round`: the plan and the price, before the ledger is charged;
2. `keep_statement`: the signed partial and its values, before anything is sent; from here on
   every attempt at this round replays these bytes, and no second one can be kept;
3. `keep_report`: what to say about one attempt, repeated in every exchange until
4. `keep_receipts`: the scheduler's signed acknowledgement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from durable.errors import DiskFull, StorageFailed
from trust import schema
from trust.documents.campaign import Acknowledgement, UnitKind
from trust.documents.reporting import AttemptReport
from trust.ids import AttemptId, AuthorisationId, CampaignId, Digest
from trust.policy import Served
from trust.policy.errors import TwoPlans
from worker.errors import JournalRefused

FILE_NAME = "journal.sqlite"
_APPLICATION = 0x43414405  # "CAD", file kind 5
_VERSION = 2
BUSY_SECONDS = 10.0
_SCHEMA = (
    # One row: counters that only grow, and the exchange that waits for its answer.
    """CREATE TABLE counter (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        sequence INTEGER NOT NULL, status_number INTEGER NOT NULL,
        ledger_counter INTEGER NOT NULL, ledger_hash BLOB NOT NULL, outgoing BLOB
    )""",
    "INSERT INTO counter VALUES (1, 0, 0, 0, zeroblob(32), NULL)",
    # The one plan of a round and the vote that it rests on; rho is the price of one
    # contribution, once it is known.
    """CREATE TABLE round (
        campaign TEXT NOT NULL, round INTEGER NOT NULL, plan TEXT NOT NULL, rho TEXT,
        authorisation TEXT NOT NULL, PRIMARY KEY (campaign, round)
    ) WITHOUT ROWID""",
    "CREATE INDEX round_vote ON round(authorisation)",
    # What this worker said about one round: never a second one, whatever the attempt.
    """CREATE TABLE statement (
        campaign TEXT NOT NULL, round INTEGER NOT NULL, kind TEXT NOT NULL,
        plan TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, envelope BLOB NOT NULL,
        content BLOB NOT NULL, PRIMARY KEY (campaign, round, kind)
    )""",
    # Finished attempts; a receipt ends the repetition.
    """CREATE TABLE report (
        attempt TEXT PRIMARY KEY, body BLOB NOT NULL,
        receipt BLOB, orders TEXT
    )""",
    # Signed order batches that receipts stand in.
    "CREATE TABLE receipt (orders TEXT PRIMARY KEY, envelope BLOB NOT NULL)",
)


@dataclass(frozen=True)
class Statement:
    """A signed partial or conclusion with the blob that it names, as first made."""

    plan: Digest
    envelope: bytes
    content: bytes


@dataclass(frozen=True)
class SeenLedger:
    """The ledger checkpoint that the broker last reported."""

    counter: int
    hash: bytes


class Journal:
    """The journal in `<state>/journal.sqlite`."""

    def __init__(self, state: Path) -> None:
        """Open or create. Raises JournalRefused or StorageFailed."""
        self._path = state / FILE_NAME
        with self._translated():
            self._connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise
        self._path.chmod(0o600)

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    # --- exchanges ---

    def sequence(self) -> int:
        """The number of the last exchange that was begun."""
        return int(self._one("SELECT sequence FROM counter"))

    def outgoing(self) -> bytes | None:
        """The last exchange's raw report batch while its answer is missing."""
        value = self._one("SELECT outgoing FROM counter")
        return None if value is None else bytes(value)

    def begin_exchange(self, sequence: int, envelope: bytes) -> None:
        """Note the next batch before it is sent; its number must be one above the last."""
        with self._transaction() as run:
            changed = run.execute(
                "UPDATE counter SET sequence=?, outgoing=? WHERE sequence=?",
                (sequence, envelope, sequence - 1),
            ).rowcount
            if changed != 1:
                raise JournalRefused(
                    f"exchange {sequence} does not follow the journal's last one",
                    remedy="make sure that one agent alone runs on this state directory",
                )

    def end_exchange(
        self, sequence: int, orders: bytes, acknowledgements: Iterable[Acknowledgement]
    ) -> None:
        """The answer to exchange `sequence` arrived: keep its receipts, stop repeating it."""
        digest = Digest.of(orders)
        with self._transaction() as run:
            run.execute("UPDATE counter SET outgoing=NULL WHERE sequence=?", (sequence,))
            for receipt in acknowledgements:
                changed = run.execute(
                    "UPDATE report SET receipt=?, orders=? WHERE attempt=? AND receipt IS NULL",
                    (schema.encode(receipt), digest, receipt.attempt),
                ).rowcount
                if changed:
                    run.execute("INSERT OR IGNORE INTO receipt VALUES (?,?)", (digest, orders))

    # --- rounds and statements ---

    def plan(self, campaign: CampaignId, round_: int) -> Digest | None:
        """The plan that was accepted for this round, if any."""
        found = self._one("SELECT plan FROM round WHERE campaign=? AND round=?", (campaign, round_))
        return None if found is None else Digest(found)

    def begin_round(
        self,
        campaign: CampaignId,
        round_: int,
        plan: Digest,
        authorisation: AuthorisationId,
        rho: str | None = None,
    ) -> None:
        """Remember the round's one plan, its vote and price. Raises TwoPlans on another plan."""
        with self._transaction() as run:
            run.execute(
                "INSERT OR IGNORE INTO round VALUES (?,?,?,NULL,?)",
                (campaign, round_, plan, authorisation),
            )
            (known,) = run.execute(
                "SELECT plan FROM round WHERE campaign=? AND round=?", (campaign, round_)
            ).fetchone()
            if known != plan:
                raise TwoPlans(
                    f"round {round_} of {campaign} was planned as {known}, this order says {plan}",
                    remedy="tell the cooperative: a round has one plan and one parameter blob",
                    campaign=campaign,
                )
            if rho is not None:
                run.execute(
                    "UPDATE round SET rho=? WHERE campaign=? AND round=?", (rho, campaign, round_)
                )

    def served(self, authorisation: AuthorisationId, campaign: CampaignId, round_: int) -> Served:
        """What was begun here under a vote, besides the round that is named."""
        with self._translated():
            rows = self._connection.execute(
                "SELECT campaign, rho FROM round"
                " WHERE authorisation=? AND NOT (campaign=? AND round=?)",
                (authorisation, campaign, round_),
            ).fetchall()
        return Served(
            campaigns=frozenset(CampaignId(row[0]) for row in rows),
            rho=sum((Fraction(row[1]) for row in rows if row[1] is not None), Fraction(0)),
        )

    def charged_rounds(self) -> bytes:
        """Every round that the ledger may have been charged for: lines `campaign round rho`."""
        with self._translated():
            rows = self._connection.execute(
                "SELECT campaign, round, rho FROM round WHERE rho IS NOT NULL"
                " ORDER BY campaign, round"
            ).fetchall()
        return "".join(f"{campaign} {number} {rho}\n" for campaign, number, rho in rows).encode()

    def statement(self, campaign: CampaignId, round_: int, kind: UnitKind) -> Statement | None:
        """What this worker already said about the round: send it again, byte for byte."""
        with self._translated():
            row = self._connection.execute(
                "SELECT plan, envelope, content FROM statement"
                " WHERE campaign=? AND round=? AND kind=?",
                (campaign, round_, kind.value),
            ).fetchone()
        return None if row is None else Statement(Digest(row[0]), bytes(row[1]), bytes(row[2]))

    def keep_statement(
        self, campaign: CampaignId, round_: int, kind: UnitKind, statement: Statement
    ) -> Statement:
        """Keep the first statement of a round; returns the one that counts.

        A later one, made because we crashed or raced, is thrown away unseen.
        """
        with self._transaction() as run:
            run.execute(
                "INSERT OR IGNORE INTO statement VALUES (?,?,?,?,?,?,?)",
                (
                    campaign,
                    round_,
                    kind.value,
                    statement.plan,
                    Digest.of(statement.envelope),
                    statement.envelope,
                    statement.content,
                ),
            )
        kept = self.statement(campaign, round_, kind)
        assert kept is not None
        return kept

    def content(self, envelope: Digest) -> bytes:
        """The blob that goes with a kept statement, by its envelope's digest."""
        with self._translated():
            row = self._connection.execute(
                "SELECT content FROM statement WHERE digest=?", (envelope,)
            ).fetchone()
        return bytes(row[0])

    # --- reports ---

    def keep_report(self, report: AttemptReport) -> None:
        """What to say about an attempt; the first word about it stands."""
        with self._transaction() as run:
            run.execute(
                "INSERT OR IGNORE INTO report VALUES (?,?,NULL,NULL)",
                (report.attempt, schema.encode(report)),
            )

    def pending_reports(self, limit: int) -> tuple[AttemptReport, ...]:
        """Reports without a receipt, oldest first."""
        with self._translated():
            rows = self._connection.execute(
                "SELECT body FROM report WHERE receipt IS NULL ORDER BY rowid LIMIT ?", (limit,)
            ).fetchall()
        return tuple(schema.decode(AttemptReport, bytes(row[0])) for row in rows)

    def receipts(self) -> tuple[Acknowledgement, ...]:
        """Every acknowledgement kept."""
        with self._translated():
            rows = self._connection.execute(
                "SELECT receipt FROM report WHERE receipt IS NOT NULL ORDER BY rowid"
            ).fetchall()
        return tuple(schema.decode(Acknowledgement, bytes(row[0])) for row in rows)

    def reported(self, attempt: AttemptId) -> bool:
        """Whether this attempt was finished here."""
        return self._one("SELECT 1 FROM report WHERE attempt=?", (attempt,)) is not None

    # --- what only grows ---

    def status_number(self) -> int:
        """The highest number of a governance status ever accepted."""
        return int(self._one("SELECT status_number FROM counter"))

    def keep_status_number(self, number: int) -> None:
        """Note a status number; it never goes back."""
        with self._transaction() as run:
            run.execute("UPDATE counter SET status_number=max(status_number, ?)", (number,))

    def ledger(self) -> SeenLedger:
        """The ledger checkpoint last seen."""
        with self._translated():
            row = self._connection.execute(
                "SELECT ledger_counter, ledger_hash FROM counter"
            ).fetchone()
        return SeenLedger(int(row[0]), bytes(row[1]))

    def keep_ledger(self, seen: SeenLedger) -> None:
        """Note how far the ledger has grown; a lower counter changes nothing."""
        with self._transaction() as run:
            run.execute(
                "UPDATE counter SET ledger_counter=?, ledger_hash=? WHERE ledger_counter<=?",
                (seen.counter, seen.hash, seen.counter),
            )

    # --- plumbing ---

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")
        run("BEGIN IMMEDIATE")
        try:
            application = run("PRAGMA application_id").fetchone()[0]
            version = run("PRAGMA user_version").fetchone()[0]
            empty = run("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            if empty and (application, version) == (0, 0):
                for statement in _SCHEMA:
                    run(statement)
                run(f"PRAGMA application_id={_APPLICATION}")
                run(f"PRAGMA user_version={_VERSION}")
                application, version = _APPLICATION, _VERSION
            run("COMMIT")
        except BaseException:
            run("ROLLBACK")
            raise
        if application != _APPLICATION:
            raise JournalRefused(
                f"{self._path} is not a worker's journal",
                remedy="check the --state directory; do not point two programs at one file",
            )
        if version != _VERSION:
            raise JournalRefused(
                f"{self._path} has schema version {version}, this program knows {_VERSION}",
                remedy="start the Cadastre version that wrote it, or upgrade this one",
            )
        if run("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check failed")

    def _one(self, query: str, values: Sequence[object] = ()) -> Any:
        with self._translated():
            row = self._connection.execute(query, values).fetchone()
        return None if row is None else row[0]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise DiskFull(
                    f"the disk that holds {self._path.parent} is full",
                    remedy="free some space there; nothing was lost or half written, work resumes",
                ) from error
            raise StorageFailed(
                f"could not use {self._path}: {error}",
                remedy="check the file's permissions and that no other program holds it",
            ) from error
        except sqlite3.DatabaseError as error:
            raise JournalRefused(
                f"{self._path} is damaged or is no database: {error}",
                remedy="keep a copy of it, stop this worker and ask the territory's operator: "
                "without its journal a worker could say something twice",
            ) from error
