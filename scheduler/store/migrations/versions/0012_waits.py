"""Waits: since when a campaign or a round waits for the same; units of all campaigns in order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from scheduler.store.types import Moment

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_LISTED = "round > 0"
_UNDONE = "state <> 'satisfied' AND round > 0"


def _index(name: str, columns: list[str], only: str) -> None:
    op.create_index(
        name, "unit", columns, sqlite_where=sa.text(only), postgresql_where=sa.text(only)
    )


def upgrade() -> None:
    """What moved last said so then; no more is known of rows from before."""
    for table, known in (("campaign", "updated_at"), ("round", "issued_at")):
        op.add_column(
            table,
            sa.Column(
                "waits_since",
                Moment(),
                nullable=False,
                server_default="0",
                comment="since when it has this state and this reason code",
            ),
        )
        op.execute(f"UPDATE {table} SET waits_since = {known}")  # noqa: S608 - its own names
    _index("unit_listed", ["deadline", "id"], _LISTED)
    _index("unit_listed_of_state", ["state", "deadline", "id"], _UNDONE)
    _index("unit_listed_of_worker", ["worker", "deadline", "id"], _LISTED)
