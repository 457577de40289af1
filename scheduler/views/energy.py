"""What electricity campaigns took, day by day: an estimate from how long attempts were at work.

No report carries a measured figure: per attempt it would tell how long a capsule's data took, and
nothing below a campaign's day may be told. So this multiplies the time between lease and answer by
a stated power, and that by a stated emission factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlmodel import col, func, select

from scheduler.service.desk import Desk
from scheduler.service.finding import campaign_by
from scheduler.store.store import Transaction
from scheduler.store.tables import AuthorisationRow, CampaignRow, EffortRow, SampleRow
from scheduler.views.slices import Slice

DAYS = 30  # of the picture
_FIRST = date(1970, 1, 1)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Factors:
    """What turns time at work into energy and carbon. `source` is "" for the built-in ones."""

    watts: float = 10.0  # of a machine, for each attempt at work: a guess of one busy core
    grams_per_kwh: float = 52.0  # CO2e of the electricity, mainland France
    source: str = ""


@dataclass(frozen=True)
class Spent:
    """Attempts that ended, and what the answered ones took. None where no attempt was answered."""

    attempts: int
    answered: int
    busy: timedelta
    watt_hours: float | None
    grams: float | None

    @property
    def untold(self) -> int:
        """Attempts of which nobody knows how long they were at work: lost, expired, cancelled."""
        return self.attempts - self.answered


@dataclass(frozen=True)
class Line:
    """One campaign on one day (UTC)."""

    day: date
    number: int  # the day, since 1970
    campaign: str
    title: str
    spent: Spent


@dataclass(frozen=True)
class Days:
    """All campaigns together, the last days, and up to when attempts are counted."""

    factors: Factors
    counted_to: datetime | None
    days: Sequence[tuple[date, Spent]]
    together: Spent


def lines(desk: Desk, factors: Factors, cut: Slice, *, campaign: str = "") -> list[Line]:
    """Campaigns by day; `campaign` is an id or a unique prefix. Raises Unknown, Ambiguous."""

    def gather(tx: Transaction) -> list[Line]:
        query = select(EffortRow)
        if campaign:
            query = query.where(EffortRow.campaign == campaign_by(tx, campaign).id)
        columns = [EffortRow.__table__.c[name] for name in ("day", "campaign")]  # type: ignore[attr-defined]
        rows = tx.session.exec(cut.cut(query, columns)).all()
        titles: dict[str, str] = dict(
            tx.session.exec(
                select(CampaignRow.id, AuthorisationRow.title)
                .join(AuthorisationRow, col(AuthorisationRow.id) == col(CampaignRow.authorisation))
                .where(col(CampaignRow.id).in_([row.campaign for row in rows]))
            ).all()
        )
        return [
            Line(
                day=_day(row.day),
                number=row.day,
                campaign=row.campaign,
                title=titles.get(row.campaign, ""),
                spent=spent(factors, row.attempts, row.answered, row.busy),
            )
            for row in rows
        ]

    return desk.store.read("view-energy", gather)


def days(desk: Desk, factors: Factors) -> Days:
    """The last DAYS days, of which those are told on which an attempt ended."""

    def gather(tx: Transaction) -> Days:
        first = (tx.now.date() - _FIRST).days - DAYS + 1
        rows = tx.session.exec(
            select(
                EffortRow.day,
                func.sum(EffortRow.attempts),
                func.sum(EffortRow.answered),
                func.sum(EffortRow.busy),
            )
            .where(EffortRow.day >= first)
            .group_by(col(EffortRow.day))
            .order_by(col(EffortRow.day))
        ).all()
        counted = tx.session.exec(
            select(SampleRow.at).order_by(col(SampleRow.at).desc()).limit(1)
        ).first()
        parts = [(day, int(all_), int(told), int(busy)) for day, all_, told, busy in rows]
        return Days(
            factors=factors,
            counted_to=counted,
            days=[(_day(day), spent(factors, *rest)) for day, *rest in parts],
            together=spent(
                factors,
                sum(part[1] for part in parts),
                sum(part[2] for part in parts),
                sum(part[3] for part in parts),
            ),
        )

    return desk.store.read("view-energy-days", gather)


def spent(factors: Factors, attempts: int, answered: int, busy: int) -> Spent:
    """What `busy` milliseconds of `answered` attempts come to."""
    length = timedelta(milliseconds=busy)
    watt_hours = length / _HOUR * factors.watts if answered else None
    grams = None if watt_hours is None else watt_hours / 1000 * factors.grams_per_kwh
    return Spent(attempts, answered, length, watt_hours, grams)


def _day(number: int) -> date:
    return _FIRST + timedelta(days=number)
