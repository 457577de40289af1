"""From the scheduler's own types to the messages of the contract."""

from __future__ import annotations

from datetime import datetime

from protos.cadastre.v1 import (
    audit_pb2,
    bundles_pb2,
    campaigns_pb2,
    consents_pb2,
)
from scheduler.service.bundles import BundleSummary
from scheduler.service.campaigns import CampaignView, RoundView, UnitView
from scheduler.service.roster import WorkerView
from scheduler.store.tables import ConsentRow
from trust.certificates import Role
from trust.clock import to_text

_SEE_MACHINES = frozenset({Role.OPERATOR, Role.AUDITOR})


def campaign(view: CampaignView, role: Role) -> campaigns_pb2.CampaignView:
    """A campaign with its rounds, as `role` may see it.

    Which machine does what, and how far it is, is for operators and accredited auditors: an
    author who saw it could time single machines with an algorithm of their own.
    """
    row, machines = view.row, role in _SEE_MACHINES
    return campaigns_pb2.CampaignView(
        campaign=row.id,
        bundle=row.bundle,
        title=view.title,
        state=f"CAMPAIGN_STATE_{row.state.upper()}",
        reason_code=row.reason,
        reason=row.why,
        rounds=[_round(entry, machines=machines) for entry in view.rounds],
        created_at=to_text(row.created_at),
        updated_at=to_text(row.updated_at),
        release=row.release or "",
        rounds_voted=row.rounds,
        epsilon=view.epsilon,
        authorisation=view.authorisation,
        statement=view.statement,
    )


def bundle(summary: BundleSummary) -> bundles_pb2.BundleSummary:
    """A bundle's line."""
    return bundles_pb2.BundleSummary(
        bundle=summary.bundle,
        name=summary.name,
        version=summary.version,
        author=summary.author,
        authorisation=summary.authorisation,
        standing=summary.standing,
    )


def consent(row: ConsentRow) -> consents_pb2.ConsentStatus:
    """The newest decision about one capsule and target."""
    return consents_pb2.ConsentStatus(
        capsule=row.capsule,
        target=row.target,
        serial=row.serial,
        decision=row.decision,
        expires_at=to_text(row.expires_at),
        delivered=row.delivered,
    )


def worker(view: WorkerView) -> audit_pb2.WorkerView:
    """A worker's line."""
    row, member = view.row, view.member
    return audit_pb2.WorkerView(
        worker=row.name,
        operator=member.operator,
        site=member.site,
        freshness=view.freshness,
        last_seen=_moment(row.last_seen),
        level=row.level,
        capsules=view.capsules,
        leases=view.leases,
        libraries=row.libraries.split(),
        image=row.image or "",
        banned=member.banned_at is not None,
    )


def _round(view: RoundView, *, machines: bool) -> campaigns_pb2.RoundView:
    row = view.row
    # While a round collects, each more is one machine that has just answered.
    counted = machines or row.opening is not None
    return campaigns_pb2.RoundView(
        number=row.number,
        state=f"ROUND_STATE_{row.state.upper()}",
        capsules_done=view.capsules_done,
        capsules_total=view.capsules_total,
        units=[_unit(entry) for entry in view.units if machines],
        reason_code=row.reason,
        reason=row.why,
        participants=view.participants if counted else 0,
        bytes=view.traffic if counted else 0,
        metrics=view.metrics,
        epsilon=view.epsilon,
    )


def _unit(view: UnitView) -> campaigns_pb2.UnitView:
    row = view.row
    return campaigns_pb2.UnitView(
        unit=row.id,
        kind=row.kind,
        state=f"UNIT_STATE_{row.state.upper()}",
        worker=row.worker or "",
        attempts=view.attempts,
        reason_code=view.reason,
        reason=view.why,
    )


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else to_text(moment)
