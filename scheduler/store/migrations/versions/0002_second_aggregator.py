"""Helper and keyholder: campaigns' keys, rounds' commitments, sealed shares, sums, log kinds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from scheduler.store.types import Moment

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KINDS = (
    "kind IN ('root', 'authorisation', 'suspension', 'plan', 'orders', 'opening', 'release', "
    "'consents', 'enrolment', 'key-event', 'helper-key', 'key-destroyed', 'batch', 'share', "
    "'refusal', 'trustee-key', 'epoch-key', 'share-request', 'trustee-share', 'opened', "
    "'epoch-retired')"
)

_OF_SUMS = (
    sa.Column(
        "examined",
        sa.Text(),
        nullable=True,
        comment="digest of the keyholder's AcceptList envelope",
    ),
    sa.Column(
        "leader",
        sa.Text(),
        nullable=True,
        comment="digest of the leader's AggregateShare envelope",
    ),
    sa.Column(
        "helper",
        sa.Text(),
        nullable=True,
        comment="digest of the helper's AggregateShare envelope",
    ),
    sa.Column(
        "ciphertext",
        sa.LargeBinary(),
        nullable=True,
        comment="the leader's sum of masked ciphertexts",
    ),
    sa.Column(
        "masks",
        sa.LargeBinary(),
        nullable=True,
        comment="the helper's sum of their masks",
    ),
)


def upgrade() -> None:
    """Add what `shared` and `encrypted` campaigns need; nothing that is there changes."""
    op.add_column(
        "campaign",
        sa.Column("helper", sa.Text(), nullable=True, comment="digest of the HelperKey envelope"),
    )
    op.add_column(
        "campaign",
        sa.Column(
            "destroyed",
            sa.Text(),
            nullable=True,
            comment="digest of the helper's notice that its key is gone",
        ),
    )
    op.add_column(
        "campaign",
        sa.Column("epoch", sa.Text(), nullable=True, comment="digest of the EpochKey envelope"),
    )
    op.add_column(
        "campaign",
        sa.Column(
            "retired",
            sa.Text(),
            nullable=True,
            comment="digest of the keyholder's notice that its key is gone",
        ),
    )
    for column in _OF_SUMS:
        op.add_column("round", column)
    op.add_column(
        "round",
        sa.Column(
            "accepted",
            sa.Text(),
            nullable=True,
            comment="digest of the helper's AcceptList envelope",
        ),
    )
    op.add_column(
        "round",
        sa.Column(
            "commitment",
            sa.Text(),
            nullable=True,
            comment="digest of the BatchCommitment envelope",
        ),
    )
    op.add_column(
        "attempt",
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=True,
            comment="the helper's share, sealed; gone with the round",
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
    op.drop_index("log_to_do", table_name="log_entry")
    op.drop_index("ix_log_entry_digest", table_name="log_entry")
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
