"""The helper's part in campaigns: its key before the plan, its refusals kept, its key destroyed."""

from __future__ import annotations

from typing import Any

from audit.errors import AuditFailure
from audit.records import Logged, Records
from trust.documents.aggregation import HelperKey, HelperRefusal, KeyDestroyed
from trust.documents.campaign import Opening, Plan
from trust.documents.custody import EpochKey, KeyholderRefusal
from trust.documents.governance import Authorisation
from trust.documents.rules import Protection
from trust.ids import AuthorisationId, CampaignId, Digest

_X25519_BYTES = 32


def protection_of(vote: Authorisation) -> Protection:
    """The protection that all outputs of a vote share. Raises AuditFailure for a mixture."""
    found = {rule.protection for rule in vote.rules}
    if len(found) != 1:
        raise AuditFailure(f"{vote.id} mixes protections: {', '.join(sorted(found))}")
    return found.pop()


def keys(records: Records) -> str:
    """One helper key per campaign, logged before the plans, which name it where it was voted."""
    seen: set[CampaignId] = set()
    for logged in records.helper_keys:
        key = logged.document
        if key.campaign in seen:
            raise AuditFailure(f"{key.campaign} has two helper keys")
        seen.add(key.campaign)
        vote = records.authorisation(key.authorisation)
        if vote.index > logged.index or vote.document.bundle != key.bundle:
            raise AuditFailure(f"the helper key of {key.campaign} rests on no earlier vote")
        if len(key.key) != _X25519_BYTES or key.made_at >= key.not_after:
            raise AuditFailure(f"the helper key of {key.campaign} is no key, or ended at once")
    named = 0
    for planned in records.plans:
        plan = planned.document
        protection = protection_of(records.voted(plan))
        name = f"round {plan.round} of {plan.campaign}"
        wanted = protection is not Protection.CLEAR
        require_named(name, "helper key", plan.helper, wanted=wanted)
        if plan.helper is not None:
            helper = records.find(HelperKey, plan.helper, f"{name}: helper key")
            require_ours(planned, helper, "helper key")
            named += 1
    return f"{len(records.helper_keys)} helper keys, named by {named} plans"


def refusals(records: Records) -> str:
    """Where helper or keyholder said no, nothing followed."""
    said: list[Logged[Any]] = [*records.all(HelperRefusal), *records.all(KeyholderRefusal)]
    first: dict[tuple[CampaignId, int], Logged[Any]] = {}
    for logged in said:
        first.setdefault((logged.document.campaign, logged.document.round), logged)
    for kind, act, _ in records.acts():
        document = act.document
        numbers = (0, document.round) if isinstance(document, Opening) else (0,)
        for number in numbers:
            no = first.get((document.campaign, number))
            if no is not None and no.index < act.index:
                raise AuditFailure(
                    f"a {kind} of {document.campaign} follows a refusal "
                    f"({no.document.code[:60]}) in the log"
                )
    return f"{len(said)} refusals respected"


def destroyed(records: Records) -> str:
    """A destroyed key was that campaign's, and nothing was opened with it afterwards."""
    notices = records.all(KeyDestroyed)
    last: dict[CampaignId, int] = {}
    acts: list[Logged[Any]] = [*(act for _, act, _ in records.acts()), *records.shares]
    for act in acts:
        campaign = act.document.campaign
        last[campaign] = max(act.index, last.get(campaign, 0))
    for logged in notices:
        notice = logged.document
        helper = records.find(HelperKey, notice.helper, "the destroyed helper key")
        if helper.document.campaign != notice.campaign or helper.index > logged.index:
            raise AuditFailure(f"{notice.campaign} had another key than the one destroyed")
        if notice.destroyed_at < helper.document.made_at:
            raise AuditFailure(f"the key of {notice.campaign} was destroyed before it was made")
        if last.get(notice.campaign, 0) > logged.index:
            raise AuditFailure(f"{notice.campaign} goes on after its key was destroyed")
    return f"{len(notices)} of {len(records.helper_keys)} helper keys destroyed"


def undestroyed(records: Records) -> tuple[CampaignId, ...]:
    """Released campaigns of which no notice says that the helper destroyed their key."""
    gone = {logged.document.campaign for logged in records.all(KeyDestroyed)}
    engaged = {logged.document.campaign for logged in records.helper_keys}
    released = {logged.document.campaign for logged in records.releases}
    return tuple(sorted((engaged & released) - gone))


def require_named(name: str, what: str, named: Digest | None, *, wanted: bool) -> None:
    """A plan names a key exactly where its vote asks for one. Raises AuditFailure."""
    if (named is not None) != wanted:
        how = "names no" if wanted else "names a"
        raise AuditFailure(f"{name} {how} {what}, its vote asks for the contrary")


def require_ours(
    planned: Logged[Plan], key: Logged[HelperKey] | Logged[EpochKey], what: str
) -> None:
    """The key is of the plan's campaign, bundle and vote, and older. Raises AuditFailure."""
    plan, owner = planned.document, key.document
    name = f"round {plan.round} of {plan.campaign}"
    if key.index > planned.index:
        raise AuditFailure(f"{name} was planned before its {what} was logged")
    theirs: tuple[CampaignId, Digest, AuthorisationId]
    theirs = (owner.campaign, owner.bundle, owner.authorisation)
    if theirs != (plan.campaign, plan.bundle, plan.authorisation):
        raise AuditFailure(f"{name} names the {what} of another campaign, bundle or vote")
    if plan.issued_at >= owner.not_after:
        raise AuditFailure(f"{name} was planned when its {what} had ended")
