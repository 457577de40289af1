"""Authors' pages: which author keys an account follows, and the orders that their lists are in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from scheduler.store.types import Moment

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody is tied to a key until an operator says so. A bundle's author never changes."""
    op.create_table(
        "web_author",
        sa.Column(
            "subject",
            sa.Text(),
            nullable=False,
            comment="who, as the identity provider or this machine calls them",
        ),
        sa.Column("key", sa.Text(), nullable=False, comment="author's public key"),
        sa.Column("tied_by", sa.Text(), nullable=False, comment="who said so"),
        sa.Column("tied_at", Moment(), nullable=False, comment="when"),
        sa.PrimaryKeyConstraint("subject", "key"),
        comment="author keys whose bundles an account sees",
    )
    op.create_index("bundle_by_age", "bundle", ["submitted_at", "digest"])
    op.add_column(
        "campaign",
        sa.Column(
            "author",
            sa.Text(),
            nullable=False,
            server_default="",
            comment="key of the bundle's author",
        ),
    )
    op.execute(
        "UPDATE campaign SET author ="
        " (SELECT bundle.author FROM bundle WHERE bundle.digest = campaign.bundle)"
    )
    op.create_index("campaign_of_author", "campaign", ["author", "created_at", "id"])
    op.create_index("campaign_of_bundle", "campaign", ["bundle", "created_at", "id"])
