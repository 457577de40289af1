"""Rounds that follow rounds: each has parameters of its own, and a number that is enough."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rounds that are there had their campaign's settings, and asked every chosen worker."""
    op.add_column(
        "campaign",
        sa.Column(
            "following",
            sa.Text(),
            nullable=True,
            comment="digest of the parameter blob that the next round starts with; none while "
            "one runs",
        ),
    )
    op.execute("UPDATE campaign SET following = parameters WHERE state = 'draft'")
    with op.batch_alter_table("campaign") as table:
        # What was voted of campaigns from before is in their bundles; one round each.
        table.add_column(
            sa.Column(
                "rounds",
                sa.Integer(),
                nullable=False,
                server_default="1",
                comment="so many at most, as voted",
            )
        )
        table.add_column(
            sa.Column(
                "rho",
                sa.Text(),
                nullable=False,
                server_default="0",
                comment="zCDP of all of them together, as voted",
            )
        )
    with op.batch_alter_table("round") as table:
        table.add_column(
            sa.Column(
                "told",
                sa.Text(),
                nullable=True,
                comment="the concluded report's single values, JSON by name",
            )
        )
        table.add_column(
            sa.Column(
                "parameters",
                sa.Text(),
                nullable=False,
                server_default="",
                comment="digest of the round's parameter blob",
            )
        )
        table.add_column(
            sa.Column(
                "target",
                sa.Integer(),
                nullable=False,
                server_default="0",
                comment="partials that close the round before its deadline",
            )
        )
    op.execute(
        "UPDATE round SET parameters = (SELECT campaign.parameters FROM campaign "
        "WHERE campaign.id = round.campaign), target = (SELECT count(*) FROM unit "
        "WHERE unit.campaign = round.campaign AND unit.round = round.number "
        "AND unit.kind = 'contribute')"
    )
