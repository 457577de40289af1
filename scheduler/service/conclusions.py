"""The accepted conclusion of one round: its envelope, and the blob of its arrays."""

from __future__ import annotations

from sqlalchemy import bindparam
from sqlmodel import col, select

from scheduler.domain.states import AttemptState
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, UnitRow
from trust.documents.campaign import UnitKind
from trust.ids import Digest

_ACCEPTED = (
    select(AttemptRow)
    .join(UnitRow, col(UnitRow.id) == col(AttemptRow.unit))
    .where(
        UnitRow.campaign == bindparam("campaign"),
        UnitRow.round == bindparam("round"),
        UnitRow.kind == UnitKind.CONCLUDE.value,
        AttemptRow.state == AttemptState.ACCEPTED.value,
    )
)


def envelope_of(tx: Transaction, campaign: str, number: int) -> Digest | None:
    """The Conclusion's envelope by its digest; None while there is none."""
    row = _accepted(tx, campaign, number)
    return None if row is None or row.statement is None else Digest(row.statement)


def result_of(tx: Transaction, campaign: str, number: int) -> Digest | None:
    """The result blob by its digest; None while there is none."""
    row = _accepted(tx, campaign, number)
    return None if row is None or row.values_digest is None else Digest(row.values_digest)


def _accepted(tx: Transaction, campaign: str, number: int) -> AttemptRow | None:
    return tx.session.exec(_ACCEPTED, params={"campaign": campaign, "round": number}).first()
