"""The `shared` protection on a worker: the sum leaves as two halves that say nothing alone.

Noise is for the two aggregators to add, once each, over the whole batch; the minimum cohort is
for them to hold too. What leaves is the leader's share and the helper's seed, sealed to it. The
exact sum and the seed are this process's alone and end with the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from capsule_runtime import guard
from protection import accounting
from protection.cohort import Cohort
from protection.errors import CohortTooSmall, RuleRefused
from protection.layout import Layout
from protection.scope import Binding
from protection.seeds import Seed, helper_key, seal
from protection.shares import split
from trust.documents.rules import DataClass, Protection, ReleaseRules
from trust.entropy import Entropy


@dataclass(frozen=True)
class SharedSum:
    """What a worker may send: persist both halves before sending, and replay exactly these."""

    share: bytes  # the leader's, as protection.layout writes it
    sealed: bytes  # the helper's seed, sealed to its campaign key
    variances: dict[str, str]  # "0" everywhere: no noise was added here
    cohort: Cohort
    rho: str  # decimal text: what each privacy unit paid for this round


def protect_shared(
    rules: tuple[ReleaseRules, ...],
    total: guard.Sum,
    binding: Binding,
    helper: bytes,
    entropy: Entropy,
    *,
    data_class: DataClass,
    rounds: int = 1,
) -> SharedSum:
    """The sum in two halves, sealed for exactly the report that `binding` names.

    `helper` is the 32-byte X25519 key of the campaign; `data_class` the most protected class
    among the capsules. Raises RuleRefused, CohortTooSmall (nobody), NoiselessRefused, RingOverflow,
    SeedRefused. Every call draws a fresh seed: a caller that called twice for one round would
    give two shares of one sum, so it persists the first and replays that.
    """
    for rule in rules:
        if rule.protection is not Protection.SHARED:
            raise RuleRefused(
                f"{rule.output}: voted as {rule.protection}, not as shared",
                remedy='write protection = "shared" for every release of the bundle',
            )
    accounting.check_noise(rules, data_class)
    if not total.cohort.capsules:
        raise CohortTooSmall("no capsule stands behind the sum", remedy="wait for consents")
    seed = Seed.draw(entropy)
    share = split(total.values, Layout.of(rules, rounds), seed).encode()
    sealed = seal(seed, helper_key(helper), binding)
    cost: Fraction = accounting.rho_of(rules) / rounds
    return SharedSum(
        share,
        sealed,
        {rule.output: "0" for rule in rules},
        total.cohort,
        accounting.to_text(cost),
    )
