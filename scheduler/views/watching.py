"""The figures that alerts judge, gathered from the database and from who is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, literal_column
from sqlmodel import col, func, select

from durable.errors import StorageFailed
from scheduler.domain.planning import LOST_AFTER
from scheduler.domain.reasons import Reason
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import (
    CampaignRow,
    LogRow,
    MemberRow,
    SampleRow,
    UnitRow,
    WorkerRow,
)
from scheduler.views import alerts, budgets
from scheduler.views.alerts import Alert, Figures, Memory, Share, Thresholds, Waits
from scheduler.views.health import Absent
from scheduler.views.units import works_of
from scheduler.views.voted import Documents

HOUR = timedelta(hours=1)
# Ready units that are looked at, those with the nearest deadlines first.
LOOKED_AT = 200
# A page that is followed is made anew every second; its alerts need not be.
FRESH = timedelta(seconds=10)
# As the index over what moves spells its condition.
_MOVING: ColumnElement[bool] = literal_column("unit.state IN ('waiting', 'ready', 'leased')")
_RUNNING: ColumnElement[bool] = literal_column(
    "campaign.state IN ('draft', 'running', 'concluding')"
)


class Watch:
    """Judges now and then, and remembers since when. Safe to be asked from many threads."""

    def __init__(
        self,
        desk: Desk,
        documents: Documents,
        absent: Callable[[], Sequence[Absent]],
        thresholds: Thresholds,
    ) -> None:
        self.thresholds = thresholds
        self._desk = desk
        self.documents = documents
        self._absent = absent
        self._memory = Memory()
        self._lock = threading.Lock()
        self._known: tuple[datetime, tuple[Alert, ...]] | None = None

    def alerts(self) -> tuple[Alert, ...]:
        """The alerts of this moment, at most FRESH old."""
        with self._lock:
            now = self._desk.now()
            if self._known is None or now - self._known[0] >= FRESH:
                found = alerts.judge(self.figures(), self.thresholds)
                self._known = (now, self._memory.dated(found, now))
            return self._known[1]

    def figures(self) -> Figures:
        """What is judged, now."""
        free = self._disk_free()
        return self._desk.store.read("view-figures", lambda tx: self._gather(tx, free))

    def _disk_free(self) -> float | None:
        try:
            free, size = self._desk.blobs.room()
        except StorageFailed:
            return None  # whoever writes there hears of it; other alerts are told all the same
        return free / size if size else None

    def _gather(self, tx: Transaction, disk_free: float | None) -> Figures:
        lost, lost_since = _lost(tx)
        ended, failed, failed_since = _ended(tx)
        return Figures(
            now=tx.now,
            lost=lost,
            lost_since=lost_since,
            ready=_ready(tx),
            ended=ended,
            failed=failed,
            failed_since=failed_since,
            helper=_campaign(tx, Reason.WAITING_FOR_HELPER),
            keyholder=_campaign(tx, Reason.WAITING_FOR_KEYHOLDER),
            witnesses=[Waits(one.witness, one.since, one.reason) for one in self._absent()],
            proof=_proof(tx),
            disk_free=disk_free,
            budgets=_budgets(tx, self.documents),
            clocks=_clocks(tx, self._desk),
        )


def _lost(tx: Transaction) -> tuple[int, datetime | None]:
    """Members that are lost, and since when the first of them is; excluded ones are not missed."""
    rows = tx.session.exec(
        select(WorkerRow.last_seen, MemberRow.enrolled_at)
        .join(MemberRow)
        .where(
            col(MemberRow.banned_at).is_(None),
            func.coalesce(col(WorkerRow.last_seen), col(MemberRow.enrolled_at))
            < tx.now - LOST_AFTER,
        )
    ).all()
    moments = [seen or enrolled for seen, enrolled in rows]
    return len(moments), min(moments) + LOST_AFTER if moments else None


def _ready(tx: Transaction) -> Waits | None:
    rows = tx.session.exec(
        select(UnitRow)
        .where(_MOVING, UnitRow.state == "ready")
        .order_by(col(UnitRow.deadline))
        .limit(LOOKED_AT)
    ).all()
    first = min(rows, key=lambda row: row.updated_at, default=None)
    if first is None:
        return None
    (work,) = works_of(tx, [first])
    return Waits(first.id, first.updated_at, work.why)


def _ended(tx: Transaction) -> tuple[int, int, datetime | None]:
    rows = tx.session.exec(
        select(SampleRow.at, SampleRow.accepted, SampleRow.failed)
        .where(SampleRow.at > tx.now - HOUR)
        .order_by(col(SampleRow.at))
    ).all()
    failed = sum(row[2] for row in rows)
    since = next((at for at, _, some in rows if some), None)
    return failed + sum(row[1] for row in rows), failed, since


def _campaign(tx: Transaction, reason: Reason) -> Waits | None:
    row = tx.session.exec(
        select(CampaignRow.id, CampaignRow.waits_since, CampaignRow.why)
        .where(_RUNNING, CampaignRow.reason == reason.value)
        .order_by(col(CampaignRow.waits_since))
        .limit(1)
    ).first()
    return None if row is None else Waits(*row)


def _proof(tx: Transaction) -> Waits | None:
    row = tx.session.exec(
        select(LogRow.digest, LogRow.created_at)
        .where(col(LogRow.proof).is_(None))
        .order_by(col(LogRow.id))
        .limit(1)
    ).first()
    return None if row is None else Waits(row[0], row[1])


def _clocks(tx: Transaction, desk: Desk) -> list[Waits]:
    """The workers that are heard of, with the moments that their clocks show now."""
    names = tx.session.exec(
        select(WorkerRow.name)
        .where(col(WorkerRow.last_seen) >= tx.now - LOST_AFTER)
        .order_by(WorkerRow.name)
    )
    return [Waits(name, tx.now + desk.skews[name]) for name in names if name in desk.skews]


def _budgets(tx: Transaction, documents: Documents) -> list[Share]:
    """The voted budgets that hold, each with the last campaign that was charged to it."""
    found = budgets.in_force(tx, documents)
    newest: dict[str, datetime] = dict(
        tx.session.exec(
            select(CampaignRow.authorisation, func.max(CampaignRow.created_at))
            .where(col(CampaignRow.authorisation).in_([one.vote.authorisation for one in found]))
            .group_by(CampaignRow.authorisation)
        ).all()
    )
    return [
        Share(one.share, one.vote.bundle, one.vote.title, newest.get(one.vote.authorisation))
        for one in found
        if one.share is not None
    ]
