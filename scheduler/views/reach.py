"""What somebody may see of bundles and campaigns; whatever lies beyond is as unknown as nothing.

The condition is part of every query: a prefix that fits somebody else's bundle fits nothing, and
does not even make another one ambiguous.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sqlmodel import col, select

from scheduler.errors import Ambiguous, Unknown
from scheduler.service.finding import LEAST_PREFIX
from scheduler.store.store import Transaction
from scheduler.store.tables import BundleRow, CampaignRow

_TAIL = re.compile(r"[0-9a-z]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Reach:
    """The bundles of these author keys, or `everything`."""

    keys: tuple[str, ...] = ()
    everything: bool = False

    def cut(self, query: Any) -> Any:
        """`query`, which reads bundles, without those beyond reach."""
        return query if self.everything else query.where(col(BundleRow.author).in_(self.keys))


def bundle_within(tx: Transaction, text: str, reach: Reach) -> BundleRow:
    """The bundle with the digest or unique prefix `text`. Raises Unknown, Ambiguous."""
    query = reach.cut(select(BundleRow))
    found: list[BundleRow] = _found(tx, query, BundleRow.digest, "sha256:", text)
    row: BundleRow = _one(found, text, "bundle", "/mine")
    return row


def campaign_within(tx: Transaction, text: str, reach: Reach) -> CampaignRow:
    """The campaign with the id or unique prefix `text`. Raises Unknown, Ambiguous."""
    query = reach.cut(select(CampaignRow).join(BundleRow))
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
