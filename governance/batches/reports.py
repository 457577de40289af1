"""What every opener asks of one report and of the crowd behind a batch: pure decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from governance.batches.errors import (
    AboveMaximum,
    AboveRegistry,
    BelowMinimum,
    ParametersMixed,
    PartialForged,
    PartialMismatch,
    ReportDropped,
    TooFewOperators,
    WorkerUnknown,
)
from governance.batches.history import History
from protection.batch import BatchMember
from protection.cohort import Standing, check_batch
from protection.errors import CohortTooSmall, RingOverflow, SpreadTooSmall
from trust import dsse, schema
from trust.documents import signed
from trust.documents.aggregation import Dropped
from trust.documents.campaign import Plan
from trust.documents.governance import Authorisation
from trust.documents.membership import Enrolled
from trust.documents.reporting import Partial
from trust.documents.root import Duty
from trust.documents.rules import PrivacyUnit, ReleaseRules
from trust.documents.signed import Signed
from trust.errors import TrustError
from trust.ids import WorkerId
from trust.log.entry import Kind
from trust.problem import Problem
from trust.root import TrustedRoot
from wire.aggregation import LoggedDocument

# Sandbox levels at which capsules may be opened.
LEVELS = frozenset({"L2", "L3"})


@dataclass(frozen=True)
class Terms:
    """What a round's reports are judged by."""

    plan: Signed[Plan]
    authorisation: Authorisation
    enrolled: Mapping[WorkerId, Enrolled]
    live: Callable[[WorkerId], int]  # consents for this bundle that the registry knows now


@dataclass(frozen=True)
class Counted:
    """A report that is in, and under whose administration its worker runs."""

    member: BatchMember
    operator: str


@dataclass(frozen=True)
class Left:
    """A report that was left out; the partial is None where not even that could be read."""

    partial: Partial | None
    refusal: Problem


def read_partial(terms: Terms, raw: bytes) -> Partial:
    """The partial in `raw`, signed by a worker whose enrolment is logged.

    Raises PartialForged or WorkerUnknown.
    """
    try:
        claimed = schema.decode(Partial, dsse.Envelope.parse(raw).payload).worker
        enrolled = terms.enrolled.get(claimed)
        if enrolled is None:
            raise WorkerUnknown("no logged enrolment stands behind its worker")
        return signed.verify(Partial, raw, {enrolled.key}).document
    except TrustError as error:
        raise PartialForged(f"the partial does not verify: {error.sentence}") from error


def require_round(terms: Terms, partial: Partial) -> None:
    """Raise ParametersMixed or PartialMismatch for a partial of another round or making."""
    plan, vote = terms.plan.document, terms.authorisation
    if partial.parameters != plan.parameters:
        raise ParametersMixed("it was made with other parameters than the plan's")
    pairs: tuple[tuple[str, object, object], ...] = (
        ("territory", partial.territory, plan.territory),
        ("campaign", partial.campaign, plan.campaign),
        ("round", partial.round, plan.round),
        ("bundle", partial.bundle, plan.bundle),
        ("plan", partial.plan, terms.plan.digest),
        ("protection", {partial.protection}, {rule.protection for rule in vote.rules}),
    )
    for name, said, expected in pairs:
        if said != expected:
            raise PartialMismatch(f"its {name} is not the plan's")
    if partial.image not in vote.images or partial.level not in LEVELS:
        raise PartialMismatch("it was made on an image or at a level that was not voted")


def require_counts(terms: Terms, partial: Partial) -> None:
    """Raise PartialMismatch or AboveRegistry for counts that nobody consented to."""
    rules = terms.authorisation.rules
    by_owner = any(rule.unit is PrivacyUnit.OWNER for rule in rules)
    if partial.capsules < 1 or partial.contributors < 0:
        raise PartialMismatch("it counts less than one capsule")
    claimed = max(partial.capsules, partial.contributors if by_owner else 0)
    known = terms.live(partial.worker)
    if claimed > known:
        raise AboveRegistry(
            f"it claims {claimed} capsules, the registry knows {known} live consents there",
            remedy="a consent was withdrawn meanwhile, or the worker counts what it has not",
        )


def require_large_enough(rules: tuple[ReleaseRules, ...], reports: Iterable[Counted]) -> None:
    """Raise BelowMinimum, AboveMaximum or TooFewOperators unless the batch is as large as voted.

    Contributors are also counted without each operator in turn: nobody who runs machines may
    make up the crowd that others hide in.
    """
    standings = [
        Standing(
            worker=item.member.worker,
            operator=item.operator,
            contributors=item.member.contributors,
            capsules=item.member.capsules,
        )
        for item in reports
    ]
    try:
        check_batch(rules, standings)
    except SpreadTooSmall as error:
        raise TooFewOperators(error.sentence, remedy=error.remedy) from error
    # These refusals are signed and logged: published numbers of people are rounded, so they name
    # none. The scheduler tells its operator more, of reports that it holds anyway.
    except CohortTooSmall as error:
        raise BelowMinimum(
            "fewer contributors or capsules than voted stand behind the batch, or behind it "
            "without those of one operator",
            remedy="wait for more consents, on workers of several operators",
        ) from error
    except RingOverflow as error:
        raise AboveMaximum(
            "more contributors stand behind the batch than its rules were admitted for",
            remedy="split the cohort over several campaigns, or vote a larger maximum",
        ) from error


def enrolled_in(
    exhibits: Iterable[LoggedDocument], root: TrustedRoot, history: History
) -> Iterator[tuple[WorkerId, Enrolled]]:
    """The workers whose exhibited enrolments are signed and logged; others are left out."""
    for exhibit in exhibits:
        try:
            document = root.verify(Enrolled, exhibit.envelope, Duty.ORDERS).document
            history.require(Kind.ENROLMENT, exhibit.envelope, exhibit.proof)
        except Problem:
            continue  # its reports are dropped, by name, as those of an unknown worker
        if (
            document.territory == root.document.territory
            and document.key.worker_id == document.worker
        ):
            yield document.worker, document


def dropped_of(left: Iterable[Left]) -> tuple[Dropped, ...]:
    """What an accept list says of the reports that were left: those that name themselves."""
    named = (
        Dropped(item.partial.report, _code_of(item.refusal))
        for item in left
        if item.partial is not None
    )
    return tuple(sorted(named, key=lambda item: (item.report, item.code)))


def _code_of(refusal: Problem) -> str:
    known = isinstance(refusal, ReportDropped) or refusal.code == "seed-unopenable"
    return refusal.code if known else ReportDropped.code
