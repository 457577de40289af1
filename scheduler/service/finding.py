"""Looking things up by id or by a unique prefix, as a person types it."""

from __future__ import annotations

import re
from typing import TypeVar

from sqlalchemy import bindparam
from sqlmodel import SQLModel, col, select

from scheduler.errors import Ambiguous, Unknown
from scheduler.store.store import Transaction
from scheduler.store.tables import ActionRow, BundleRow, CampaignRow, UnitRow, WorkerRow

R = TypeVar("R", bound=SQLModel)

# Eight characters of an id or a digest are 32 or more random bits.
LEAST_PREFIX = 8
# Anything else would mean something to the engine's pattern matching (a NUL ends a pattern).
_LETTERS = re.compile(r"(camp_|sha256:|unit_|wrk_|deed_)?[0-9a-z]{1,64}", re.ASCII)

_CAMPAIGNS = (
    select(CampaignRow)
    .where(col(CampaignRow.id) >= bindparam("first"), col(CampaignRow.id) < bindparam("behind"))
    .limit(2)
)


def campaign_by(tx: Transaction, text: str) -> CampaignRow:
    """The campaign with the id or unique prefix `text`. Raises Unknown, Ambiguous."""
    full = text if text.startswith("camp_") else f"camp_{text}"
    # A range, which enters the index; a pattern would look at every campaign there is.
    reach = {"first": full, "behind": f"{full}~"}
    found = list(tx.session.exec(_CAMPAIGNS, params=reach)) if _LETTERS.fullmatch(text) else []
    return _one(found, text, "campaign", len(full) - 5)


def bundle_by(tx: Transaction, text: str) -> BundleRow:
    """The bundle with the digest or unique prefix `text`. Raises Unknown, Ambiguous."""
    full = text if text.startswith("sha256:") else f"sha256:{text}"
    found = _beginning(tx, BundleRow, BundleRow.digest, full, text)
    return _one(found, text, "bundle", len(full) - 7)


def unit_by(tx: Transaction, text: str) -> UnitRow:
    """The work unit with the id or unique prefix `text`. Raises Unknown, Ambiguous."""
    full = text if text.startswith("unit_") else f"unit_{text}"
    found = _beginning(tx, UnitRow, UnitRow.id, full, text)
    if not found or len(full) - 5 < LEAST_PREFIX:
        raise Unknown(
            f"no work unit {text[:80]!r} is known here",
            remedy=f"its campaign's page lists them; a prefix has {LEAST_PREFIX} or more letters",
        )
    return _one(found, text, "work unit", len(full) - 5)


def worker_by(tx: Transaction, text: str) -> WorkerRow:
    """The worker with the id or unique prefix `text`. Raises Unknown, Ambiguous."""
    full = text if text.startswith("wrk_") else f"wrk_{text}"
    found = _beginning(tx, WorkerRow, WorkerRow.name, full, text)
    return _one(found, text, "worker", len(full) - 4)


def action_by(tx: Transaction, text: str) -> ActionRow:
    """The operator's deed with the id or unique prefix `text`. Raises Unknown, Ambiguous."""
    full = text if text.startswith("deed_") else f"deed_{text}"
    found = _beginning(tx, ActionRow, ActionRow.id, full, text)
    if not found or len(full) - 5 < LEAST_PREFIX:
        raise Unknown(
            f"no action {text[:80]!r} is known here",
            remedy=f"the page of actions lists them all; a prefix has {LEAST_PREFIX} or more",
        )
    return _one(found, text, "action", len(full) - 5)


def _beginning(tx: Transaction, rows: type[R], name: str, full: str, text: str) -> list[R]:
    """The first two of `rows` whose column `name` begins with `full`; none where no id is typed."""
    if not _LETTERS.fullmatch(text):
        return []
    query = select(rows).where(col(name) >= full, col(name) < f"{full}~")
    return list(tx.session.exec(query.limit(2)))


def _one(found: list[R], text: str, what: str, length: int) -> R:
    if not found or length < LEAST_PREFIX:
        raise Unknown(
            f"no {what} {text[:80]!r} is known here",
            remedy=f"`cadastre {what} list` shows them; a prefix has {LEAST_PREFIX} or more",
        )
    if len(found) > 1:
        raise Ambiguous(f"{text[:80]!r} fits several: type more of it")
    return found[0]
