"""Privacy budgets as far as the scheduler knows them: what votes allow, and what was opened.

What single owners have spent is not here: their workers keep it in ledgers, and the cooperative's
registry knows how far those have grown. A worker charges its ledger before it answers, so a round
that was never opened may have cost an owner something that it did not cost the vote.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

import sqlalchemy
from sqlmodel import and_, col, func, select

from protection import accounting
from scheduler.domain.states import RoundState
from scheduler.service.desk import Desk
from scheduler.service.spending import epsilon, exact, spent
from scheduler.store.store import Transaction
from scheduler.store.tables import AuthorisationRow, CampaignRow, LogRow, RoundRow
from scheduler.views.bundles import Vote, votes_of
from scheduler.views.slices import Slice
from scheduler.views.voted import Documents
from trust.documents.budget import LEDGER_CAP, OWNER_CAP
from trust.log.entry import Kind

IN_FORCE = 500  # votes that hold at one moment; more are not summed, and the sum says so


@dataclass(frozen=True)
class Budget:
    """One vote's budget, in zCDP for one privacy unit that takes part in everything.

    `voted` and `campaign` are "" where the vote's document cannot be read.
    """

    vote: Vote
    campaign: str  # what one campaign costs
    voted: str  # what all of them together may cost
    started: str  # of the campaigns that were started, as if each had its rounds
    opened: str  # of the rounds that were opened
    epsilon_opened: float
    epsilon_voted: float | None
    share: float | None  # of the voted budget, that was started


@dataclass(frozen=True)
class Territory:
    """All votes in force together, and the bounds that the programs of owners keep."""

    votes: int
    more: bool  # there are more votes in force than were summed
    voted: str
    started: str
    opened: str
    epsilon_opened: float
    ledger_cap: str  # what one owner may spend on one worker, for ever
    owner_cap: str  # what one owner may spend in this territory, for ever


@dataclass(frozen=True)
class Cost:
    """What one campaign has cost a privacy unit that took part in all of its rounds."""

    campaign: str
    title: str
    state: str
    created_at: datetime
    rounds: int
    opened: int
    voted: str
    spent: str
    epsilon: float
    release_index: int | None


def budgets(desk: Desk, documents: Documents, cut: Slice) -> list[Budget]:
    """The votes with their budgets, by when they came in."""

    def gather(tx: Transaction) -> list[Budget]:
        columns = [AuthorisationRow.__table__.c[name] for name in ("received_at", "id")]  # type: ignore[attr-defined]
        rows = tx.session.exec(cut.cut(select(AuthorisationRow), columns)).all()
        return _budgets(tx, documents, rows)

    return desk.store.read("view-budgets", gather)


def territory(desk: Desk, documents: Documents) -> Territory:
    """The sum over the votes that are in force now."""

    def gather(tx: Transaction) -> Territory:
        rows = tx.session.exec(
            select(AuthorisationRow)
            .where(
                col(AuthorisationRow.suspended_at).is_(None),
                AuthorisationRow.not_before <= tx.now,
                AuthorisationRow.not_after > tx.now,
            )
            .limit(IN_FORCE + 1)
        ).all()
        found = _budgets(tx, documents, rows[:IN_FORCE])
        opened = sum((Fraction(one.opened) for one in found), Fraction(0))
        return Territory(
            votes=len(found),
            more=len(rows) > IN_FORCE,
            voted=_sum(one.voted for one in found),
            started=_sum(one.started for one in found),
            opened=accounting.to_text(opened),
            epsilon_opened=epsilon(opened),
            ledger_cap=accounting.to_text(LEDGER_CAP),
            owner_cap=accounting.to_text(OWNER_CAP),
        )

    return desk.store.read("view-territory-budget", gather)


def in_force(tx: Transaction, documents: Documents) -> list[Budget]:
    """The budgets of the votes that campaigns may be started under now."""
    rows = tx.session.exec(
        select(AuthorisationRow)
        .where(col(AuthorisationRow.suspended_at).is_(None), AuthorisationRow.not_after > tx.now)
        .limit(IN_FORCE)
    ).all()
    return _budgets(tx, documents, rows)


def costs(desk: Desk, cut: Slice) -> list[Cost]:
    """Campaigns with their costs, by age."""

    def gather(tx: Transaction) -> list[Cost]:
        columns = [CampaignRow.__table__.c[name] for name in ("created_at", "id")]  # type: ignore[attr-defined]
        rows = tx.session.exec(cut.cut(select(CampaignRow), columns)).all()
        opened: dict[str, int] = dict(
            tx.session.exec(
                select(RoundRow.campaign, func.count())
                .where(
                    col(RoundRow.campaign).in_([row.id for row in rows]),
                    RoundRow.state == RoundState.OPENED.value,
                )
                .group_by(RoundRow.campaign)
            ).all()
        )
        titles: dict[str, str] = dict(
            tx.session.exec(
                select(AuthorisationRow.id, AuthorisationRow.title).where(
                    col(AuthorisationRow.id).in_([row.authorisation for row in rows])
                )
            ).all()
        )
        released: dict[str, int | None] = dict(
            tx.session.exec(
                select(LogRow.digest, LogRow.position).where(
                    col(LogRow.digest).in_([row.release for row in rows if row.release]),
                    LogRow.kind == Kind.RELEASE.value,
                )
            ).all()
        )
        return [_cost(row, opened.get(row.id, 0), titles, released) for row in rows]

    return desk.store.read("view-costs", gather)


def _cost(
    row: CampaignRow, opened: int, titles: dict[str, str], released: dict[str, int | None]
) -> Cost:
    cost = spent(row.rho, opened, row.rounds)
    return Cost(
        campaign=row.id,
        title=titles.get(row.authorisation, ""),
        state=row.state,
        created_at=row.created_at,
        rounds=row.rounds,
        opened=opened,
        voted=row.rho,
        spent=accounting.to_text(cost),
        epsilon=epsilon(cost),
        release_index=None if row.release is None else released.get(row.release),
    )


def _budgets(
    tx: Transaction, documents: Documents, rows: Sequence[AuthorisationRow]
) -> list[Budget]:
    # Few lines a vote: its campaigns differ in what they cost only where rules were voted anew.
    query: Any = (
        sqlalchemy.select(  # sqlmodel's takes four columns at most
            col(CampaignRow.authorisation),
            col(CampaignRow.rho),
            col(CampaignRow.rounds),
            func.count(func.distinct(CampaignRow.id)),
            func.count(col(RoundRow.number)),
        )
        .join(
            RoundRow,
            and_(
                col(RoundRow.campaign) == col(CampaignRow.id),
                col(RoundRow.state) == RoundState.OPENED.value,
            ),
            isouter=True,
        )
        .where(col(CampaignRow.authorisation).in_([row.id for row in rows]))
        .group_by(CampaignRow.authorisation, CampaignRow.rho, col(CampaignRow.rounds))
    )
    found: Sequence[tuple[str, str, int, int, int]] = tx.session.exec(query).all()
    started: dict[str, Fraction] = {}
    opened: dict[str, Fraction] = {}
    for vote, rho, rounds, campaigns, rounds_opened in found:
        started[vote] = started.get(vote, Fraction(0)) + exact(rho) * campaigns
        opened[vote] = opened.get(vote, Fraction(0)) + spent(rho, rounds_opened, rounds)
    return [
        _budget(vote, started.get(vote.authorisation, Fraction(0)),
                opened.get(vote.authorisation, Fraction(0)))
        for vote in votes_of(tx, documents, rows)
    ]  # fmt: skip


def _budget(vote: Vote, started: Fraction, opened: Fraction) -> Budget:
    voted = None if vote.terms is None else exact(vote.terms.rho_budget)
    return Budget(
        vote=vote,
        campaign="" if vote.terms is None else vote.terms.rho,
        voted="" if vote.terms is None else vote.terms.rho_budget,
        started=accounting.to_text(started),
        opened=accounting.to_text(opened),
        epsilon_opened=epsilon(opened),
        epsilon_voted=None if voted is None else epsilon(voted),
        share=float(started / voted) if voted else None,
    )


def _sum(parts: Iterable[str]) -> str:
    return accounting.to_text(sum((exact(part) for part in parts if part), Fraction(0)))
