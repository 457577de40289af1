"""Counts and filtered lists that are answered from an index, however long the table is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Indexes alone: no row changes."""
    op.create_index(
        "consent_live",
        "consent",
        ["worker", "decision", "capsule", "expires_at"],
        sqlite_where=sa.text("decision = 'grant'"),
        postgresql_where=sa.text("decision = 'grant'"),
    )
    op.create_index("campaign_of_state", "campaign", ["state", "created_at", "id"])
    op.create_index("campaign_changed", "campaign", ["state", "updated_at"])
    op.drop_index("campaign_failed", "campaign")
    op.create_index(
        "unit_of_state",
        "unit",
        ["campaign", "state", "round", "id"],
        sqlite_where=sa.text("state <> 'satisfied'"),
        postgresql_where=sa.text("state <> 'satisfied'"),
    )
