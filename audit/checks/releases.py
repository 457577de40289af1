"""Releases: of opened rounds, at the voted price, with the report that they name."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from audit.checks.conclusions import followed_by, of_release
from audit.checks.objects import Objects
from audit.checks.orders import Ordered, given
from audit.checks.wording import require_voted_words
from audit.errors import AuditFailure
from audit.records import Records
from jobs import report
from jobs.archive import Bundle
from protection import accounting
from trust.documents.campaign import UnitKind
from trust.ids import CampaignId, Digest


def provenance(records: Records, bundles: Mapping[Digest, Bundle]) -> str:
    """One release per campaign, of all its openings, after the last of them."""
    seen: set[CampaignId] = set()
    for logged in records.releases:
        release = logged.document
        if release.campaign in seen:
            raise AuditFailure(f"{release.campaign} was released twice")
        seen.add(release.campaign)
        openings = records.openings_of(release.campaign)
        if not openings or tuple(o.digest for o in openings) != release.openings:
            raise AuditFailure(f"{release.campaign} was released over other openings than its own")
        last = openings[-1]
        plan = records.plan(last.document.plan).document
        if last.index > logged.index or release.released_at < last.document.opened_at:
            raise AuditFailure(f"{release.campaign} was released before it was opened")
        if (release.bundle, release.authorisation) != (plan.bundle, plan.authorisation):
            raise AuditFailure(f"the release of {release.campaign} names another bundle or vote")
        # Rounded down to tens once per round here, once over all rounds there.
        least = sum(o.document.contributors_rounded for o in openings)
        most = least + 9 * len(openings)
        if release.contributors_rounded % 10 or not least <= release.contributors_rounded <= most:
            raise AuditFailure(f"the release of {release.campaign} counts other contributors")
        voted = bundles[release.bundle].manifest.rounds.maximum
        rho = accounting.spent(records.voted(plan).rules, len(openings), voted)
        if release.rho != rho:
            raise AuditFailure(
                f"the release of {release.campaign} says rho {release.rho[:40]}, its rounds cost "
                f"{rho}"
            )
    return f"{len(records.releases)} releases of opened campaigns at the voted price"


def reports(records: Records, bundles: dict[Digest, Bundle], objects: Objects) -> str:
    """Each report is here, in the voted words; with its conclusion, what that renders to."""
    rendered = 0
    for logged in records.releases:
        release = logged.document
        found = objects.get(release.report, "the report")
        require_voted_words(bundles[release.bundle].manifest, found)
        if release.conclusion not in objects:
            continue
        conclusion = of_release(records, logged, objects).document
        manifest = bundles[release.bundle].manifest
        result = objects.get(conclusion.result, "the result of conclude")
        if report.render(manifest, result) != found:
            raise AuditFailure(
                f"the report of {release.campaign} is not what its conclusion's numbers render to"
            )
        rendered += 1
    return f"{len(records.releases)} reports, {rendered} rendered again from their conclusions"


def conclusions(
    records: Records, objects: Objects, covered: Collection[CampaignId], orders: Ordered
) -> str:
    """Every conclusion is here, signed by a worker that was ordered to make it.

    Those of the releases, and those whose state a next round started with.
    """
    known = given(orders, UnitKind.CONCLUDE)
    found = [
        of_release(records, logged, objects).document
        for logged in records.releases
        if logged.document.campaign in covered
    ]
    found += [
        followed_by(records, logged, objects).document
        for logged in records.plans
        if logged.document.campaign in covered and logged.document.after is not None
    ]
    for made in found:
        if (made.unit, made.worker, made.plan) not in known:
            raise AuditFailure(f"{made.worker} concluded {made.campaign} without an order for it")
    return f"{len(found)} conclusions signed by enrolled workers"
