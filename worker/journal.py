"""The worker's memory: what must survive kill -9 at any instant, each write one transaction.

What a method has returned from is on disk; if we crash inside one, nothing of it is
(`worker.journal_file`). The order of writes around a contribution is the promise of "neither
lost nor repeated":

1. `begin_round`: the plan and the price, before the ledger is charged;
2. `keep_statement`: the signed partial and its values, before anything is sent; from here on
   every attempt at this round replays these bytes, and no second one can be kept;
3. `keep_report`: what to say about one attempt, repeated in every exchange until
4. `end_exchange`: the scheduler's signed acknowledgement.

Long after that `prune` lets the bytes go; that a round was planned, paid and said here never.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path

from trust import schema
from trust.documents.campaign import Acknowledgement, UnitKind
from trust.documents.reporting import AttemptReport
from trust.ids import AttemptId, AuthorisationId, CampaignId, Digest
from trust.policy import Served
from trust.policy.errors import TwoPlans
from worker import retention
from worker.errors import JournalRefused, StatementRetired
from worker.journal_file import JournalFile
from worker.retention import Retention

RETENTION = Retention()
LARGE_BYTES = 1 << 20  # a statement's blob that is copied into the database once it was told


@dataclass(frozen=True)
class Statement:
    """A signed partial or conclusion with the blob that it names, as first made.

    `sealed` is the helper's share that goes with a partial where the protection has a helper.
    """

    plan: Digest
    envelope: bytes
    content: bytes
    sealed: bytes | None = None


@dataclass(frozen=True)
class SeenLedger:
    """The ledger checkpoint that the broker last reported."""

    counter: int
    hash: bytes


class Journal:
    """The journal in `<state>/journal.sqlite`."""

    def __init__(self, state: Path) -> None:
        """Open or create. Raises JournalRefused or StorageFailed."""
        self._file = JournalFile(state)

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    # --- exchanges ---

    def sequence(self) -> int:
        """The number of the last exchange that was begun."""
        return int(self._file.one("SELECT sequence FROM counter"))

    def outgoing(self) -> bytes | None:
        """The last exchange's raw report batch while its answer is missing."""
        value = self._file.one("SELECT outgoing FROM counter")
        return None if value is None else bytes(value)

    def begin_exchange(self, sequence: int, envelope: bytes) -> None:
        """Note the next batch before it is sent; its number must be one above the last."""
        with self._file.transaction() as run:
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
        digest, told = Digest.of(orders), False
        with self._file.transaction() as run:
            run.execute("UPDATE counter SET outgoing=NULL WHERE sequence=?", (sequence,))
            for receipt in acknowledgements:
                changed = run.execute(
                    "UPDATE report SET receipt=?, orders=? WHERE attempt=? AND receipt IS NULL",
                    (schema.encode(receipt), digest, receipt.attempt),
                ).rowcount
                if changed:
                    told = True
                    run.execute("INSERT OR IGNORE INTO receipt VALUES (?,?)", (digest, orders))
        if told:
            self._file.catch_up()

    # --- rounds and statements ---

    def plan(self, campaign: CampaignId, round_: int) -> Digest | None:
        """The plan that was accepted for this round, if any."""
        found = self._file.one(
            "SELECT plan FROM round WHERE campaign=? AND round=?", (campaign, round_)
        )
        return None if found is None else Digest(found)

    def begin_round(
        self,
        campaign: CampaignId,
        round_: int,
        plan: Digest,
        authorisation: AuthorisationId,
        rho: str | None = None,
        *,
        now: datetime | None = None,
    ) -> None:
        """Remember the round's one plan, its vote and price. Raises TwoPlans on another plan.

        `now` is when it is begun; a round without it never counts as open.
        """
        begun_at = 0 if now is None else int(now.timestamp())
        with self._file.transaction() as run:
            run.execute(
                "INSERT OR IGNORE INTO round VALUES (?,?,?,NULL,?,?)",
                (campaign, round_, plan, authorisation, begun_at),
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
        rows = self._file.rows(
            "SELECT campaign, rho FROM round"
            " WHERE authorisation=? AND NOT (campaign=? AND round=?)",
            (authorisation, campaign, round_),
        )
        return Served(
            campaigns=frozenset(CampaignId(row[0]) for row in rows),
            rho=sum((Fraction(row[1]) for row in rows if row[1] is not None), Fraction(0)),
        )

    def open_rounds(self, campaign: CampaignId, round_: int, since: datetime) -> int:
        """How many rounds were begun after `since`, may have been charged and were not answered.

        The round that is named does not count.
        """
        count = self._file.one(
            "SELECT count(*) FROM round WHERE rho IS NOT NULL AND begun_at > ?"
            " AND NOT (campaign=? AND round=?) AND NOT EXISTS (SELECT 1 FROM statement WHERE"
            " statement.campaign=round.campaign AND statement.round=round.round"
            " AND statement.kind=?)",
            (int(since.timestamp()), campaign, round_, UnitKind.CONTRIBUTE.value),
        )
        return int(count)

    def charged_rounds(self) -> bytes:
        """Every round that the ledger may have been charged for: lines `campaign round rho`."""
        rows = self._file.rows(
            "SELECT campaign, round, rho FROM round WHERE rho IS NOT NULL ORDER BY campaign, round"
        )
        return "".join(f"{campaign} {number} {rho}\n" for campaign, number, rho in rows).encode()

    def uncharged(self, campaign: CampaignId, round_: int) -> bool:
        """Whether contributing to this round had no price: public data, nothing drawn."""
        rho = self._file.one(
            "SELECT rho FROM round WHERE campaign=? AND round=?", (campaign, round_)
        )
        return rho is not None and Fraction(rho) == 0

    def statement(self, campaign: CampaignId, round_: int, kind: UnitKind) -> Statement | None:
        """What this worker already said about the round: send it again, byte for byte.

        Raises StatementRetired when it was said so long ago that its bytes are gone.
        """
        row = self._file.row(
            "SELECT plan, envelope, content, retired_at, sealed FROM statement"
            " WHERE campaign=? AND round=? AND kind=?",
            (campaign, round_, kind.value),
        )
        if row is None:
            return None
        if row[3] is not None:
            raise StatementRetired(
                f"round {round_} of {campaign} was answered and acknowledged here long ago",
                remedy="nothing to do: a round takes one contribution, and it had this one",
                campaign=campaign,
            )
        sealed = None if row[4] is None else bytes(row[4])
        return Statement(Digest(row[0]), bytes(row[1]), bytes(row[2]), sealed)

    def keep_statement(
        self, campaign: CampaignId, round_: int, kind: UnitKind, statement: Statement
    ) -> Statement:
        """Keep the first statement of a round; returns the one that counts.

        A later one, made because we crashed or raced, is thrown away unseen.
        """
        if len(statement.content) > LARGE_BYTES:
            self._file.put_off()
        with self._file.transaction() as run:
            kept_now = run.execute(
                "INSERT OR IGNORE INTO statement VALUES (?,?,?,?,?,?,?,NULL,?)",
                (
                    campaign,
                    round_,
                    kind.value,
                    statement.plan,
                    Digest.of(statement.envelope),
                    statement.envelope,
                    statement.content,
                    statement.sealed,
                ),
            ).rowcount
        if kept_now:
            return statement
        kept = self.statement(campaign, round_, kind)
        assert kept is not None
        return kept

    def content(self, envelope: Digest) -> bytes:
        """The blob that goes with a kept statement, by its envelope's digest."""
        row = self._file.row("SELECT content FROM statement WHERE digest=?", (envelope,))
        return bytes(row[0])

    def small_content(self, envelope: Digest, most: int) -> bytes | None:
        """The same where it has at most `most` bytes; a larger one is not read."""
        query = "SELECT content FROM statement WHERE digest=? AND length(content)<=?"
        row = self._file.row(query, (envelope, most))
        return None if row is None else bytes(row[0])

    # --- reports ---

    def keep_report(self, report: AttemptReport) -> None:
        """What to say about an attempt; the first word about it stands."""
        with self._file.transaction() as run:
            run.execute(
                "INSERT OR IGNORE INTO report VALUES (?,?,NULL,NULL,NULL)",
                (report.attempt, schema.encode(report)),
            )

    def pending_reports(self, limit: int) -> tuple[AttemptReport, ...]:
        """Reports without a receipt, oldest first."""
        rows = self._file.rows(
            "SELECT body FROM report WHERE receipt IS NULL ORDER BY rowid LIMIT ?", (limit,)
        )
        return tuple(schema.decode(AttemptReport, bytes(row[0])) for row in rows)

    def receipts(self) -> tuple[Acknowledgement, ...]:
        """Every acknowledgement kept."""
        rows = self._file.rows(
            "SELECT receipt FROM report WHERE receipt IS NOT NULL ORDER BY rowid"
        )
        return tuple(schema.decode(Acknowledgement, bytes(row[0])) for row in rows)

    def reported(self, attempt: AttemptId) -> bool:
        """Whether this attempt was finished here."""
        return self._file.one("SELECT 1 FROM report WHERE attempt=?", (attempt,)) is not None

    def prune(self, now: datetime, bounds: Retention = RETENTION) -> int:
        """Let go of acknowledged reports beyond `bounds`; returns how many went."""
        with self._file.transaction() as run:
            return retention.prune(run, bounds, now)

    # --- what only grows ---

    def status_number(self) -> int:
        """The highest number of a governance status ever accepted."""
        return int(self._file.one("SELECT status_number FROM counter"))

    def keep_status_number(self, number: int) -> None:
        """Note a status number; it never goes back."""
        with self._file.transaction() as run:
            run.execute("UPDATE counter SET status_number=max(status_number, ?)", (number,))

    def ledger(self) -> SeenLedger:
        """The ledger checkpoint last seen."""
        row = self._file.row("SELECT ledger_counter, ledger_hash FROM counter")
        return SeenLedger(int(row[0]), bytes(row[1]))

    def keep_ledger(self, seen: SeenLedger) -> None:
        """Note how far the ledger has grown; a lower counter changes nothing."""
        with self._file.transaction() as run:
            run.execute(
                "UPDATE counter SET ledger_counter=?, ledger_hash=? WHERE ledger_counter<=?",
                (seen.counter, seen.hash, seen.counter),
            )
