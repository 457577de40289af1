"""Who takes part in a round, and whether a closed round may be opened: pure decisions.

Inputs are counts of live consents per worker and what the college voted; outputs are the
chosen workers, who is left out and why, and the one obstacle that a person can act on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.domain.reasons import Reason, sentence
from trust.documents.rules import PrivacyUnit, Protection, ReleaseRules
from trust.ids import Digest, WorkerId

# Silent for longer than three heartbeats of 30 s: its lease would only run out.
LOST_AFTER = timedelta(seconds=90)
# Levels that may see capsules, best first (the sandbox's self-test advertises them).
CONTRIBUTING_LEVELS = frozenset({"L3", "L2"})
# A round planned later than this before the authorisation ends could not be worked through.
LEAST_ROUND = timedelta(seconds=30)


@dataclass(frozen=True)
class WorkerFacts:
    """What the scheduler knows of one worker now; `capsules` are its live consents."""

    worker: WorkerId
    operator: str
    capsules: int
    last_seen: datetime | None
    level: str
    image: Digest | None
    libraries: tuple[str, ...]
    contributes: bool
    draining: bool
    banned: bool


@dataclass(frozen=True)
class Needs:
    """What a round asks for: the voted rules, images, libraries, quorum and deadline."""

    rules: tuple[ReleaseRules, ...]
    images: tuple[Digest, ...]
    libraries: tuple[str, ...]
    quorum: int
    deadline: timedelta
    not_after: datetime

    @property
    def minimum_workers(self) -> int:
        """Partials that every output needs."""
        return max([1, self.quorum, *(rule.minimum_workers for rule in self.rules)])

    @property
    def minimum_operators(self) -> int:
        """Distinct operators behind them."""
        return max([1, *(rule.minimum_operators for rule in self.rules)])

    @property
    def minimum_capsules(self) -> int:
        """Live consents without which a worker's own partial could not leave it.

        Under `clear` the partial is itself a release, so the whole minimum holds on one worker;
        where the unit is a person inside a capsule only the worker can count the persons.
        """
        least = 1
        for rule in self.rules:
            if rule.protection is not Protection.CLEAR:
                continue
            least = max(least, rule.minimum_capsules)
            if rule.unit is PrivacyUnit.OWNER:
                least = max(least, rule.minimum_contributors)
        return least


@dataclass(frozen=True)
class LeftOut:
    """A worker that does not take part."""

    worker: WorkerId
    reason: Reason
    why: str


@dataclass(frozen=True)
class RoundPlan:
    """Who contributes. `reason` is NONE when the round can start, else the obstacle."""

    chosen: tuple[WorkerFacts, ...]
    left_out: tuple[LeftOut, ...]
    deadline: datetime
    reason: Reason
    why: str


def plan_round(workers: Sequence[WorkerFacts], needs: Needs, now: datetime) -> RoundPlan:
    """The round that could start at `now`."""
    chosen: list[WorkerFacts] = []
    left_out: list[LeftOut] = []
    for facts in sorted(workers, key=lambda item: item.worker):
        reason, why = _eligibility(facts, needs, now)
        if reason is Reason.NONE:
            chosen.append(facts)
        else:
            left_out.append(LeftOut(facts.worker, reason, why))
    deadline = min(now + needs.deadline, needs.not_after)
    reason, why = _obstacle(chosen, left_out, needs, workers)
    if reason is Reason.NONE and deadline - now < LEAST_ROUND:
        reason, why = Reason.AUTHORISATION_EXPIRED, sentence(Reason.AUTHORISATION_EXPIRED)
    return RoundPlan(tuple(chosen), tuple(left_out), deadline, reason, why)


def _eligibility(facts: WorkerFacts, needs: Needs, now: datetime) -> tuple[Reason, str]:
    def no(reason: Reason, **details: object) -> tuple[Reason, str]:
        return reason, sentence(reason, **details)

    if facts.banned:
        return no(Reason.WORKER_BANNED)
    if not facts.contributes:
        return no(Reason.WORKER_DOES_NOT_CONTRIBUTE)
    if facts.last_seen is None or now - facts.last_seen > LOST_AFTER:
        silent = 0 if facts.last_seen is None else round((now - facts.last_seen).total_seconds())
        return no(Reason.WORKER_LOST, seconds=silent)
    if facts.draining:
        return no(Reason.WORKER_DRAINING)
    if facts.level not in CONTRIBUTING_LEVELS:
        return no(Reason.SANDBOX_LEVEL, level=facts.level)
    if facts.image not in needs.images:
        return no(Reason.IMAGE_NOT_PERMITTED)
    missing = [name for name in needs.libraries if name not in facts.libraries]
    if missing:
        return no(Reason.LIBRARY_MISSING, library=missing[0])
    if facts.capsules < needs.minimum_capsules:
        return no(Reason.BELOW_MINIMUM, have=facts.capsules, need=needs.minimum_capsules)
    return Reason.NONE, ""


def _obstacle(
    chosen: Sequence[WorkerFacts],
    left_out: Sequence[LeftOut],
    needs: Needs,
    workers: Sequence[WorkerFacts],
) -> tuple[Reason, str]:
    if len(chosen) < needs.minimum_workers:
        below = [item for item in left_out if item.reason is Reason.BELOW_MINIMUM]
        if below and len(chosen) + len(below) >= needs.minimum_workers:
            short = {item.worker for item in below}
            gaps = sorted(
                needs.minimum_capsules - facts.capsules
                for facts in workers
                if facts.worker in short
            )
            missing = sum(gaps[: needs.minimum_workers - len(chosen)])
            reason = Reason.WAITING_FOR_CONSENTS
            return reason, sentence(reason, missing=missing)
        reason = Reason.WAITING_FOR_WORKERS
        why = left_out[0].why if left_out else "no worker is enrolled"
        return reason, sentence(reason, have=len(chosen), need=needs.minimum_workers, why=why)
    operators = len({facts.operator for facts in chosen})
    if operators < needs.minimum_operators:
        reason = Reason.WAITING_FOR_OPERATORS
        return reason, sentence(reason, have=operators, need=needs.minimum_operators)
    return Reason.NONE, ""


@dataclass(frozen=True)
class PartialFacts:
    """One accepted partial, as far as the opening decision needs it."""

    worker: WorkerId
    operator: str
    capsules: int
    contributors: int


def may_open(
    partials: Sequence[PartialFacts], needs: Needs, *, all_ended: bool, past_deadline: bool
) -> tuple[bool, Reason, str]:
    """(whether the round closes now, NONE or why it aborts, the sentence).

    A round closes when every unit ended or its deadline passed; it then opens if the quorum and
    every minimum of the rules hold, and aborts otherwise.
    """
    have = len(partials)
    if not all_ended and not past_deadline:
        reason = Reason.WAITING_FOR_PARTIALS
        return False, reason, sentence(reason, have=have, need=needs.minimum_workers)
    if have < needs.minimum_workers:
        reason = Reason.QUORUM_MISSED
        return True, reason, sentence(reason, have=have, need=needs.minimum_workers)
    operators = len({partial.operator for partial in partials})
    if operators < needs.minimum_operators:
        return (
            True,
            Reason.MINIMUM_MISSED,
            sentence(
                Reason.MINIMUM_MISSED,
                have=operators,
                what="operators",
                need=needs.minimum_operators,
            ),
        )
    total = sum(partial.contributors for partial in partials)
    for rule in needs.rules:
        if total < rule.minimum_contributors:
            return (
                True,
                Reason.MINIMUM_MISSED,
                sentence(
                    Reason.MINIMUM_MISSED,
                    have=total,
                    what="contributors",
                    need=rule.minimum_contributors,
                ),
            )
    return True, Reason.NONE, ""


def round_down(count: int) -> int:
    """Counts are published rounded down to tens."""
    return count - count % 10
