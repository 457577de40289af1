"""The rounds of a campaign: how far each is, who took part, what it told and what it cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case
from sqlmodel import col, func, select

from scheduler.domain.planning import round_down
from scheduler.domain.states import AttemptState
from scheduler.service.desk import Desk
from scheduler.service.finding import campaign_by
from scheduler.service.spending import epsilon_after
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, BlobRow, CampaignRow, RoundRow, UnitRow
from scheduler.views.counting import in_tens
from scheduler.views.slices import Slice
from scheduler.views.units import PlanProof, plan_proofs
from trust.documents.campaign import UnitKind


@dataclass(frozen=True)
class Stage:
    """A round: how far it is, what it told, and where its plan stands. Capsules in tens.

    `participants` are the workers whose partials were accepted, `bytes` what they sent as partials.
    `epsilon` is what all rounds up to this one cost one privacy unit whose capsule was part of
    each, at delta = 1e-6; None before the round is opened, and where nothing is noised (public
    data).
    """

    number: int
    state: str
    reason: str
    why: str
    waits_since: datetime  # since when it has this state and this reason
    issued_at: datetime
    deadline: datetime
    units: Mapping[str, int]  # by state
    done: int
    capsules: int
    participants: int
    bytes: int
    epsilon: float | None
    told: Mapping[str, float]
    plan: PlanProof

    @property
    def opened(self) -> bool:
        """Whether its sum was opened: from then on no participant more can come."""
        return self.state == "opened"

    @property
    def part(self) -> float:
        """The share of its capsules that were worked through; of a single ten, none or all."""
        if self.capsules:
            return min(1.0, self.done / self.capsules)
        total = sum(self.units.values())
        return self.units.get("satisfied", 0) / total if total else 0.0


def stages(desk: Desk, text: str, cut: Slice) -> list[Stage]:
    """The rounds of the campaign `text` by their numbers. Raises Unknown, Ambiguous."""

    def gather(tx: Transaction) -> list[Stage]:
        row = campaign_by(tx, text)
        query = select(RoundRow).where(RoundRow.campaign == row.id)
        number = RoundRow.__table__.c["number"]  # type: ignore[attr-defined]
        return stages_of(tx, row, tx.session.exec(cut.cut(query, [number])).all())

    return desk.store.read("view-stages", gather)


def stages_of(tx: Transaction, campaign: CampaignRow, rows: Sequence[RoundRow]) -> list[Stage]:
    """The stages of consecutive rounds of one campaign, in the order of `rows`."""
    if not rows:
        return []
    span = (min(row.number for row in rows), max(row.number for row in rows))
    work, sent = _progress(tx, campaign.id, span), _sent(tx, campaign.id, span)
    plans = plan_proofs(tx, [row.plan for row in rows])
    return [
        _stage(
            campaign,
            row,
            work.get(row.number, {}),
            sent.get(row.number, (0, 0)),
            plans.get(row.plan, PlanProof(row.plan, None, proven=False)),
        )
        for row in rows
    ]


def _progress(
    tx: Transaction, campaign: str, span: tuple[int, int]
) -> dict[int, dict[str, tuple[int, int]]]:
    """By round and state: how many units, and how many capsules they have worked through."""
    worked = case((col(UnitRow.state) == "satisfied", UnitRow.capsules), else_=UnitRow.done)
    query = (
        select(UnitRow.round, UnitRow.state, func.count(), func.sum(worked))
        .where(UnitRow.campaign == campaign, col(UnitRow.round).between(*span))
        .group_by(col(UnitRow.round), UnitRow.state)
    )
    found: dict[int, dict[str, tuple[int, int]]] = {}
    for number, state, count, done in tx.session.exec(query):
        found.setdefault(number, {})[state] = (count, int(done or 0))
    return found


def _sent(tx: Transaction, campaign: str, span: tuple[int, int]) -> dict[int, tuple[int, int]]:
    """By round: how many workers' partials were accepted, and how many bytes those have."""
    query = (
        select(UnitRow.round, func.count(), func.coalesce(func.sum(BlobRow.size), 0))
        .join(AttemptRow, col(AttemptRow.unit) == col(UnitRow.id))
        .join(BlobRow, col(BlobRow.digest) == col(AttemptRow.values_digest), isouter=True)
        .where(
            UnitRow.campaign == campaign,
            col(UnitRow.round).between(*span),
            UnitRow.kind == UnitKind.CONTRIBUTE.value,
            AttemptRow.state == AttemptState.ACCEPTED.value,
        )
        .group_by(col(UnitRow.round))
    )
    return {number: (count, int(size)) for number, count, size in tx.session.exec(query)}


def _stage(
    campaign: CampaignRow,
    row: RoundRow,
    work: Mapping[str, tuple[int, int]],
    sent: tuple[int, int],
    plan: PlanProof,
) -> Stage:
    told: dict[str, float] = json.loads(row.told or "{}")
    # A round is planned once the one before was opened: so many were, up to this one.
    cost = None
    if row.opening is not None:
        cost = epsilon_after(campaign.rho, row.number, campaign.rounds)
    return Stage(
        number=row.number,
        state=row.state,
        reason=row.reason,
        why=in_tens(row.why),
        waits_since=row.waits_since,
        issued_at=row.issued_at,
        deadline=row.deadline,
        units={state: count for state, (count, _) in work.items()},
        done=round_down(min(row.capsules, sum(done for _, done in work.values()))),
        capsules=round_down(row.capsules),
        participants=sent[0],
        bytes=sent[1],
        epsilon=None if cost is None else round(cost, 4),
        told=told,
        plan=plan,
    )
