"""Work units: of a campaign in long lists, and one with its attempts and the proof of its plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import literal_column
from sqlmodel import col, select

from scheduler.domain.planning import round_down
from scheduler.service.desk import Desk
from scheduler.service.finding import campaign_by, unit_by
from scheduler.service.holding import told_of
from scheduler.store.store import Transaction
from scheduler.store.tables import (
    AttemptRow,
    AuthorisationRow,
    CampaignRow,
    LogRow,
    MemberRow,
    RoundRow,
    UnitRow,
)
from scheduler.views.counting import in_tens
from scheduler.views.slices import Key, Slice
from trust.log.entry import Kind


@dataclass(frozen=True)
class Work:
    """A unit's line; capsule counts are rounded down to tens."""

    unit: str
    campaign: str
    round: int
    kind: str
    state: str
    worker: str | None
    reason: str
    why: str
    done: int
    capsules: int
    deadline: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Try:
    """One attempt; `ended_at` is None while it lives, and for some that ended long ago."""

    attempt: str
    number: int
    worker: str
    state: str
    reason: str
    why: str
    leased_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    statement: str | None


@dataclass(frozen=True)
class PlanProof:
    """Where the plan that a unit rests on stands in the log; None where it does not yet."""

    digest: str
    index: int | None
    proven: bool


@dataclass(frozen=True)
class UnitDetail:
    """A unit, whose it is, and its attempts from the first on."""

    work: Work
    title: str
    operator: str
    not_before: datetime | None
    maximum_attempts: int
    tries: tuple[Try, ...]
    plan: PlanProof


def works_of(tx: Transaction, rows: Sequence[UnitRow]) -> list[Work]:
    """The lines of rows, in their order."""
    told = told_of(tx, rows)
    return [_work(row, *told[row.id]) for row in rows]


def _work(row: UnitRow, reason: str, why: str) -> Work:
    return Work(
        unit=row.id,
        campaign=row.campaign,
        round=row.round,
        kind=row.kind,
        state=row.state,
        worker=row.worker,
        reason=reason,
        why=in_tens(why),
        done=round_down(row.capsules if row.state == "satisfied" else row.done),
        capsules=round_down(row.capsules),
        deadline=row.deadline,
        updated_at=row.updated_at,
    )


def units(desk: Desk, campaign: str, cut: Slice, *, state: str = "", number: int = 0) -> list[Work]:
    """Units of a campaign by round and id. Raises Unknown, Ambiguous."""

    def gather(tx: Transaction) -> list[Work]:
        query = select(UnitRow).where(UnitRow.campaign == campaign_by(tx, campaign).id)
        if state:
            query = query.where(UnitRow.state == state)
        if state not in {"", "satisfied"}:
            # Follows from the line before; said as the index has it, so that it is used.
            query = query.where(literal_column("unit.state <> 'satisfied'"))
        table = UnitRow.__table__  # type: ignore[attr-defined]
        if not number:
            rows = tx.session.exec(cut.cut(query, [table.c["round"], table.c["id"]]))
            return works_of(tx, rows.all())
        # Within one round the id alone is the order: with both, everything behind the round
        # would be read too.
        behind = None if cut.after is None else _within(cut, number)
        within = Slice(cut.limit, behind, cut.reverse)
        query = query.where(UnitRow.round == number)
        return works_of(tx, tx.session.exec(within.cut(query, [table.c["id"]])).all())

    return desk.store.read("view-units", gather)


def _within(cut: Slice, number: int) -> tuple[Key, ...] | None:
    """The place of a cursor over (round, id) in the round `number` alone: its id, or an edge.

    A cursor of another round lies before all of this one's rows or behind them.
    """
    assert cut.after is not None
    place, unit = cut.after
    if place == number:
        return (unit,)
    ahead = int(place) > number  # type: ignore[arg-type]
    # Behind everything there is nothing: no id sorts before "" or after the letters' end.
    if cut.reverse:
        return None if ahead else ("",)
    return ("unit_\x7f",) if ahead else None


def unit(desk: Desk, text: str) -> UnitDetail:
    """The unit with the id or unique prefix `text`. Raises Unknown, Ambiguous."""

    def gather(tx: Transaction) -> UnitDetail:
        row = unit_by(tx, text)
        campaign = tx.session.get(CampaignRow, row.campaign)
        assert campaign is not None
        authorisation = tx.session.get(AuthorisationRow, campaign.authorisation)
        entry = tx.session.get(RoundRow, (row.campaign, row.round))
        member = None if row.worker is None else tx.session.get(MemberRow, row.worker)
        assert entry is not None
        tries = tx.session.exec(
            select(AttemptRow).where(AttemptRow.unit == row.id).order_by(col(AttemptRow.number))
        )
        return UnitDetail(
            work=works_of(tx, [row])[0],
            title="" if authorisation is None else authorisation.title,
            operator="" if member is None else member.operator,
            not_before=row.not_before,
            maximum_attempts=row.maximum_attempts,
            tries=tuple(map(try_of, tries)),
            plan=plan_proof(tx, entry.plan),
        )

    return desk.store.read("view-unit", gather)


def try_of(row: AttemptRow) -> Try:
    """The line of an attempt."""
    return Try(
        attempt=row.id,
        number=row.number,
        worker=row.worker,
        state=row.state,
        reason=row.reason,
        why=in_tens(row.why),
        leased_at=row.leased_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
        statement=row.statement,
    )


def plan_proof(tx: Transaction, digest: str) -> PlanProof:
    """Where a plan stands in the log."""
    return plan_proofs(tx, [digest]).get(digest, PlanProof(digest, None, proven=False))


def plan_proofs(tx: Transaction, digests: Sequence[str]) -> dict[str, PlanProof]:
    """Where plans stand in the log, by their digests; without those that do not yet."""
    rows = tx.session.exec(
        select(LogRow).where(col(LogRow.digest).in_(digests), LogRow.kind == Kind.PLAN.value)
    )
    return {
        row.digest: PlanProof(row.digest, row.position, proven=row.proof is not None)
        for row in rows
    }
