"""Conclusions: what a worker made of an opened aggregate, and what the next round made of that."""

from __future__ import annotations

from collections.abc import Mapping

from audit.checks.objects import Objects
from audit.checks.partials import LEVELS
from audit.errors import AuditFailure
from audit.records import Logged, Records
from jobs import conclusion, state
from jobs.archive import Bundle
from jobs.schema import Manifest
from trust import dsse, parameters
from trust.documents import signed
from trust.documents.campaign import Opening, Plan, Release
from trust.documents.reporting import Conclusion
from trust.documents.signed import Signed
from trust.errors import Malformed
from trust.ids import CampaignId, Digest
from trust.schema import decode


def of_release(records: Records, logged: Logged[Release], objects: Objects) -> Signed[Conclusion]:
    """The conclusion that a release names: of the campaign's last opening."""
    release = logged.document
    opened = records.openings_of(release.campaign)[-1]
    return _read(records, logged.index, release.conclusion, opened, objects)


def carried(records: Records, bundles: Mapping[Digest, Bundle], objects: Objects) -> str:
    """Each round starts with the first one's settings and the state that the last one left.

    Who concluded is in the restricted part: without it only settings and numbers are checked
    beyond first rounds.
    """
    settings: dict[CampaignId, bytes] = {}
    followed, unseen = 0, 0
    for logged in records.plans:
        plan, manifest = logged.document, bundles[logged.document.bundle].manifest
        blob = objects.get(plan.parameters, "the parameter blob")
        begins = parameters.parse(blob)
        first = settings.setdefault(plan.campaign, begins.settings)
        if (plan.after is None) != (plan.round == 1):
            raise AuditFailure(f"{_name(plan)} does not name the round that it follows")
        # Also where the conclusion before is not here: the parameters are public.
        if (begins.settings, begins.round) != (first, plan.round):
            raise AuditFailure(f"{_name(plan)} has other settings or another number than it should")
        if plan.after is None:
            expected = state.first(manifest, first)
        elif plan.after not in objects:
            unseen += 1
            continue
        else:
            expected = _following(records, logged, manifest, first, objects)
            followed += 1
        if blob != expected:
            raise AuditFailure(f"{_name(plan)} does not start with what the round before left")
    hidden = f", {unseen} whose conclusions are not here" if unseen else ""
    return f"{followed} rounds start with the state that the one before left{hidden}"


def followed_by(records: Records, logged: Logged[Plan], objects: Objects) -> Signed[Conclusion]:
    """The conclusion whose state a plan starts with: of the round before its own."""
    plan = logged.document
    assert plan.after is not None
    before = [
        opened
        for opened in records.openings_of(plan.campaign)
        if opened.document.round == plan.round - 1 and opened.index < logged.index
    ]
    if not before:
        raise AuditFailure(f"{_name(plan)} follows a round that was not opened before it")
    return _read(records, logged.index, plan.after, before[0], objects)


def _following(
    records: Records, logged: Logged[Plan], manifest: Manifest, settings: bytes, objects: Objects
) -> bytes:
    plan = logged.document
    made = followed_by(records, logged, objects).document
    blob = objects.get(made.result, "the result of conclude")
    result = conclusion.read(manifest, blob)
    if result.stop or result.state is None:
        raise AuditFailure(f"{_name(plan)} follows a round that was the last")
    return state.following(settings, plan.round, result.state)


def _read(
    records: Records, before: int, digest: Digest, opened: Logged[Opening], objects: Objects
) -> Signed[Conclusion]:
    """The conclusion of `opened`, signed by a worker that was enrolled before index `before`."""
    opening = opened.document
    raw = objects.get(digest, "the conclusion")
    envelope = dsse.Envelope.parse(raw)
    if envelope.payload_type != Conclusion.TYPE:
        raise Malformed(f"the conclusion of {opening.campaign} is {envelope.payload_type[:80]}")
    claimed = decode(Conclusion, envelope.payload)
    verified = signed.verify(Conclusion, raw, {records.key(claimed.worker, before)})
    records.require_member(claimed.worker, opened.index)
    plan = records.plan(opening.plan).document
    _require_matches(verified.document, opening, plan)
    vote = records.voted(plan)
    if verified.document.image not in vote.images:
        raise AuditFailure(f"{opening.campaign} was concluded on an image that was not voted")
    if verified.document.level not in LEVELS:
        raise AuditFailure(
            f"{opening.campaign} was concluded at sandbox level {claimed.level[:20]}"
        )
    return verified


def _require_matches(made: Conclusion, opening: Opening, plan: Plan) -> None:
    pairs = (
        ("territory", made.territory, opening.territory),
        ("campaign", made.campaign, opening.campaign),
        ("round", made.round, opening.round),
        ("bundle", made.bundle, plan.bundle),
        ("plan", made.plan, opening.plan),
        ("aggregate", made.aggregate, opening.aggregate),
    )
    for name, said, expected in pairs:
        if said != expected:
            raise AuditFailure(f"the conclusion of {opening.campaign} is about another {name}")


def _name(plan: Plan) -> str:
    return f"round {plan.round} of {plan.campaign}"
