"""What work came to: per campaign and day, and how the queue stood minute by minute."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import SQLModel

from scheduler.store.columns import moment, whole, words


class EffortRow(SQLModel, table=True):
    """The ended attempts of one campaign on one day, summed once and never again."""

    __tablename__ = "effort"
    __table_args__ = (
        Index("effort_by_day", "day", "campaign"),
        {"comment": "ended attempts by campaign and day"},
    )

    campaign: str = words("the campaign", key=True, of="campaign.id")
    day: int = whole("days since 1970 when they ended", key=True)
    attempts: int = whole("that ended on this day")
    answered: int = whole("of them those that their worker ended by an answer")
    busy: int = whole("milliseconds between lease and answer, of the answered ones")


class SampleRow(SQLModel, table=True):
    """The queue at one moment, and what ended since the sample before; old ones are forgotten."""

    __tablename__ = "sample"
    __table_args__ = ({"comment": "the queue, minute by minute, of the last days"},)

    at: datetime = moment(
        "when; attempts that ended before are in it or in an earlier one", key=True
    )
    waiting: int = whole("units that wait for their input")
    ready: int = whole("units that may be leased")
    leased: int = whole("units with a live attempt")
    accepted: int = whole("attempts accepted since the sample before")
    failed: int = whole("attempts since then that ended otherwise, without those cancelled")
