"""Who stands behind a round: accepted partials with their workers' keys and operators."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam
from sqlmodel import col, select

from scheduler.domain.states import AttemptState
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, MemberRow, RestrictedRow, RoundRow, UnitRow
from trust.documents.campaign import UnitKind
from trust.keys import PublicKey

_ACCEPTED = (
    select(AttemptRow, RestrictedRow.envelope, MemberRow)
    .join(UnitRow, col(UnitRow.id) == col(AttemptRow.unit))
    .join(RestrictedRow, col(RestrictedRow.digest) == col(AttemptRow.statement))
    .join(MemberRow, col(MemberRow.name) == col(AttemptRow.worker))
    .where(
        UnitRow.campaign == bindparam("campaign"),
        UnitRow.round == bindparam("round"),
        UnitRow.kind == UnitKind.CONTRIBUTE.value,
        AttemptRow.state == AttemptState.ACCEPTED.value,
    )
    .order_by(col(AttemptRow.report))
)


@dataclass(frozen=True)
class Member:
    """One accepted partial: its envelope, its worker's key, operator and logged enrolment."""

    attempt: AttemptRow
    envelope: bytes
    key: PublicKey
    operator: str
    enrolment: str  # digest of the Enrolled envelope


def members_of(tx: Transaction, of: RoundRow) -> list[Member]:
    """The accepted partials of a round, by report id."""
    rows = tx.session.exec(_ACCEPTED, params={"campaign": of.campaign, "round": of.number})
    return [
        Member(attempt, envelope, PublicKey.parse(row.key), row.operator, row.enrolment or "")
        for attempt, envelope, row in rows
    ]
