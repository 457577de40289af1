"""Partials, for accredited auditors: signed by enrolled workers, and their sum is the aggregate."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from audit.checks.commitments import Opened
from audit.checks.objects import Objects
from audit.checks.openings import Member
from audit.checks.orders import Ordered, given
from audit.errors import AuditFailure
from audit.records import Logged, Records
from jobs import aggregate
from jobs.archive import Bundle
from protection import accounting
from protection.cohort import Cohort, check_cohort, check_spread
from trust import dsse, schema
from trust.documents import signed
from trust.documents.campaign import Opening, UnitKind
from trust.documents.governance import Authorisation
from trust.documents.reporting import Partial
from trust.documents.rules import Protection
from trust.ids import CampaignId, Digest, WorkerId

KIND = "partials"
LEVELS = frozenset({"L2", "L3"})  # the sandbox levels at which capsules may be opened


@dataclass(frozen=True)
class Round:
    """An opened round with its verified partials."""

    opening: Logged[Opening]
    vote: Authorisation
    rounds: int  # over which the campaign's rho is split
    partials: tuple[Partial, ...]


def read(
    records: Records,
    objects: Objects,
    batches: Mapping[Digest, Sequence[Member]],
    bundles: Mapping[Digest, Bundle],
    covered: Collection[CampaignId],
) -> tuple[tuple[Round, ...], str]:
    """Every opened partial under an enrolled worker's key, about this very round and vote."""
    rounds = []
    for opening in records.openings:
        if opening.document.campaign not in covered:
            continue
        plan = records.plan(opening.document.plan).document
        vote = records.voted(plan)
        partials = []
        for member in batches[opening.digest]:
            partial = _partial(records, objects, member, opening.index)
            # What it reported before it was excluded may still be opened.
            records.require_member(partial.worker, records.plan(opening.document.plan).index)
            _require_matches(partial, opening.document, member, vote)
            partials.append(partial)
        for what, names in (
            ("worker", {partial.worker for partial in partials}),
            ("unit", {partial.unit for partial in partials}),
        ):
            if len(names) != len(partials):
                raise AuditFailure(f"a {what} stands twice in the batch of {plan.campaign}")
        maximum = bundles[plan.bundle].manifest.rounds.maximum
        rounds.append(Round(opening, vote, maximum, tuple(partials)))
    count = sum(len(item.partials) for item in rounds)
    return tuple(rounds), f"{count} partials signed by enrolled workers"


def committed(
    records: Records,
    rounds: Sequence[Round],
    batches: Mapping[Digest, Sequence[Member]],
    opened: Sequence[Opened],
) -> str:
    """Every opened partial and every released conclusion is in a logged commitment."""
    known = {digest for item in opened if item.kind == KIND for digest in item.envelopes}
    for item in rounds:
        for member in batches[item.opening.digest]:
            if member.partial not in known:
                raise AuditFailure(f"partial {member.report} is in no logged commitment")
    campaigns = {item.opening.document.campaign for item in rounds}
    for logged in records.releases:
        if logged.document.campaign in campaigns and logged.document.conclusion not in known:
            raise AuditFailure(f"the conclusion of {logged.document.campaign} is not committed")
    return f"{len(known)} partials and conclusions committed"


def ordered(rounds: Sequence[Round], orders: Ordered) -> str:
    """Every opened partial answers an order that its worker was given."""
    known = given(orders, UnitKind.CONTRIBUTE)
    for item in rounds:
        for partial in item.partials:
            if (partial.unit, partial.worker, partial.plan) not in known:
                raise AuditFailure(f"{partial.worker} contributed without an order for it")
    return "every partial answers an order"


def cohorts(rounds: Sequence[Round], records: Records) -> str:
    """Minima hold for each partial alone and for the batch, on distinct operators."""
    for item in rounds:
        rules = item.vote.rules
        for partial in item.partials:
            if partial.protection is Protection.CLEAR:
                check_cohort(rules, Cohort(partial.contributors, partial.capsules))
        operators = {
            records.enrolment(partial.worker, item.opening.index).operator
            for partial in item.partials
        }
        check_spread(rules, workers=len(item.partials), operators=len(operators))
        total = sum(partial.contributors for partial in item.partials)
        said = item.opening.document.contributors_rounded
        if said != total - total % 10:
            raise AuditFailure(
                f"the opening of {item.opening.document.campaign} says {said} contributors, its "
                f"partials say {total - total % 10}"
            )
    return "cohorts as large as voted"


def noise(rounds: Sequence[Round]) -> str:
    """Stated noise and price are those that the voted rules demand."""
    for item in rounds:
        rules = item.vote.rules
        variances = {rule.output: accounting.noise_of(rule, item.rounds).variance for rule in rules}
        rho = accounting.rho_of(rules) / item.rounds
        for partial in item.partials:
            if set(partial.variances) != set(variances):
                raise AuditFailure(f"{partial.worker} states noise for other outputs")
            for output, variance in variances.items():
                if partial.variances[output] != accounting.to_text(variance):
                    raise AuditFailure(
                        f"{partial.worker} states a noise variance of "
                        f"{partial.variances[output][:40]} for {output}, the rules demand "
                        f"{accounting.to_text(variance)}"
                    )
            if partial.rho != accounting.to_text(rho):
                raise AuditFailure(f"{partial.worker} charged rho {partial.rho[:40]}")
    return "noise and price as voted"


def sums(rounds: Sequence[Round], objects: Objects) -> str:
    """The aggregate is, byte for byte, the exact sum of the opened partials."""
    for item in rounds:
        rules = item.vote.rules
        parts = []
        for partial in item.partials:
            blob = objects.get(partial.values, "the values of a partial")
            values = aggregate.decode_partial(rules, blob)
            parts.append(aggregate.Part(values, partial.variances))
        expected = Digest.of(aggregate.combine(rules, parts))
        opening = item.opening.document
        if opening.aggregate != expected:
            raise AuditFailure(
                f"the aggregate of {opening.campaign} is not the sum of its partials"
            )
    return "every aggregate is the sum of its partials"


def _partial(records: Records, objects: Objects, member: Member, before: int) -> Partial:
    raw = objects.get(member.partial, "the partial")
    worker: WorkerId = schema.decode(Partial, dsse.Envelope.parse(raw).payload).worker
    return signed.verify(Partial, raw, {records.key(worker, before)}).document


def _require_matches(
    partial: Partial, opening: Opening, member: Member, vote: Authorisation
) -> None:
    pairs: tuple[tuple[str, object, object], ...] = (
        ("report id", partial.report, member.report),
        ("territory", partial.territory, opening.territory),
        ("campaign", partial.campaign, opening.campaign),
        ("round", partial.round, opening.round),
        ("bundle", partial.bundle, vote.bundle),
        ("plan", partial.plan, opening.plan),
        ("parameters", partial.parameters, opening.parameters),
    )
    for name, said, expected in pairs:
        if said != expected:
            raise AuditFailure(f"a partial of {opening.campaign} is about another {name}")
    if {rule.protection for rule in vote.rules} != {partial.protection}:
        raise AuditFailure(f"{partial.worker} protected its partial in another way than voted")
    if partial.image not in vote.images:
        raise AuditFailure(f"{partial.worker} ran on an image that was not voted")
    if partial.level not in LEVELS:
        raise AuditFailure(f"{partial.worker} contributed at sandbox level {partial.level[:20]}")
