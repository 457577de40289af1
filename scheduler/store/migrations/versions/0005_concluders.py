"""Who may conclude: named by the operator with the token that enrols it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NAMED = (
    ("token", "its worker may conclude"),
    ("member", "the operator named it to conclude"),
)


def upgrade() -> None:
    """Nobody who is there was named: an operator makes a new token for whoever concludes.

    Added in place: a table made anew would have to be dropped first, and others refer to it.
    """
    inspector = sa.inspect(op.get_bind())
    for table, comment in _NAMED:
        if any(column["name"] == "concludes" for column in inspector.get_columns(table)):
            continue  # for some days the first schema made it
        op.add_column(
            table,
            sa.Column(
                "concludes",
                sa.Boolean(),
                nullable=False,
                server_default=sa.false(),
                comment=comment,
            ),
        )
