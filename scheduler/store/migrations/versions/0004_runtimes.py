"""A worker has one image per runtime: the base's, and those with more libraries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Workers that are there tell theirs with their next exchange."""
    with op.batch_alter_table("worker") as table:
        table.add_column(
            sa.Column(
                "images",
                sa.Text(),
                nullable=False,
                server_default="",
                comment="images of its runtimes beyond the base: library=digest",
            )
        )
