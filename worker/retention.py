"""How long the journal keeps what was acknowledged, and what it keeps for ever.

Only reports with the scheduler's receipt are ever let go: the oldest, when they are over a month
old, or when there are more of them, or more bytes of blobs, than a desktop should carry. With
the last report on a statement its bytes go too. What stops a repetition stays for ever, a few
hundred bytes per round: the round's plan, vote and price, and that a statement was made. An order
for a round whose statement is retired is refused, never run again; no honest scheduler gives one,
since a round's deadline is hours away, not months.

The age counts from the first pruning that saw the receipt. A wall clock that jumps forward
retires too early, which costs a replay and repeats nothing; one that jumps back waits longer,
inside the other two bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from sqlite3 import Connection

from trust import schema
from trust.documents.reporting import AttemptReport
from trust.ids import Digest


@dataclass(frozen=True)
class Retention:
    """The three bounds; whatever is beyond one of them goes, oldest first."""

    age: timedelta = timedelta(days=30)
    reports: int = 1024  # two weeks at a new worker's daily quota of 64
    blob_bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True)
class _Acknowledged:
    attempt: str
    statement: str | None
    receipted_at: int
    blob_bytes: int


def prune(run: Connection, retention: Retention, now: datetime) -> int:
    """Retire and delete inside the caller's transaction; how many reports went."""
    moment = int(now.timestamp())
    run.execute(
        "UPDATE report SET receipted_at=? WHERE receipt IS NOT NULL AND receipted_at IS NULL",
        (moment,),
    )
    kept, gone = _sorted_out(run, retention, moment)
    needed = {item.statement for item in kept} | _unacknowledged(run)
    for item in gone:
        if item.statement is not None and item.statement not in needed:
            run.execute(
                "UPDATE statement SET envelope=x'', content=x'', sealed=NULL, retired_at=? "
                "WHERE digest=?",
                (moment, item.statement),
            )
        run.execute("DELETE FROM report WHERE attempt=?", (item.attempt,))
    if gone:
        run.execute(
            "DELETE FROM receipt WHERE orders NOT IN"
            " (SELECT orders FROM report WHERE orders IS NOT NULL)"
        )
    return len(gone)


def _sorted_out(
    run: Connection, retention: Retention, moment: int
) -> tuple[list[_Acknowledged], list[_Acknowledged]]:
    kept: list[_Acknowledged] = []
    gone: list[_Acknowledged] = []
    oldest = moment - int(retention.age.total_seconds())
    counted: set[str | None] = {None}
    total = 0
    query = (
        "SELECT attempt, body, receipted_at FROM report WHERE receipt IS NOT NULL"
        " ORDER BY receipted_at DESC, rowid DESC"
    )
    for attempt, body, receipted_at in run.execute(query).fetchall():
        statement = _statement_of(body)
        size = 0 if statement in counted else _blob_bytes(run, statement)
        counted.add(statement)
        item = _Acknowledged(attempt, statement, receipted_at, size)
        total += size
        beyond = (
            receipted_at <= oldest or len(kept) >= retention.reports or total > retention.blob_bytes
        )
        (gone if beyond else kept).append(item)
    return kept, gone


def _unacknowledged(run: Connection) -> set[str | None]:
    rows = run.execute("SELECT body FROM report WHERE receipt IS NULL").fetchall()
    return {_statement_of(row[0]) for row in rows}


def _statement_of(body: bytes) -> str | None:
    said = schema.decode(AttemptReport, bytes(body)).statement
    return None if said is None else str(Digest.of(said))


def _blob_bytes(run: Connection, statement: str | None) -> int:
    row = run.execute(
        "SELECT length(content) FROM statement WHERE digest=?", (statement,)
    ).fetchone()
    return 0 if row is None else int(row[0])
