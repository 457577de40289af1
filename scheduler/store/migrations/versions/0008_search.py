"""The log searched by hash, bundle and author, and the checkpoints that it published."""

from __future__ import annotations

import base64
import binascii
import hashlib

import sqlalchemy as sa
from alembic import op

from scheduler.store.types import Moment

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_BATCH = 1000
_KEY = "ed25519:"


def upgrade() -> None:
    """What can be computed from the rows is; suspensions of before stay without their bundle."""
    op.add_column(
        "log_entry",
        sa.Column("leaf", sa.Text(), nullable=True, comment="hash of the entry in the tree, hex"),
    )
    op.add_column(
        "log_entry",
        sa.Column("bundle", sa.Text(), nullable=True, comment="the bundle that it is about"),
    )
    op.add_column(
        "bundle",
        sa.Column(
            "fingerprint",
            sa.Text(),
            nullable=False,
            server_default="",
            comment="short name of the author's key",
        ),
    )
    op.create_table(
        "log_checkpoint",
        sa.Column("size", sa.Integer(), nullable=False, comment="entries that it covers"),
        sa.Column("root", sa.Text(), nullable=False, comment="root of the tree, hex"),
        sa.Column(
            "note", sa.Text(), nullable=False, comment="as signed, with the newest cosignatures"
        ),
        sa.Column("seen_at", Moment(), nullable=False, comment="when the scheduler published it"),
        sa.PrimaryKeyConstraint("size"),
        comment="checkpoints that the log published",
    )
    connection = op.get_bind()
    _leaves(connection)
    _fingerprints(connection)
    connection.execute(
        sa.text(
            "UPDATE log_entry SET bundle = (SELECT bundle FROM campaign "
            "WHERE campaign.id = log_entry.campaign) WHERE campaign IS NOT NULL"
        )
    )
    connection.execute(
        sa.text(
            "UPDATE log_entry SET bundle = (SELECT bundle FROM authorisation "
            "WHERE authorisation.digest = log_entry.digest) WHERE kind = 'authorisation'"
        )
    )
    op.create_index("log_of_bundle", "log_entry", ["bundle", "position"])
    op.create_index("ix_log_entry_leaf", "log_entry", ["leaf"])
    op.create_index("bundle_of_author", "bundle", ["author", "submitted_at", "digest"])
    op.create_index("ix_bundle_fingerprint", "bundle", ["fingerprint"])


def _leaves(connection: sa.Connection) -> None:
    last = 0
    while True:
        rows = connection.execute(
            sa.text("SELECT id, kind, digest FROM log_entry WHERE id > :last ORDER BY id LIMIT :n"),
            {"last": last, "n": _BATCH},
        ).all()
        if not rows:
            return
        last = rows[-1].id
        made = [
            {"id": row.id, "leaf": _leaf(f"cadastre/v1 {row.kind} {row.digest}\n")} for row in rows
        ]
        connection.execute(sa.text("UPDATE log_entry SET leaf = :leaf WHERE id = :id"), made)


def _leaf(line: str) -> str:
    return hashlib.sha256(b"\x00" + line.encode()).hexdigest()


def _fingerprints(connection: sa.Connection) -> None:
    for (author,) in connection.execute(sa.text("SELECT DISTINCT author FROM bundle")).all():
        body = author.removeprefix(_KEY)
        try:
            raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        except (binascii.Error, ValueError):
            continue  # no key of today's form: found by its text alone
        connection.execute(
            sa.text("UPDATE bundle SET fingerprint = :short WHERE author = :author"),
            {"short": hashlib.sha256(raw).hexdigest()[:16], "author": author},
        )
