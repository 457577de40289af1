"""Campaigns: a page of them, and one with its rounds and the attempts that are worth a look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import case
from sqlmodel import col, func, select

from scheduler.domain.states import FINAL_UNIT
from scheduler.service.desk import Desk
from scheduler.service.finding import campaign_by
from scheduler.store.store import Transaction
from scheduler.store.tables import (
    AttemptRow,
    AuthorisationRow,
    CampaignRow,
    LogRow,
    RoundRow,
    UnitRow,
)
from scheduler.views.counting import in_tens
from scheduler.views.lateness import LateUnit, late
from scheduler.views.slices import Slice
from scheduler.views.stages import Stage, stages_of
from scheduler.views.units import Try, Work, try_of, works_of
from trust.log.entry import Kind

LANES = 40  # units of a chart of attempts; those that did not end well come first
_COLUMNS = ("created_at", "id")


@dataclass(frozen=True)
class Run:
    """A campaign's line. `round` is the newest one, 0 before the first."""

    campaign: str
    title: str
    bundle: str
    state: str
    reason: str
    why: str
    round: int
    rounds: int
    started_by: str
    created_at: datetime
    updated_at: datetime
    waits_since: datetime  # since when it has this state and this reason


@dataclass(frozen=True)
class RunDetail:
    """A campaign with its rounds, the newest first, and the attempts of its newest round."""

    run: Run
    authorisation: str  # auth_…
    epsilon_rho: str  # zCDP of all rounds together, as voted
    release_index: int | None
    stages: tuple[Stage, ...]
    lanes: Sequence[tuple[Work, tuple[Try, ...]]] = field(default_factory=tuple)
    hidden: int = 0  # units of the newest round that the chart leaves out
    late: tuple[LateUnit, ...] = ()  # with the nearest deadline first, at most one above SHOWN


def runs(desk: Desk, cut: Slice, *, state: str = "", prefix: str = "") -> list[Run]:
    """Campaigns by age; `prefix` is the beginning of an id."""

    def gather(tx: Transaction) -> list[Run]:
        query = select(CampaignRow)
        if state:
            query = query.where(CampaignRow.state == state)
        if prefix:
            head = "camp_" + prefix.removeprefix("camp_")
            query = query.where(col(CampaignRow.id) >= head, col(CampaignRow.id) < head + "\x7f")
        columns = [CampaignRow.__table__.c[name] for name in _COLUMNS]  # type: ignore[attr-defined]
        return _lines(tx, list(tx.session.exec(cut.cut(query, columns))))

    return desk.store.read("view-runs", gather)


def run(desk: Desk, text: str, *, stages: int = 20) -> RunDetail:
    """The campaign with the id or unique prefix `text`. Raises Unknown, Ambiguous."""

    def gather(tx: Transaction) -> RunDetail:
        row = campaign_by(tx, text)
        rounds = tx.session.exec(
            select(RoundRow)
            .where(RoundRow.campaign == row.id)
            .order_by(col(RoundRow.number).desc())
            .limit(stages)
        ).all()
        lanes, hidden = lanes_of(tx, row.id, rounds[0].number) if rounds else ([], 0)
        release = None
        if row.release is not None:
            release = tx.session.exec(
                select(LogRow.position).where(
                    LogRow.digest == row.release, LogRow.kind == Kind.RELEASE.value
                )
            ).first()
        return RunDetail(
            run=_lines(tx, [row])[0],
            authorisation=row.authorisation,
            epsilon_rho=row.rho,
            release_index=release,
            stages=tuple(stages_of(tx, row, rounds)),
            lanes=lanes,
            hidden=hidden,
            late=tuple(late(tx, row.id)),
        )

    return desk.store.read("view-run", gather)


def lines_of(tx: Transaction, rows: list[CampaignRow]) -> list[Run]:
    """The lines of rows that a query of another view read."""
    return _lines(tx, rows)


def _lines(tx: Transaction, rows: list[CampaignRow]) -> list[Run]:
    ids = [row.id for row in rows]
    # Campaign by campaign: the end of the index, where a GROUP BY would read every round.
    last = (
        select(func.max(RoundRow.number))
        .where(RoundRow.campaign == CampaignRow.id)
        .correlate(CampaignRow)
        .scalar_subquery()
    )
    newest: dict[str, int | None] = dict(
        tx.session.exec(select(CampaignRow.id, last).where(col(CampaignRow.id).in_(ids))).all()
    )
    titles: dict[str, str] = dict(
        tx.session.exec(
            select(AuthorisationRow.id, AuthorisationRow.title).where(
                col(AuthorisationRow.id).in_([row.authorisation for row in rows])
            )
        ).all()
    )
    return [
        Run(
            campaign=row.id,
            title=titles.get(row.authorisation, ""),
            bundle=row.bundle,
            state=row.state,
            reason=row.reason,
            why=in_tens(row.why),
            round=newest[row.id] or 0,
            rounds=row.rounds,
            started_by=row.started_by,
            created_at=row.created_at,
            updated_at=row.updated_at,
            waits_since=row.waits_since,
        )
        for row in rows
    ]


def lanes_of(
    tx: Transaction, campaign: str, number: int
) -> tuple[list[tuple[Work, tuple[Try, ...]]], int]:
    """A round's units with their attempts, LANES at most: failed first, then moving, then done."""
    final = [state.value for state in FINAL_UNIT]
    urgency = case(
        (col(UnitRow.state) == "failed", 0), (col(UnitRow.state).not_in(final), 1), else_=2
    )
    of_round = (UnitRow.campaign == campaign, UnitRow.round == number)
    rows = tx.session.exec(
        select(UnitRow).where(*of_round).order_by(urgency, col(UnitRow.id)).limit(LANES)
    ).all()
    total = tx.session.exec(select(func.count()).select_from(UnitRow).where(*of_round)).one()
    tries: dict[str, list[Try]] = {}
    for attempt in tx.session.exec(
        select(AttemptRow)
        .where(col(AttemptRow.unit).in_([row.id for row in rows]))
        .order_by(col(AttemptRow.number))
    ):
        tries.setdefault(attempt.unit, []).append(try_of(attempt))
    lanes = [(work, tuple(tries.get(work.unit, ()))) for work in works_of(tx, rows)]
    return lanes, total - len(rows)
