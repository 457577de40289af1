"""The keyholder's part in campaigns: a key epoch dealt to trustees before the plan, none after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit.checks.helpers import protection_of, require_named, require_ours
from audit.checks.objects import Objects
from audit.errors import AuditFailure
from audit.records import Logged, Records
from jobs.archive import Bundle
from protection.ckks.profile import check_admission, profile_named
from trust.documents.custody import (
    AggregateOpened,
    EpochKey,
    EpochRetired,
    ShareRequest,
    ShareReturned,
    TrusteeKey,
)
from trust.documents.root import Duty
from trust.documents.rules import DataClass, Protection
from trust.ids import CampaignId, Digest


def keys(records: Records, bundles: Mapping[Digest, Bundle], objects: Objects) -> str:
    """One key epoch per campaign, for a voted profile, logged before the plans that name it."""
    seen: set[CampaignId] = set()
    for logged in records.all(EpochKey):
        key = logged.document
        if key.campaign in seen:
            raise AuditFailure(f"{key.campaign} has two key epochs")
        seen.add(key.campaign)
        vote = records.authorisation(key.authorisation)
        if vote.index > logged.index or vote.document.bundle != key.bundle:
            raise AuditFailure(f"the key epoch of {key.campaign} rests on no earlier vote")
        if protection_of(vote.document) is not Protection.ENCRYPTED:
            raise AuditFailure(f"{key.campaign} has a key epoch, which was not voted")
        if key.made_at >= key.not_after:
            raise AuditFailure(f"the key epoch of {key.campaign} ended at once")
        profile = profile_named(key.profile)
        bundle = bundles.get(key.bundle)
        if bundle is not None:  # else nothing was planned with it
            public = set(bundle.manifest.needs.classes) == {DataClass.PUBLIC}
            data_class = DataClass.PUBLIC if public else DataClass.PERSONAL
            check_admission(profile, vote.document.rules, data_class)
        objects.get(key.public, "the public context")
    named = 0
    for planned in records.plans:
        plan = planned.document
        wanted = protection_of(records.voted(plan)) is Protection.ENCRYPTED
        name = f"round {plan.round} of {plan.campaign}"
        require_named(name, "key epoch", plan.epoch, wanted=wanted)
        if plan.epoch is not None:
            epoch = records.find(EpochKey, plan.epoch, f"{name}: key epoch")
            require_ours(planned, epoch, "key epoch")
            named += 1
    return f"{len(seen)} key epochs, named by {named} plans"


def trustees(records: Records) -> str:
    """Each epoch's key was shared among exactly the root's trustees, whose keys were logged."""
    for logged in records.all(EpochKey):
        key = logged.document
        name = f"the key epoch of {key.campaign}"
        holders = records.root_at(logged.index).keys(Duty.TRUSTEE)
        signers: set[Any] = set()
        for digest in key.trustees:
            trustee = records.find(TrusteeKey, digest, f"{name}: trustee's key")
            if trustee.index > logged.index:
                raise AuditFailure(f"{name} was made before a trustee's key was logged")
            if len(trustee.signed.signers) != 1:
                raise AuditFailure(f"{name} names a trustee's key that several signed")
            signers |= trustee.signed.signers
        pairs: tuple[tuple[str, object, object], ...] = (
            ("set of trustees", signers, set(holders.keys)),
            ("number of trustees", len(key.trustees), len(holders.keys)),
            ("number of sealed shares", len(set(key.sealed)), len(holders.keys)),
            ("number of commitments to shares", len(key.shares), len(holders.keys)),
            ("threshold", key.threshold, holders.threshold),
        )
        for what, said, expected in pairs:
            if said != expected:
                raise AuditFailure(f"{name} has another {what} than the territory's root")
    return f"{len(records.all(TrusteeKey))} trustees' keys logged before the epochs"


def withheld(records: Records, objects: Objects) -> str:
    """Nothing is here with which a key could be rebuilt or a sum be opened without its noise."""
    secret: list[tuple[str, CampaignId, Digest]] = []
    for epoch in records.all(EpochKey):
        key = epoch.document
        secret.append(("wrapped key", key.campaign, key.wrapped))
        secret += [("sealed share", key.campaign, digest) for digest in key.sealed]
    for returned in records.all(ShareReturned):
        secret.append(("returned share", returned.document.campaign, returned.document.sealed))
    for logged in records.shares:
        share = logged.document
        vote = records.voted(records.plan(share.plan).document)
        if protection_of(vote) is Protection.ENCRYPTED:
            secret.append((f"{share.side}'s sum", share.campaign, share.values))
    for what, campaign, digest in secret:
        if digest in objects:
            raise AuditFailure(
                f"a {what} of {campaign} lies in the evidence",
                remedy="destroy this copy; the scheduler's operator must find who took it",
            )
    return f"none of {len(secret)} keys, shares of keys and raw sums is here"


def retired(records: Records) -> str:
    """A retired epoch was that campaign's, and nothing was opened under it afterwards."""
    notices = records.all(EpochRetired)
    acts: list[Logged[Any]] = [*(act for _, act, _ in records.acts()), *records.shares]
    acts += [*records.all(ShareRequest), *records.all(ShareReturned), *records.all(AggregateOpened)]
    last: dict[CampaignId, int] = {}
    for act in acts:
        campaign = act.document.campaign
        last[campaign] = max(act.index, last.get(campaign, 0))
    for logged in notices:
        notice = logged.document
        epoch = records.find(EpochKey, notice.epoch, "the retired key epoch")
        if epoch.document.campaign != notice.campaign or epoch.index > logged.index:
            raise AuditFailure(f"{notice.campaign} had another key epoch than the one retired")
        if notice.retired_at < epoch.document.made_at:
            raise AuditFailure(f"the key epoch of {notice.campaign} ended before it was made")
        if last.get(notice.campaign, 0) > logged.index:
            raise AuditFailure(f"{notice.campaign} goes on after its key epoch was retired")
    return f"{len(notices)} of {len(records.all(EpochKey))} key epochs retired"


def unretired(records: Records) -> tuple[CampaignId, ...]:
    """Released campaigns of which no notice says that the keyholder retired their epoch."""
    gone = {logged.document.campaign for logged in records.all(EpochRetired)}
    dealt = {logged.document.campaign for logged in records.all(EpochKey)}
    released = {logged.document.campaign for logged in records.releases}
    return tuple(sorted((dealt & released) - gone))
