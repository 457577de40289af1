"""The territory's roots as the log has them: whose signatures meant what, and when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlmodel import col, select

from durable.errors import BlobMissing
from scheduler.service.desk import Desk
from scheduler.store.store import Transaction
from scheduler.store.tables import LogRow
from trust import dsse, schema
from trust.documents.root import Root
from trust.errors import TrustError
from trust.ids import Digest
from trust.log.entry import Kind
from trust.log.policy import Policy
from trust.root import MAXIMUM_CHAIN


def places(tx: Transaction) -> list[tuple[int, str]]:
    """(index, digest of the envelope) of the logged roots, oldest first."""
    query = select(LogRow.position, LogRow.digest).where(LogRow.kind == Kind.ROOT.value)
    query = query.where(col(LogRow.position).is_not(None)).order_by(col(LogRow.position))
    found = tx.session.exec(query.limit(MAXIMUM_CHAIN))
    return [(index, digest) for index, digest in found if index is not None]


def digests(tx: Transaction) -> list[str]:
    """Of the logged roots' envelopes, oldest first."""
    return [digest for _, digest in places(tx)]


def documents(desk: Desk, chain: Iterable[str]) -> Iterator[Root]:
    """The roots of these digests that can be read here."""
    for digest in chain:
        try:
            yield schema.decode(Root, dsse.Envelope.parse(desk.blobs.get(Digest(digest))).payload)
        except (BlobMissing, TrustError):
            continue  # the chain that is kept elsewhere names it; here it explains nothing


def policies(desk: Desk) -> list[Policy]:
    """The log policies of every root, the newest first; logs and witnesses change their keys."""
    chain = desk.store.read("log-roots", digests)
    found = {root.log_policy: None for root in documents(desk, chain)}
    found[desk.root.document.log_policy] = None
    return [Policy.parse(text.encode()) for text in reversed(found)]
