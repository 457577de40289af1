"""Forgetting what nobody can ask for any more: used tokens, values that were never accepted."""

from __future__ import annotations

from datetime import timedelta

from sqlmodel import col, delete, select

from scheduler.service import shares
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, BlobRow, TokenRow
from trust.ids import Digest

TOKEN_LIFE = timedelta(days=7)
BLOB_LIFE = timedelta(days=7)
BATCH = 1000


async def sweep(desk: Desk) -> int:
    """Remove old tokens and unpublished, unaccepted blobs. Returns how many blobs went.

    Bytes first, inside the transaction: transactions run one after the other, so nobody puts the
    same blob again between the two. If we crash here, or the commit fails, the rows name blobs
    that are gone: a put stores them again, and the next sweep removes the rows.
    """

    def forget(tx: Transaction) -> int:
        tx.session.exec(delete(TokenRow).where(col(TokenRow.expires_at) < tx.now - TOKEN_LIFE))
        # Single shares have done their work when the round is over; single values may be audited.
        accepted = select(AttemptRow.values_digest).where(
            col(AttemptRow.values_digest).is_not(None),
            col(AttemptRow.values_digest).not_in(shares.single_shares(ended=True)),
        )
        query = select(BlobRow).where(
            col(BlobRow.public).is_(False),
            BlobRow.created_at < tx.now - BLOB_LIFE,
            col(BlobRow.digest).not_in(accepted),
        )
        rows = tx.session.exec(query.limit(BATCH)).all()
        for row in rows:
            desk.blobs.remove(Digest(row.digest))
            tx.session.delete(row)
        return len(rows)

    return await desk.run("sweep", forget)
