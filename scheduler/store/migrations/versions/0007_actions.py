"""Operators' actions: who acts, what they did, drained workers, and the log's kind for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from scheduler.store.types import Moment

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_KINDS = (
    "kind IN ('root', 'authorisation', 'suspension', 'plan', 'orders', 'opening', 'release', "
    "'consents', 'enrolment', 'key-event', 'helper-key', 'key-destroyed', 'batch', 'share', "
    "'refusal', 'trustee-key', 'epoch-key', 'share-request', 'trustee-share', 'opened', "
    "'epoch-retired', 'action')"
)
_ACTS = (
    "act IN ('start-campaign', 'cancel-campaign', 'retry-unit', 'drain-worker', 'resume-worker', "
    "'exclude-worker')"
)
_MEANS = "means IN ('page', 'program', 'certificate', 'console')"


def upgrade() -> None:
    """What was done before stands in no entry, and gets none: nobody says now who did it."""
    op.create_table(
        "account",
        sa.Column("id", sa.Text(), nullable=False, comment="acct_…, as the log names them"),
        sa.Column(
            "subject",
            sa.Text(),
            nullable=False,
            comment="as sign-in or their certificate calls them",
        ),
        sa.Column("created_at", Moment(), nullable=False, comment="their first deed"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("subject"),
        comment="random names of those who act",
    )
    op.create_table(
        "operator_action",
        sa.Column("id", sa.Text(), nullable=False, comment="deed_…"),
        sa.Column("account", sa.Text(), nullable=False, comment="who did it"),
        sa.Column(
            "request",
            sa.Text(),
            nullable=False,
            comment="whoever asked twice with the same one did it once",
        ),
        sa.Column("act", sa.Text(), nullable=False, comment="Act"),
        sa.Column("means", sa.Text(), nullable=False, comment="Means"),
        sa.Column("campaign", sa.Text(), nullable=True, comment="the campaign, or the unit's"),
        sa.Column("unit", sa.Text(), nullable=True, comment="the unit"),
        sa.Column("worker", sa.Text(), nullable=True, comment="the worker"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why, as it was given"),
        sa.Column(
            "salt",
            sa.LargeBinary(),
            nullable=True,
            comment="what seals a reason that the log only binds",
        ),
        sa.Column("digest", sa.Text(), nullable=False, comment="of the OperatorAction envelope"),
        sa.Column("acted_at", Moment(), nullable=False, comment="when"),
        sa.CheckConstraint(_ACTS, name="act_name"),
        sa.CheckConstraint(_MEANS, name="means_name"),
        sa.CheckConstraint("(worker IS NULL) = (salt IS NULL)", name="worker_has_salt"),
        sa.ForeignKeyConstraint(["account"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("account", "request", name="acted_once"),
        sa.UniqueConstraint("digest"),
        comment="deeds of operators",
    )
    op.create_index("action_by_age", "operator_action", ["acted_at", "id"])
    for name in ("campaign", "worker", "unit"):
        op.create_index(f"action_of_{name}", "operator_action", [name, "acted_at"])
    op.add_column(
        "worker",
        sa.Column(
            "drained_at",
            Moment(),
            nullable=True,
            comment="an operator lets it take nothing new since",
        ),
    )
    if op.get_context().dialect.name == "sqlite":
        _remake_log_entry()
    else:
        op.drop_constraint("kind_name", "log_entry")
        op.create_check_constraint("kind_name", "log_entry", _KINDS)


def _remake_log_entry() -> None:
    """SQLite changes no constraint in place: the rows move to a table that has the new one.

    The whole migration is one transaction: if we crash inside, the old table is there.
    """
    for name in (
        "log_to_do",
        "log_position",
        "log_of_kind",
        "log_of_campaign",
        "ix_log_entry_digest",
    ):
        op.drop_index(name, table_name="log_entry")
    op.rename_table("log_entry", "log_entry_before")
    op.create_table(
        "log_entry",
        sa.Column("id", sa.Integer(), nullable=False, comment="order of appending"),
        sa.Column("kind", sa.Text(), nullable=False, comment="kind of the log entry"),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=False,
            comment="digest of the envelope, which is a blob already",
        ),
        sa.Column("campaign", sa.Text(), nullable=True, comment="the campaign it belongs to"),
        sa.Column(
            "position", sa.Integer(), nullable=True, comment="index in the log once appended"
        ),
        sa.Column("proof", sa.Text(), nullable=True, comment="C2SP .tlog-proof once witnessed"),
        sa.Column("created_at", Moment(), nullable=False, comment="when it was queued"),
        sa.CheckConstraint(_KINDS, name="kind_name"),
        sa.CheckConstraint("proof IS NULL OR position IS NOT NULL", name="proof_has_position"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "digest", name="logged_once"),
        comment="what the log holds or will hold next",
    )
    op.execute(
        "INSERT INTO log_entry (id, kind, digest, campaign, position, proof, created_at) "
        "SELECT id, kind, digest, campaign, position, proof, created_at FROM log_entry_before"
    )
    op.drop_table("log_entry_before")
    op.create_index(op.f("ix_log_entry_digest"), "log_entry", ["digest"], unique=False)
    op.create_index(
        "log_to_do",
        "log_entry",
        ["id"],
        unique=False,
        sqlite_where=sa.text("proof IS NULL"),
        postgresql_where=sa.text("proof IS NULL"),
    )
    op.create_index("log_position", "log_entry", ["position"])
    op.create_index("log_of_kind", "log_entry", ["kind", "position"])
    op.create_index("log_of_campaign", "log_entry", ["campaign", "position"])
