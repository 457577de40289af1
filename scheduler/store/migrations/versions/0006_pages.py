"""Pages: who is signed in, when an attempt ended, and the orders that long lists are read in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from scheduler.store.types import Moment

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _person(*, subject: str) -> list[sa.Column[str]]:
    return [
        sa.Column("subject", sa.Text(), nullable=False, comment=subject),
        sa.Column("name", sa.Text(), nullable=False, comment="only for showing"),
        sa.Column("roles", sa.Text(), nullable=False, comment="space-separated"),
    ]


def upgrade() -> None:
    """Attempts that ended before have no end written down: their lease bounds it."""
    op.create_table(
        "web_session",
        sa.Column("id", sa.Text(), nullable=False, comment="sess_…"),
        sa.Column(
            "digest", sa.LargeBinary(), nullable=False, comment="sha256 of the cookie's secret"
        ),
        *_person(subject="who, as the identity provider or this machine calls them"),
        sa.Column("means", sa.Text(), nullable=False, comment="how they proved who they are"),
        sa.Column("proved", Moment(), nullable=False, comment="when they did"),
        sa.Column("started", Moment(), nullable=False, comment="when it began"),
        sa.Column("seen", Moment(), nullable=False, comment="last sign of the person"),
        sa.Column("ends", Moment(), nullable=False, comment="over from then on"),
        sa.PrimaryKeyConstraint("id"),
        comment="who is signed in to the pages",
    )
    op.create_index("ix_web_session_subject", "web_session", ["subject"])
    op.create_table(
        "web_credential",
        sa.Column("id", sa.Text(), nullable=False, comment="cred_…"),
        sa.Column("kind", sa.Text(), nullable=False, comment="start, invitation, key or api"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="sha256 of its secret"),
        *_person(subject="whom it signs in"),
        sa.Column("label", sa.Text(), nullable=False, comment="what its owner calls it"),
        sa.Column("issued_by", sa.Text(), nullable=False, comment="who made it"),
        sa.Column("issued", Moment(), nullable=False, comment="when"),
        sa.Column("expires", Moment(), nullable=False, comment="not good from then on"),
        sa.Column("used", Moment(), nullable=True, comment="when it was last used"),
        sa.Column("revoked", Moment(), nullable=True, comment="taken back since"),
        sa.PrimaryKeyConstraint("id"),
        comment="tokens and keys for the pages",
    )
    op.create_index("ix_web_credential_subject", "web_credential", ["subject"])
    op.create_table(
        "web_departure",
        sa.Column("id", sa.Text(), nullable=False, comment="dep_…"),
        sa.Column(
            "digest", sa.LargeBinary(), nullable=False, comment="sha256 of the state's secret"
        ),
        sa.Column(
            "door", sa.LargeBinary(), nullable=False, comment="sha256 of the browser's secret"
        ),
        sa.Column("issuer", sa.Text(), nullable=False, comment="where they went"),
        sa.Column("back_to", sa.Text(), nullable=False, comment="the page that they came from"),
        sa.Column(
            "fresh", sa.Boolean(), nullable=False, comment="they must prove anew who they are"
        ),
        sa.Column("left", Moment(), nullable=False, comment="when they left"),
        sa.PrimaryKeyConstraint("id"),
        comment="sign-ins that wait for the identity provider",
    )
    op.create_index("ix_web_departure_left", "web_departure", ["left"])
    op.add_column(
        "attempt",
        sa.Column(
            "ended_at", Moment(), nullable=True, comment="when it ended; NULL while it lives"
        ),
    )
    op.create_index("campaign_by_age", "campaign", ["created_at", "id"])
    op.create_index(
        "campaign_failed",
        "campaign",
        ["updated_at"],
        sqlite_where=sa.text("state = 'failed'"),
        postgresql_where=sa.text("state = 'failed'"),
    )
    op.create_index("unit_of_campaign", "unit", ["campaign", "round", "id"])
    op.create_index(
        "unit_failed",
        "unit",
        ["updated_at"],
        sqlite_where=sa.text("state = 'failed'"),
        postgresql_where=sa.text("state = 'failed'"),
    )
    op.create_index("log_position", "log_entry", ["position"])
    op.create_index("log_of_kind", "log_entry", ["kind", "position"])
    op.create_index("log_of_campaign", "log_entry", ["campaign", "position"])
