"""Who takes part in a round, and whether a closed round may be opened: pure decisions.

Inputs are counts of live consents per worker and what the college voted; outputs are the
chosen workers, who is left out and why, and the one obstacle that a person can act on.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from scheduler.domain.reasons import Reason, sentence
from trust.documents.rules import PrivacyUnit, Protection, ReleaseRules
from trust.ids import Digest, WorkerId
from trust.policy.aggregation import WITH_HELPER

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
    image: Digest | None  # of the runtime that the bundle's libraries choose
    libraries: tuple[str, ...]
    contributes: bool
    draining: bool
    banned: bool
    drained: bool = False


@dataclass(frozen=True)
class Needs:
    """What a round asks for: the voted rules, images, libraries, quorum and deadline."""

    rules: tuple[ReleaseRules, ...]
    images: tuple[Digest, ...]
    libraries: tuple[str, ...]
    quorum: int
    deadline: timedelta
    not_after: datetime
    share: Fraction = Fraction(1)  # of the ready workers that one round asks
    spare: int = 0  # workers asked beyond it, because some never answer
    # When the keys that partials are sealed to are destroyed: a later round could not be opened.
    keys_end: datetime | None = None

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
    target: int = 0  # so many partials close the round before its deadline


def plan_round(
    workers: Sequence[WorkerFacts], needs: Needs, now: datetime, seed: bytes
) -> RoundPlan:
    """The round that could start at `now`, whatever the order of `workers`.

    Where a round asks a share of the workers, `seed` decides which of the ready ones: the grid
    draws the cohort, never the algorithm. The same seed and the same ready workers give the same
    draw. Who was ready at `now` is written down nowhere, though: no audit draws again, and a
    scheduler can choose whom it asks (docs/threat-model.md, "Federated rounds").
    """
    chosen: list[WorkerFacts] = []
    left_out: list[LeftOut] = []
    for facts in sorted(workers, key=lambda item: item.worker):
        reason, why = _eligibility(facts, needs, now)
        if reason is Reason.NONE:
            chosen.append(facts)
        else:
            left_out.append(LeftOut(facts.worker, reason, why))
    keys_end = needs.keys_end or needs.not_after
    deadline = min(now + needs.deadline, needs.not_after, keys_end)
    reason, why = _obstacle(chosen, left_out, needs, workers)
    target = len(chosen)
    if reason is Reason.NONE:
        chosen, target, spared = _drawn(chosen, needs, seed)
        left_out += spared
    if reason is Reason.NONE and deadline - now < LEAST_ROUND:
        voted = needs.not_after <= keys_end
        reason = Reason.AUTHORISATION_EXPIRED if voted else Reason.KEYS_EXPIRED
        why = sentence(reason)
    return RoundPlan(tuple(chosen), tuple(left_out), deadline, reason, why, target)


def _drawn(
    ready: list[WorkerFacts], needs: Needs, seed: bytes
) -> tuple[list[WorkerFacts], int, list[LeftOut]]:
    """(who is asked, how many answers are enough, who is not): by the order of seeded hashes."""
    target = max(needs.minimum_workers, math.ceil(needs.share * len(ready)))
    asked = min(len(ready), target + needs.spare)

    def lot(facts: WorkerFacts) -> bytes:
        return hashlib.sha256(seed + facts.worker.encode()).digest()

    order = sorted(ready, key=lot)
    chosen = order[:asked]
    # Minima count distinct operators too: the next in the order that brings a new one comes in.
    for facts in order[asked:]:
        operators = {one.operator for one in chosen}
        if len(operators) >= needs.minimum_operators:
            break
        if facts.operator not in operators:
            chosen.append(facts)
    spared = [
        LeftOut(facts.worker, Reason.NOT_DRAWN, sentence(Reason.NOT_DRAWN))
        for facts in ready
        if facts not in chosen
    ]
    enough = target if needs.spare else len(chosen)
    return sorted(chosen, key=lambda facts: facts.worker), min(enough, len(chosen)), spared


def silence(last_seen: datetime | None, now: datetime) -> tuple[Reason, str] | None:
    """Code and sentence of a worker that is lost, with for how long; None for one that is heard."""
    if last_seen is None:
        return Reason.WORKER_NEVER_SEEN, sentence(Reason.WORKER_NEVER_SEEN)
    silent = now - last_seen
    if silent <= LOST_AFTER:
        return None
    return Reason.WORKER_LOST, sentence(Reason.WORKER_LOST, seconds=round(silent.total_seconds()))


def _eligibility(facts: WorkerFacts, needs: Needs, now: datetime) -> tuple[Reason, str]:
    def no(reason: Reason, **details: object) -> tuple[Reason, str]:
        return reason, sentence(reason, **details)

    if facts.banned:
        return no(Reason.WORKER_BANNED)
    if not facts.contributes:
        return no(Reason.WORKER_DOES_NOT_CONTRIBUTE)
    if (gone := silence(facts.last_seen, now)) is not None:
        return gone
    if facts.draining or facts.drained:
        return no(Reason.WORKER_DRAINING if facts.draining else Reason.WORKER_DRAINED)
    if facts.level not in CONTRIBUTING_LEVELS:
        return no(Reason.SANDBOX_LEVEL, level=facts.level)
    missing = [name for name in needs.libraries if name not in facts.libraries]
    if missing:
        return no(Reason.LIBRARY_MISSING, library=missing[0])
    if facts.image not in needs.images:
        return no(Reason.IMAGE_NOT_PERMITTED)
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
    partials: Sequence[PartialFacts],
    needs: Needs,
    *,
    target: int,
    all_ended: bool,
    past_deadline: bool,
) -> tuple[bool, Reason, str]:
    """(whether the round closes now, NONE or why it aborts, the sentence).

    A round closes when every unit ended or its deadline passed; it then opens if the quorum and
    every minimum of the rules hold, and aborts otherwise. It closes early when `target` partials
    came and the minima hold already: the spare workers are not waited for.
    """
    have = len(partials)
    reason, why = _unmet(partials, needs)
    if not all_ended and not past_deadline and (have < target or reason is not Reason.NONE):
        reason = Reason.WAITING_FOR_PARTIALS
        need = max(target, needs.minimum_workers, have + 1)
        return False, reason, sentence(reason, have=have, need=need)
    return True, reason, why


def _unmet(partials: Sequence[PartialFacts], needs: Needs) -> tuple[Reason, str]:
    """The first quorum or minimum that these partials miss; NONE where all hold."""
    have = len(partials)
    if have < needs.minimum_workers:
        reason = Reason.QUORUM_MISSED
        return reason, sentence(reason, have=have, need=needs.minimum_workers)
    operators = len({partial.operator for partial in partials})
    if operators < needs.minimum_operators:
        reason = Reason.MINIMUM_MISSED
        need = needs.minimum_operators
        return reason, sentence(reason, have=operators, what="operators", need=need)
    total = sum(partial.contributors for partial in partials)
    by_operator: Counter[str] = Counter()
    for partial in partials:
        by_operator[partial.operator] += partial.contributors
    # The helper refuses a batch whose crowd one operator could have made up, and its refusal ends
    # the campaign (protection.cohort.check_batch): such a round waits for more partials instead.
    others = total - max(by_operator.values(), default=0)
    for rule in needs.rules:
        crowds = [(total, "contributors")]
        if rule.protection in WITH_HELPER:
            crowds.append((others, "contributors without those of one operator"))
        for have, what in crowds:
            if have < rule.minimum_contributors:
                reason, need = Reason.MINIMUM_MISSED, rule.minimum_contributors
                return reason, sentence(reason, have=have, what=what, need=need)
    return Reason.NONE, ""


def round_down(count: int) -> int:
    """Counts are published rounded down to tens."""
    return count - count % 10
