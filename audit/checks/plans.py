"""Campaigns against the vote: what was planned is what the college authorised, and no more."""

from __future__ import annotations

from datetime import timedelta

from audit.checks.objects import Objects
from audit.errors import AuditFailure
from audit.records import Records
from protection import accounting
from trust.documents.campaign import Plan
from trust.ids import AuthorisationId, CampaignId
from trust.policy.parameters import require_within

# A worker believes a governance status for 24 hours; nothing planned later can have missed it.
SUSPENSION_REACHES = timedelta(hours=24)


def authorisations(records: Records) -> str:
    """Each id stands for one decision with a sound window and rules."""
    seen: set[AuthorisationId] = set()
    for logged in records.authorisations:
        vote = logged.document
        if vote.id in seen:
            raise AuditFailure(f"two different authorisations bear the id {vote.id}")
        seen.add(vote.id)
        if vote.not_before >= vote.not_after:
            raise AuditFailure(f"{vote.id} ends before it begins")
        if not vote.rules or len({rule.output for rule in vote.rules}) != len(vote.rules):
            raise AuditFailure(f"{vote.id} names no release rule, or one output twice")
        if vote.campaigns < 1 or not vote.images:
            raise AuditFailure(f"{vote.id} permits no campaign or no runtime image")
        for rule in vote.rules:
            accounting.check_ring(rule)
    return f"{len(records.authorisations)} decisions of the college"


def unique(records: Records) -> str:
    """Exactly one plan per (campaign, round); rounds in order, one bundle and vote throughout."""
    rounds: dict[CampaignId, list[Plan]] = {}
    for logged in records.plans:
        rounds.setdefault(logged.document.campaign, []).append(logged.document)
    for campaign, plans in rounds.items():
        numbers = [plan.round for plan in plans]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or numbers[0] not in {
            0,
            1,
        }:
            raise AuditFailure(
                f"{campaign} has the rounds {numbers[:10]}, not one plan each in order"
            )
        if len({(plan.bundle, plan.authorisation) for plan in plans}) != 1:
            raise AuditFailure(f"{campaign} changed its bundle or authorisation between rounds")
    return f"{len(records.plans)} plans of {len(rounds)} campaigns"


def authorised(records: Records) -> str:
    """Each plan rests on an authorisation logged before it, for its bundle, in force then."""
    for logged in records.plans:
        plan = logged.document
        vote = records.authorisation(plan.authorisation)
        if vote.index > logged.index:
            raise AuditFailure(f"{_name(plan)} was logged before its authorisation")
        if vote.document.bundle != plan.bundle:
            raise AuditFailure(f"{_name(plan)} runs another bundle than {vote.document.id} permits")
        if not vote.document.not_before <= plan.issued_at < vote.document.not_after:
            raise AuditFailure(f"{_name(plan)} lies outside the window of {vote.document.id}")
        if plan.deadline <= plan.issued_at:
            raise AuditFailure(f"{_name(plan)} ends before it begins")
    return f"{len(records.plans)} plans inside the windows of their authorisations"


def suspended(records: Records) -> str:
    """Nothing was planned, opened or released once its authorisation was suspended."""
    for logged in records.suspensions:
        stop = logged.document
        for kind, act, authorisation in records.acts():
            if authorisation != stop.authorisation:
                continue
            if act.index > logged.index:
                raise AuditFailure(
                    f"a {kind} of {act.document.campaign} follows the suspension of "
                    f"{stop.authorisation} in the log"
                )
            if (
                isinstance(act.document, Plan)
                and act.document.issued_at > stop.issued_at + SUSPENSION_REACHES
            ):
                raise AuditFailure(
                    f"{_name(act.document)} was made over 24 h after {stop.authorisation} was "
                    "suspended, and the suspension logged later"
                )
    return f"{len(records.suspensions)} suspensions respected"


def counted(records: Records) -> str:
    """No authorisation was used for more campaigns, or more privacy, than voted."""
    for logged in records.authorisations:
        vote = logged.document
        campaigns = {
            p.document.campaign for p in records.plans if p.document.authorisation == vote.id
        }
        if len(campaigns) > vote.campaigns:
            raise AuditFailure(
                f"{len(campaigns)} campaigns ran on {vote.id}, {vote.campaigns} were voted"
            )
        spent = accounting.rho_of(vote.rules) * len(campaigns)
        if spent > accounting.decimal(vote.rho_budget, "rho_budget"):
            raise AuditFailure(
                f"campaigns on {vote.id} cost rho {accounting.to_text(spent)}, the voted budget "
                f"is {vote.rho_budget}"
            )
    return "campaigns and privacy within what was voted"


def parameters(records: Records, objects: Objects) -> str:
    """Each plan's parameter blob is here and inside the voted bounds."""
    for logged in records.plans:
        plan = logged.document
        blob = objects.get(plan.parameters, "the parameter blob")
        require_within(blob, records.voted(plan).bounds)
    return "every parameter inside its voted bounds"


def _name(plan: Plan) -> str:
    return f"round {plan.round} of {plan.campaign}"
