"""The release guard: what may leave a capsule, decided outside the algorithm's process.

It takes the fixed-layout frame that came out of the sandbox, or the news that none came, and
answers with whole numbers of steps whose norm is within the voted bound. A frame that breaks
any rule is replaced by the neutral vector and the run goes on: a capsule that fails still
counts and pays, so that failing tells nobody anything. Sums are exact 64-bit integers.

The order is fixed: length, finiteness, quantising, clipping, multiplication by the number of
persons who share the record (see `portions`), sum over capsules, cohort, noise. Clipping comes
after quantising, so the noise that is derived from the bound covers what is really released.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from protection import accounting
from protection.ckks.profile import check_admission, partial_contributors, profile_of
from protection.clip import clip
from protection.cohort import Cohort, check_cohort
from protection.errors import QuantiseRefused, RingOverflow, RuleRefused
from protection.quantise import to_steps
from protection.ring import require_room
from trust.documents.rules import DataClass, Mechanism, Protection, ReleaseRules
from trust.entropy import Entropy

Vectors = dict[str, NDArray[np.int64]]  # output -> whole steps in the rule's shape


class Verdict(enum.StrEnum):
    """What the guard made of one run; it stays on the worker."""

    ACCEPTED = "accepted"
    CLIPPED = "clipped"  # accepted after being scaled down to the bound
    NO_FRAME = "no-frame"  # the algorithm failed, was late or was killed
    WRONG_LENGTH = "wrong-length"
    NOT_FINITE = "not-finite"
    OUT_OF_RANGE = "out-of-range"  # 2^53 steps or more

    @property
    def neutral(self) -> bool:
        """Whether the neutral vector took the run's place."""
        return self not in {Verdict.ACCEPTED, Verdict.CLIPPED}


@dataclass(frozen=True)
class Judged:
    """One run's contribution for one privacy unit, in steps, and what the guard made of it."""

    vectors: Vectors
    verdict: Verdict


@dataclass(frozen=True)
class ProtectedSum:
    """What a worker may send: persist it before sending, and replay exactly these values."""

    values: Vectors
    variances: dict[str, str]  # decimal text: noise variance per cell, in steps squared
    cohort: Cohort
    rho: str  # decimal text: what each privacy unit paid for this round


def frame_bytes(rules: tuple[ReleaseRules, ...]) -> int:
    """The exact length of a frame: 8 bytes per cell of every output, in the rules' order."""
    return sum(8 * math.prod(rule.shape) for rule in rules)


def neutral(rules: tuple[ReleaseRules, ...]) -> Vectors:
    """The contribution of nobody: zeros."""
    return {rule.output: np.zeros(rule.shape, np.int64) for rule in rules}


def judge(rules: tuple[ReleaseRules, ...], frame: bytes | None) -> Judged:
    """The contribution in `frame` (None when the run failed). Never raises for what a frame holds.

    Every output is judged before any is taken: one bad value makes the whole run neutral.
    """
    if frame is None:
        return Judged(neutral(rules), Verdict.NO_FRAME)
    if len(frame) != frame_bytes(rules):
        return Judged(neutral(rules), Verdict.WRONG_LENGTH)
    vectors: Vectors = {}
    clipped = False
    offset = 0
    for rule in rules:
        cells = math.prod(rule.shape)
        values = np.frombuffer(frame, _frame_dtype(rule), cells, offset).reshape(rule.shape)
        offset += 8 * cells
        try:
            steps = to_steps(values, accounting.step_of(rule))
        except QuantiseRefused:
            finite = values.dtype != np.float64 or np.isfinite(values).all()
            verdict = Verdict.OUT_OF_RANGE if finite else Verdict.NOT_FINITE
            return Judged(neutral(rules), verdict)
        inside = clip(steps, rule.norm, accounting.bound_in_steps(rule))
        # What is inside comes back as it is; of large outputs each pass over them is felt.
        clipped = clipped or not (inside is steps or np.array_equal(inside, steps))
        vectors[rule.output] = inside
    return Judged(vectors, Verdict.CLIPPED if clipped else Verdict.ACCEPTED)


class Sum:
    """The exact sum of a worker's contributions to one round, in steps.

    Raises RingOverflow before the cohort passes what the rules were admitted for: the values it
    holds are then still those of the contributions taken so far.
    """

    def __init__(self, rules: tuple[ReleaseRules, ...], *, rounds: int = 1) -> None:
        if not rules:
            raise RuleRefused("no release rule", remedy="write at least one [release.NAME]")
        self._limit = room(rules, rounds=rounds)
        self._values = neutral(rules)
        self._contributors = 0
        self._capsules = 0

    @property
    def cohort(self) -> Cohort:
        """Who stands behind the sum so far."""
        return Cohort(contributors=self._contributors, capsules=self._capsules)

    @property
    def values(self) -> Vectors:
        """The sum so far: raw, for this process only."""
        return {name: vector.copy() for name, vector in self._values.items()}

    def add_capsule(self, runs: tuple[tuple[Judged, int], ...]) -> None:
        """Add one capsule: each run's contribution as often as it has privacy units.

        All of a capsule is added, or nothing of it.
        """
        units = sum(count for _, count in runs)
        if any(count < 0 for _, count in runs) or self._contributors + units > self._limit:
            raise RingOverflow(
                f"{self._contributors + units} contributors, one sum was admitted for "
                f"{self._limit}",
                remedy="split the cohort over more workers, or vote a larger maximum",
            )
        # No overflow from here on: the room was checked for so many contributors at the bound.
        for judged, count in runs:
            for name, vector in judged.vectors.items():
                self._values[name] += vector if count == 1 else vector * np.int64(count)
        self._contributors += units
        self._capsules += 1


def room(rules: tuple[ReleaseRules, ...], *, rounds: int = 1) -> int:
    """For how many privacy units one worker's sum has room, as voted and as it is protected.

    Raises RingOverflow, RuleRefused or ProfileRefused for rules that should not have been admitted.
    """
    most = min(rule.maximum_contributors for rule in rules)
    if any(rule.protection is Protection.ENCRYPTED for rule in rules):
        profile = profile_of(rules)
        # The profile of sums takes every class alike; for products, encrypting asks which it is.
        data_class = DataClass.PUBLIC if profile.multiplications else DataClass.PERSONAL
        check_admission(profile, rules, data_class)
        return min(most, partial_contributors(profile, rules))
    for rule in rules:
        require_room(rule, rounds)
    return most


def protect_clear(
    rules: tuple[ReleaseRules, ...],
    total: Sum,
    entropy: Entropy,
    *,
    data_class: DataClass,
    rounds: int = 1,
) -> ProtectedSum:
    """The sum with the full noise of every rule, after the cohort is known to be large enough.

    `data_class` is the most protected class among the capsules. Raises CohortTooSmall or
    NoiselessRefused. The noise is fresh at every call: a caller that called twice for one
    round would release two noisy copies of one sum, so it persists the first answer before
    sending it and replays that.
    """
    for rule in rules:
        if rule.protection is not Protection.CLEAR:
            raise RuleRefused(
                f"{rule.output}: this worker protects `clear` releases, not {rule.protection}",
                remedy='write protection = "clear"',
            )
    accounting.check_noise(rules, data_class)
    check_cohort(rules, total.cohort)
    values = total.values
    for rule in rules:
        if rule.mechanism is not Mechanism.NONE:
            values[rule.output] += accounting.noise_of(rule, rounds).draw(rule.shape, entropy)
    cost: Fraction = accounting.rho_of(rules) / rounds
    return ProtectedSum(
        values, accounting.variances_of(rules, rounds), total.cohort, accounting.to_text(cost)
    )


def charge(rules: tuple[ReleaseRules, ...], *, rounds: int = 1) -> Fraction:
    """What one round costs each privacy unit, in zCDP: the ledger reserves it before the run."""
    return accounting.rho_of(rules) / rounds


def _frame_dtype(rule: ReleaseRules) -> np.dtype[np.int64] | np.dtype[np.float64]:
    if rule.dtype == "int64":
        return np.dtype("<i8")
    if rule.dtype == "float64":
        return np.dtype("<f8")
    raise RuleRefused(
        f"{rule.output}: dtype {rule.dtype!r}", remedy='write dtype = "int64" or "float64"'
    )
