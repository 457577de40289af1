"""Campaigns against the vote: what was planned is what the college authorised, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from audit.checks.objects import Objects
from audit.errors import AuditFailure
from audit.records import Records
from jobs.archive import Bundle
from protection import accounting
from protection.products import factors_of
from protection.ring import require_room
from trust.documents.campaign import Opening, Plan, Release
from trust.ids import AuthorisationId, CampaignId, Digest
from trust.policy.parameters import parse_parameters, require_within

# A worker believes a governance status for 24 hours; nothing planned later can have missed it.
SUSPENSION_REACHES = timedelta(hours=24)
# A scheduler's clock never runs back (scheduler/domain/time); this much is left to replicas.
BACKDATED = timedelta(hours=1)


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
        factors_of(vote.rules)  # a product that nobody can open
        for rule in vote.rules:
            require_room(rule)
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
        root = records.root_at(logged.index).document
        if plan.issued_at >= root.expires_at:
            raise AuditFailure(f"{_name(plan)} was made when the territory root had expired")
        # The windows are compared with what the scheduler says the time was.
        earlier = records.dated_before(logged.index)
        if earlier is not None and plan.issued_at < earlier - BACKDATED:
            raise AuditFailure(
                f"{_name(plan)} is dated {plan.issued_at:%Y-%m-%d %H:%M}, the log holds before it "
                f"what is dated {earlier:%Y-%m-%d %H:%M}"
            )
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
            if _made_at(act.document) > stop.issued_at + SUSPENSION_REACHES:
                raise AuditFailure(
                    f"a {kind} of {act.document.campaign} was made over 24 h after "
                    f"{stop.authorisation} was suspended, and the suspension logged later"
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


def rounds(records: Records, bundles: Mapping[Digest, Bundle]) -> str:
    """No campaign has more rounds than voted: price and noise were split over so many."""
    longest = 0
    planned: dict[CampaignId, int] = {}
    for logged in records.plans:
        plan = logged.document
        planned[plan.campaign] = planned.get(plan.campaign, 0) + 1
        voted = bundles[plan.bundle].manifest.rounds.maximum
        if planned[plan.campaign] > voted:
            raise AuditFailure(f"{_name(plan)} is one more than the {voted} rounds that were voted")
        for rule in records.voted(plan).rules:
            require_room(rule, voted)
        longest = max(longest, planned[plan.campaign])
    return f"at most {longest} rounds in a campaign"


def parameters(records: Records, objects: Objects) -> str:
    """Each plan's parameter blob is here and inside the voted bounds."""
    for logged in records.plans:
        plan = logged.document
        found = parse_parameters(objects.get(plan.parameters, "the parameter blob"))
        require_within(found.settings, records.voted(plan).bounds)
    return "every parameter inside its voted bounds"


def _made_at(document: Plan | Opening | Release) -> datetime:
    match document:
        case Plan():
            return document.issued_at
        case Opening():
            return document.opened_at
        case Release():
            return document.released_at


def _name(plan: Plan) -> str:
    return f"round {plan.round} of {plan.campaign}"
