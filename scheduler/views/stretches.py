"""A campaign's rounds over time: from a round's first lease to its last end, and how it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy
from sqlalchemy import case
from sqlmodel import col, func, select

from scheduler.domain.states import FINAL_ROUND, LIVE_ATTEMPT, AttemptState
from scheduler.service.desk import Desk
from scheduler.service.finding import campaign_by
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, RoundRow, UnitRow
from scheduler.views.slices import Slice, among

MOST_ROUNDS = 1_000  # of a picture: at the height of a mark, that is ten screens of scrolling
# Attempts that are read to count them, from the newest round back: a picture costs no more then,
# however many a campaign has.
MOST_READ = 20_000
IN_VAIN = (AttemptState.REJECTED, AttemptState.EXPIRED, AttemptState.ABANDONED)


@dataclass(frozen=True)
class Stretch:
    """A round. `attempts` and those that ended in vain (`failed`) are None where nobody counted.

    It begins with its first lease, with its plan where there was none or nobody counted; `ended`
    is None while the round collects or an attempt lives.
    """

    number: int
    state: str
    begun_at: datetime
    ended_at: datetime | None
    attempts: int | None
    failed: int | None


def stretches(desk: Desk, text: str, cut: Slice) -> list[Stretch]:
    """The rounds of the campaign `text` by their numbers. Raises Unknown, Ambiguous."""

    def gather(tx: Transaction) -> list[Stretch]:
        query = select(RoundRow).where(RoundRow.campaign == campaign_by(tx, text).id)
        number = RoundRow.__table__.c["number"]  # type: ignore[attr-defined]
        return stretches_of(tx, tx.session.exec(cut.cut(query, [number])).all())

    return desk.store.read("view-stretches", gather)


def newest(tx: Transaction, campaign: str) -> list[Stretch]:
    """The newest rounds, MOST_ROUNDS at most, in their order."""
    rows = tx.session.exec(
        select(RoundRow)
        .where(RoundRow.campaign == campaign)
        .order_by(col(RoundRow.number).desc())
        .limit(MOST_ROUNDS)
    ).all()
    return stretches_of(tx, rows[::-1])


@dataclass(frozen=True)
class _Counted:
    attempts: int
    failed: int
    living: int
    begun_at: datetime
    ended_at: datetime


def stretches_of(tx: Transaction, rows: Sequence[RoundRow]) -> list[Stretch]:
    """The stretches of consecutive rounds of one campaign, in the order of `rows`."""
    if not rows:
        return []
    numbers = [row.number for row in rows]
    counted, whole = _counted(tx, rows[0].campaign, min(numbers), max(numbers))
    return [_stretch(row, counted.get(row.number), counted=row.number >= whole) for row in rows]


def _stretch(row: RoundRow, found: _Counted | None, *, counted: bool) -> Stretch:
    over = row.state in FINAL_ROUND
    if found is None or not counted:
        # A round that is over has been in its state since its end.
        nothing = 0 if counted else None
        ended = row.waits_since if over else None
        return Stretch(row.number, row.state, row.issued_at, ended, nothing, nothing)
    return Stretch(
        number=row.number,
        state=row.state,
        begun_at=found.begun_at,
        ended_at=found.ended_at if over and not found.living else None,
        attempts=found.attempts,
        failed=found.failed,
    )


def _counted(
    tx: Transaction, campaign: str, first: int, last: int
) -> tuple[dict[int, _Counted], int]:
    """What the attempts of these rounds say, and the first round that all were read of."""
    of_these = (UnitRow.campaign == campaign, col(UnitRow.round).between(first, last))
    read = (
        select(
            col(UnitRow.round).label("round"),
            col(AttemptRow.state).label("state"),
            col(AttemptRow.leased_at).label("leased_at"),
            # An attempt from before ends were written down ended by its lease's end at the latest.
            func.coalesce(AttemptRow.ended_at, AttemptRow.expires_at).label("over_at"),
        )
        .join(AttemptRow, col(AttemptRow.unit) == col(UnitRow.id))
        .where(*of_these)
        .order_by(col(UnitRow.round).desc(), col(UnitRow.id).desc())
        .limit(MOST_READ)
        .subquery()
    )
    one = read.c
    rows = (
        tx.session.connection()
        .execute(
            sqlalchemy.select(
                one["round"],
                func.count(),
                func.sum(case((among(one.state, IN_VAIN), 1), else_=0)),
                func.sum(case((among(one.state, sorted(LIVE_ATTEMPT)), 1), else_=0)),
                func.min(one.leased_at),
                func.max(one.over_at),
            )
            .group_by(one["round"])
            .order_by(one["round"])
        )
        .all()
    )
    found = {number: _Counted(*of_it) for number, *of_it in rows}
    cut_short = sum(one.attempts for one in found.values()) >= MOST_READ
    return found, min(found) + 1 if cut_short else first
