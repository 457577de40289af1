"""Efforts: what attempts took by campaign and day, how the queue stood, two orders to read in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from scheduler.store.types import Moment

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_DAY = 86_400_000_000  # microseconds
# Who ended an attempt by an answer worked until then; of the others nobody knows how long.
_ANSWERED = "a.state IN ('accepted', 'rejected', 'abandoned')"
_ENDED = f"""
    INSERT INTO effort (campaign, day, attempts, answered, busy)
    SELECT u.campaign, a.ended_at / {_DAY}, COUNT(*),
           SUM(CASE WHEN {_ANSWERED} THEN 1 ELSE 0 END),
           SUM(CASE WHEN {_ANSWERED} THEN (a.ended_at - a.leased_at) / 1000 ELSE 0 END)
    FROM attempt a JOIN unit u ON u.id = a.unit
    WHERE a.ended_at IS NOT NULL
    GROUP BY u.campaign, a.ended_at / {_DAY}
"""  # noqa: S608 - its own constants


def _counted(name: str, comment: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, comment=comment)


def upgrade() -> None:
    """Sums what has ended so far; the first sample says up to where."""
    op.create_table(
        "effort",
        sa.Column("campaign", sa.Text(), nullable=False, comment="the campaign"),
        _counted("day", "days since 1970 when they ended"),
        _counted("attempts", "that ended on this day"),
        _counted("answered", "of them those that their worker ended by an answer"),
        _counted("busy", "milliseconds between lease and answer, of the answered ones"),
        sa.ForeignKeyConstraint(["campaign"], ["campaign.id"]),
        sa.PrimaryKeyConstraint("campaign", "day"),
        comment="ended attempts by campaign and day",
    )
    op.create_index("effort_by_day", "effort", ["day", "campaign"])
    op.create_table(
        "sample",
        sa.Column(
            "at",
            Moment(),
            nullable=False,
            comment="when; attempts that ended before are in it or in an earlier one",
        ),
        _counted("waiting", "units that wait for their input"),
        _counted("ready", "units that may be leased"),
        _counted("leased", "units with a live attempt"),
        _counted("accepted", "attempts accepted since the sample before"),
        _counted("failed", "attempts since then that ended otherwise, without those cancelled"),
        sa.PrimaryKeyConstraint("at"),
        comment="the queue, minute by minute, of the last days",
    )
    op.create_index(
        "attempt_by_end",
        "attempt",
        ["ended_at"],
        sqlite_where=sa.text("ended_at IS NOT NULL"),
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )
    op.create_index("campaign_of_authorisation", "campaign", ["authorisation", "created_at", "id"])
    op.execute(_ENDED)
    op.execute(
        "INSERT INTO sample (at, waiting, ready, leased, accepted, failed) "
        "SELECT newest + 1, 0, 0, 0, 0, 0 "
        "FROM (SELECT MAX(ended_at) AS newest FROM attempt) AS ends WHERE newest IS NOT NULL"
    )
