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
    """Nobody who is there was named: an operator makes a new token for whoever concludes."""
    for table, comment in _NAMED:
        with op.batch_alter_table(table) as altered:
            altered.add_column(
                sa.Column(
                    "concludes",
                    sa.Boolean(),
                    nullable=False,
                    server_default=sa.false(),
                    comment=comment,
                )
            )
