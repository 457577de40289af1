"""Partials, for accredited auditors: signed by enrolled workers, and their sum is the aggregate."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from audit.checks.commitments import Opened
from audit.checks.helpers import protection_of
from audit.checks.objects import Objects
from audit.checks.orders import Ordered, given
from audit.errors import AuditFailure
from audit.records import Logged, Records
from jobs import aggregate
from jobs.archive import Bundle
from protection import accounting
from protection.batch import Batch, BatchLine
from protection.cohort import Cohort, Standing, check_batch, check_cohort, check_spread
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
    capsules_rounded: int  # as the batch says

    @property
    def protection(self) -> Protection:
        """The voted protection of its partials."""
        return protection_of(self.vote)


def read(
    records: Records,
    objects: Objects,
    batches: Mapping[Digest, Batch],
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
        for member in batches[opening.digest].lines:
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
        capsules = batches[opening.digest].capsules_rounded
        rounds.append(Round(opening, vote, maximum, tuple(partials), capsules))
    count = sum(len(item.partials) for item in rounds)
    return tuple(rounds), f"{count} partials signed by enrolled workers"


def committed(
    records: Records,
    rounds: Sequence[Round],
    batches: Mapping[Digest, Batch],
    opened: Sequence[Opened],
) -> str:
    """Every opened partial and every released conclusion is in a logged commitment."""
    known = {digest for item in opened if item.kind == KIND for digest in item.envelopes}
    for item in rounds:
        for member in batches[item.opening.digest].lines:
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
    """Minima hold on distinct operators: for each partial in the clear, else for the batch.

    For a batch they hold without any single operator's contributors too.
    """
    for item in rounds:
        rules = item.vote.rules
        standings = [
            Standing(
                worker=partial.worker,
                operator=records.enrolment(partial.worker, item.opening.index).operator,
                contributors=partial.contributors,
                capsules=partial.capsules,
            )
            for partial in item.partials
        ]
        if item.protection is Protection.CLEAR:
            for partial in item.partials:
                check_cohort(rules, Cohort(partial.contributors, partial.capsules))
            operators = {standing.operator for standing in standings}
            check_spread(rules, workers=len(standings), operators=len(operators))
        else:
            check_batch(rules, standings)
        for what, said, total in (
            (
                "contributors",
                item.opening.document.contributors_rounded,
                sum(partial.contributors for partial in item.partials),
            ),
            ("capsules", item.capsules_rounded, sum(p.capsules for p in item.partials)),
        ):
            if said != total - total % 10:
                raise AuditFailure(
                    f"the opening of {item.opening.document.campaign} says {said} {what}, its "
                    f"partials say {total - total % 10}"
                )
    return "cohorts as large as voted"


def noise(rounds: Sequence[Round]) -> str:
    """Stated noise and price are those that the voted rules demand.

    Only a partial in the clear has noise of its own: the others get it once per institution.
    """
    for item in rounds:
        rules = item.vote.rules
        variances = (
            accounting.variances_of(rules, item.rounds)
            if item.protection is Protection.CLEAR
            else {rule.output: "0" for rule in rules}
        )
        rho = accounting.rho_of(rules) / item.rounds
        for partial in item.partials:
            if set(partial.variances) != set(variances):
                raise AuditFailure(f"{partial.worker} states noise for other outputs")
            for output, variance in variances.items():
                if partial.variances[output] != variance:
                    raise AuditFailure(
                        f"{partial.worker} states a noise variance of "
                        f"{partial.variances[output][:40]} for {output}, the rules demand "
                        f"{variance}"
                    )
            if partial.rho != accounting.to_text(rho):
                raise AuditFailure(f"{partial.worker} charged rho {partial.rho[:40]}")
    return "noise and price as voted"


def sums(rounds: Sequence[Round], objects: Objects) -> str:
    """In the clear the aggregate is, byte for byte, the exact sum of the opened partials."""
    clear = [item for item in rounds if item.protection is Protection.CLEAR]
    for item in clear:
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
    # The other partials' values are nobody's but the leader's: see share.sum.
    hidden = len(rounds) - len(clear)
    return f"{len(clear)} aggregates are the sum of their partials, {hidden} are made of shares"


def _partial(records: Records, objects: Objects, member: BatchLine, before: int) -> Partial:
    raw = objects.get(member.partial, "the partial")
    worker: WorkerId = schema.decode(Partial, dsse.Envelope.parse(raw).payload).worker
    return signed.verify(Partial, raw, {records.key(worker, before)}).document


def _require_matches(
    partial: Partial, opening: Opening, member: BatchLine, vote: Authorisation
) -> None:
    pairs: tuple[tuple[str, object, object], ...] = (
        ("report id", partial.report, member.report),
        ("list of values or shares", partial.values, member.share),
        ("sealed seed", partial.sealed, member.seed),
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
