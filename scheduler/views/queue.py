"""The queue over time: how many units stood where, and how many attempts ended, by buckets.

Read from the samples of `scheduler.service.efforts`, one a minute and eight days of them: what has
ended longer ago, or a million units, change nothing about what this costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, type_coerce
from sqlmodel import col, func

from scheduler.service import efforts
from scheduler.service.desk import Desk
from scheduler.service.efforts import Queue
from scheduler.store.store import Transaction
from scheduler.store.tables import SampleRow

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# How far back, and how long a bucket is: between 60 and 96 of them.
SPANS: Mapping[str, tuple[timedelta, timedelta]] = {
    "1h": (timedelta(hours=1), timedelta(minutes=1)),
    "24h": (timedelta(hours=24), timedelta(minutes=15)),
    "7d": (timedelta(days=7), timedelta(hours=2)),
}


@dataclass(frozen=True)
class Bucket:
    """A stretch of time. The queue is the most that a sample saw in it; ends are summed."""

    at: datetime  # its beginning
    waiting: int
    ready: int
    leased: int
    accepted: int
    failed: int


@dataclass(frozen=True)
class Series:
    """The queue now and before. A bucket without a sample is left out: nobody looked."""

    span: str
    width: timedelta
    now: Queue
    accepted: int  # in all of the span
    failed: int
    buckets: Sequence[Bucket]


def series(desk: Desk, span: str) -> Series:
    """The buckets of a span, one of SPANS, the oldest first."""
    length, width = SPANS[span]

    def gather(tx: Transaction) -> Series:
        rows = tx.session.exec(buckets_since(tx.now - length, width)).all()
        found = [
            Bucket(_BEGINNING + width * number, waiting, ready, leased, int(accepted), int(failed))
            for number, waiting, ready, leased, accepted, failed in rows
        ]
        return Series(
            span=span,
            width=width,
            now=efforts.queue_of(tx),
            accepted=sum(one.accepted for one in found),
            failed=sum(one.failed for one in found),
            buckets=found,
        )

    return desk.store.read("view-queue", gather)


def buckets_since(since: datetime, width: timedelta) -> Any:
    """The query for buckets of `width` since a moment."""
    number = (type_coerce(col(SampleRow.at), BigInteger) // (width // _MICROSECOND)).label("number")
    return (
        sqlalchemy.select(  # sqlmodel's takes four columns at most
            number,
            func.max(SampleRow.waiting),
            func.max(SampleRow.ready),
            func.max(SampleRow.leased),
            func.sum(SampleRow.accepted),
            func.sum(SampleRow.failed),
        )
        .where(col(SampleRow.at) > since)
        .group_by(number)
        .order_by(number)
    )
