"""The ledger's links: a hash chain with a growing counter, and the sums that it implies."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from capsule_runtime.capsules.errors import DatabaseRefused, LedgerConflict
from trust.ids import CampaignId, CapsuleId, Digest
from trust.keys import PublicKey

SCHEMA = (
    # One row per link.
    # kind: reserve (charged before dispatch) | gap (charged after a restore) | closed (the rest
    #   of an account, when nobody knows what is missing) | splice (takes up a checkpoint seen
    #   elsewhere, whose hash stands in `capsule`; the counter jumps past it) | seal (ends a
    #   transaction: the counter jumps to the next multiple of COUNTER_STEP).
    # unit_rho: the price of one contribution; rho: what it cost. Fractions, zCDP.
    """CREATE TABLE entry (
        counter INTEGER PRIMARY KEY, kind TEXT NOT NULL, account TEXT NOT NULL,
        capsule TEXT NOT NULL, campaign TEXT NOT NULL, round INTEGER NOT NULL,
        unit_rho TEXT NOT NULL, rho TEXT NOT NULL, at TEXT NOT NULL, hash BLOB NOT NULL
    )""",
    # No contribution is paid for twice, whatever the code above does.
    """CREATE UNIQUE INDEX entry_once ON entry(capsule, campaign, round)
        WHERE kind IN ('reserve', 'gap')""",
    "CREATE INDEX entry_round ON entry(account, campaign, round)",
    # The sum of `entry.rho` per account: a cache, compared with the chain at every start.
    "CREATE TABLE account (account TEXT PRIMARY KEY, spent TEXT NOT NULL) WITHOUT ROWID",
)


# Checkpoints leave this worker. Their counters are rounded up, so that the growth between two of
# them tells nobody how many capsules were charged, and so how many could not pay.
COUNTER_STEP = 10
_JUMPING = frozenset({"splice", "seal"})


@dataclass(frozen=True)
class Checkpoint:
    """How far the ledger has grown; keep it where a restore of this file cannot reach."""

    counter: int
    hash: bytes


START = Checkpoint(0, bytes(32))


@dataclass(frozen=True)
class MissingRound:
    """A round that ran after the restored copy was taken, from the agent's journal."""

    campaign: CampaignId
    round: int
    rho: Fraction


@dataclass(frozen=True)
class Link:
    """One line of the ledger, before it gets its counter, moment and hash."""

    kind: str
    account: str = ""
    capsule: str = ""
    campaign: str = ""
    round: int = 0
    unit_rho: Fraction = Fraction(0)
    rho: Fraction = Fraction(0)


def account_of(owner: PublicKey) -> str:
    """The account that an owner's capsules draw on: a hash of the random owner key."""
    return Digest.of(b"cadastre/account/v1\n" + owner.raw)


class Writer:
    """Appends links inside one transaction of the caller."""

    def __init__(self, connection: sqlite3.Connection, now: str) -> None:
        self._connection = connection
        self._now = now
        self._head = self._first = head(connection)

    def known(self, capsule: str, campaign: str, round_: int) -> str | None:
        """The unit price already charged for this contribution, if any."""
        row = self._connection.execute(
            "SELECT unit_rho FROM entry WHERE capsule=? AND campaign=? AND round=?"
            " AND kind IN ('reserve', 'gap')",
            (capsule, campaign, round_),
        ).fetchone()
        return None if row is None else str(row[0])

    def paid(self, capsule: CapsuleId, campaign: CampaignId, round_: int, rho: Fraction) -> bool:
        """Whether this contribution is paid for. Raises LedgerConflict at another price."""
        known = self.known(capsule, campaign, round_)
        if known is not None and Fraction(known) != rho:
            raise LedgerConflict(
                f"round {round_} was reserved at {known} zCDP and is now asked for at {rho}",
                remedy="start another campaign: the price of a round never changes",
                campaign=campaign,
            )
        return known is not None

    def cost(self, account: str, campaign: str, round_: int, rho: Fraction) -> Fraction:
        """The price of the account's next capsule in this round: (2k - 1) rho for the k-th."""
        before = self._connection.execute(
            "SELECT count(*) FROM entry WHERE account=? AND campaign=? AND round=?"
            " AND kind IN ('reserve', 'gap')",
            (account, campaign, round_),
        ).fetchone()[0]
        return (2 * int(before) + 1) * rho

    def spent(self, account: str) -> Fraction:
        """What the account has spent so far, this transaction included."""
        return spent(self._connection, account)

    def capsules(self) -> dict[str, str]:
        """Every capsule that was ever charged here, with its account."""
        rows = self._connection.execute(
            "SELECT DISTINCT capsule, account FROM entry WHERE kind IN ('reserve', 'gap')"
        )
        return {str(capsule): str(account) for capsule, account in rows}

    def append(self, link: Link, *, after: int = 0) -> None:
        """One more link, numbered above `after`, and its account's new total."""
        counter = max(self._head.counter, after) + 1
        fields = (
            counter,
            link.kind,
            link.account,
            link.capsule,
            link.campaign,
            link.round,
            str(link.unit_rho),
            str(link.rho),
            self._now,
        )
        value = _hash(self._head.hash, fields)
        self._connection.execute("INSERT INTO entry VALUES (?,?,?,?,?,?,?,?,?,?)", (*fields, value))
        self._head = Checkpoint(counter, value)
        if link.account:
            self._connection.execute(
                "INSERT OR REPLACE INTO account VALUES (?,?)",
                (link.account, str(self.spent(link.account) + link.rho)),
            )

    def seal(self) -> None:
        """End the transaction's links, if it made any, at a multiple of COUNTER_STEP."""
        counter = self._head.counter
        if self._head != self._first and counter % COUNTER_STEP:
            self.append(Link("seal"), after=counter + -counter % COUNTER_STEP - 1)


def head(connection: sqlite3.Connection) -> Checkpoint:
    """The chain's present end."""
    row = connection.execute(
        "SELECT counter, hash FROM entry ORDER BY counter DESC LIMIT 1"
    ).fetchone()
    return START if row is None else Checkpoint(int(row[0]), bytes(row[1]))


def spent(connection: sqlite3.Connection, account: str) -> Fraction:
    """The account's total, in zCDP."""
    row = connection.execute("SELECT spent FROM account WHERE account=?", (account,)).fetchone()
    return Fraction(0) if row is None else Fraction(row[0])


def verify(connection: sqlite3.Connection, path: Path) -> None:
    """Re-compute every hash and total. Raises DatabaseRefused when one differs."""
    previous, totals = START, dict[str, Fraction]()
    for fields, value in _rows(connection):
        follows = fields[0] == previous.counter + 1 or (
            fields[1] in _JUMPING and fields[0] > previous.counter
        )
        if not follows or _hash(previous.hash, fields) != value:
            raise _damaged(path, f"entry {fields[0]} does not follow from the one before")
        previous = Checkpoint(fields[0], value)
        if fields[2]:
            totals[fields[2]] = totals.get(fields[2], Fraction(0)) + Fraction(fields[7])
    stored = {
        account: Fraction(total)
        for account, total in connection.execute("SELECT account, spent FROM account")
    }
    if stored != totals:
        raise _damaged(path, "the totals per account differ from the entries")


def _rows(
    connection: sqlite3.Connection,
) -> Iterator[tuple[tuple[int, str, str, str, str, int, str, str, str], bytes]]:
    for row in connection.execute(
        "SELECT counter, kind, account, capsule, campaign, round, unit_rho, rho, at, hash"
        " FROM entry ORDER BY counter"
    ):
        yield row[:9], bytes(row[9])


def _hash(previous: bytes, fields: Sequence[object]) -> bytes:
    # No field contains a newline (ids, fractions, moments, hex), so this is unambiguous.
    return hashlib.sha256(previous + "\n".join(map(str, fields)).encode()).digest()


def _damaged(path: Path, what: str) -> DatabaseRefused:
    return DatabaseRefused(
        f"the privacy ledger {path} is damaged: {what}",
        remedy="restore it from a backup and start the worker, which charges the difference",
    )
