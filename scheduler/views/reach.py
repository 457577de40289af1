"""What somebody may see of bundles and campaigns; whatever lies beyond is as unknown as nothing.

The condition is part of every query: a prefix that fits somebody else's bundle fits nothing, and
does not even make another one ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import col, select

from scheduler.errors import Ambiguous, Unknown
from scheduler.service.finding import LEAST_PREFIX
from scheduler.store.store import Transaction
from scheduler.store.tables import BundleRow, CampaignRow
from scheduler.views.slices import Slice

_TAIL = re.compile(r"[0-9a-z]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Reach:
    """The bundles of these author keys, or `everything`."""

    keys: tuple[str, ...] = ()
    everything: bool = False

    def within(self, query: Any, author: Any) -> Any:
        """`query` without the rows whose column `author` is beyond reach."""
        return query if self.everything else query.where(author.in_(self.keys))


def page(
    tx: Transaction, cut: Slice, reach: Reach, query: Any, columns: Sequence[Any], *, author: Any
) -> list[Any]:
    """The rows of `query` within reach, in the order of `columns`, behind the cursor, limited.

    A look for each key, so that an index over author and order is entered at the cursor; together
    they hold the page whatever the others hold.
    """
    if reach.everything:
        return list(tx.session.exec(cut.cut(query, columns)))
    found = [
        row
        for key in reach.keys
        for row in tx.session.exec(cut.cut(query.where(author == key), columns))
    ]
    names = [column.name for column in columns]

    def place(row: Any) -> tuple[Any, ...]:
        return tuple(getattr(row, name) for name in names)

    return sorted(found, key=place, reverse=cut.reverse)[: cut.limit]


def bundle_within(tx: Transaction, text: str, reach: Reach) -> BundleRow:
    """The bundle with the digest or unique prefix `text`. Raises Unknown, Ambiguous."""
    query = reach.within(select(BundleRow), col(BundleRow.author))
    found: list[BundleRow] = _found(tx, query, BundleRow.digest, "sha256:", text)
    row: BundleRow = _one(found, text, "bundle", "/mine")
    return row


def campaign_within(tx: Transaction, text: str, reach: Reach) -> CampaignRow:
    """The campaign with the id or unique prefix `text`. Raises Unknown, Ambiguous."""
    query = reach.within(select(CampaignRow), col(CampaignRow.author))
    found: list[CampaignRow] = _found(tx, query, CampaignRow.id, "camp_", text)
    row: CampaignRow = _one(found, text, "campaign", "/runs")
    return row


def _found(tx: Transaction, query: Any, column: Any, head: str, text: str) -> list[Any]:
    tail = text.removeprefix(head)
    if len(tail) < LEAST_PREFIX or not _TAIL.fullmatch(tail):
        return []
    full = head + tail
    return list(tx.session.exec(query.where(column >= full, column < f"{full}~").limit(2)))


def _one(found: list[Any], text: str, what: str, place: str) -> Any:
    if not found:
        raise Unknown(
            f"no {what} of yours is called {text[:80]!r}",
            remedy=f"{place} lists yours; a prefix has {LEAST_PREFIX} or more letters",
        )
    if len(found) > 1:
        raise Ambiguous(f"{text[:80]!r} fits several: type more of it")
    return found[0]
