"""Which one thing a typed id means: whole, or the first letters of it, with its prefix or without.

Every sort of id is looked up by a range of its own index, and no further than its second row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scheduler.errors import Ambiguous, Unknown
from scheduler.service.desk import Desk
from scheduler.service.finding import action_by, campaign_by, unit_by, worker_by
from scheduler.store.store import Transaction

# How the pages of each sort begin.
_SORTS: Mapping[str, Callable[[Transaction, str], str]] = {
    "campaigns": lambda tx, text: campaign_by(tx, text).id,
    "units": lambda tx, text: unit_by(tx, text).id,
    "workers": lambda tx, text: worker_by(tx, text).name,
    "actions": lambda tx, text: action_by(tx, text).id,
}


def page_of(desk: Desk, text: str) -> str:
    """The address of the only campaign, unit, worker or deed that `text` may mean, else ""."""

    def look(tx: Transaction) -> str:
        found = []
        for sort, find in _SORTS.items():
            try:
                found.append(f"/{sort}/{find(tx, text)}")
            except Unknown:
                continue
            except Ambiguous:
                return ""
        return found[0] if len(found) == 1 else ""

    return desk.store.read("find-page", look)
