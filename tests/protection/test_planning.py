"""What is charged is what the clip norm and the noise say; what is planned is what is charged."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsule_runtime import guard
from protection import accounting, aggregators, planning
from protection.clip import clip
from protection.errors import RuleRefused
from protection.layout import Layout
from protection.ring import ring_of
from trust.documents.budget import LEDGER_CAP
from trust.documents.rules import Mechanism, Norm, PrivacyUnit, Protection, ReleaseRules

CELLS = 12


def rules(
    norm: Norm, mechanism: Mechanism, rho: str, bound: int, protection: Protection
) -> ReleaseRules:
    return ReleaseRules(
        output="flows",
        shape=(3, 4),
        dtype="int64",
        step="1",
        norm=norm,
        bound=str(bound),
        unit=PrivacyUnit.OWNER,
        protection=protection,
        mechanism=mechanism,
        rho=rho,
        minimum_contributors=1,
        maximum_contributors=1000,
        minimum_capsules=1,
        minimum_workers=1,
        minimum_operators=1,
        suppress_below=0,
    )


RULES = st.builds(
    rules,
    st.sampled_from(Norm),
    st.sampled_from([Mechanism.DISCRETE_GAUSSIAN, Mechanism.DISCRETE_LAPLACE]),
    st.sampled_from(["0.01", "0.1", "0.5", "1"]),
    st.integers(1, 40),
    st.sampled_from([Protection.CLEAR, Protection.SHARED]),
)


def cost_of_noise(rule: ReleaseRules, rounds: int) -> Fraction:
    """The zCDP of one round, from the noise that is drawn and the clip alone (Bun and Steinke)."""
    noise, bound = accounting.noise_of(rule, rounds), Fraction(rule.bound)
    if rule.mechanism is Mechanism.DISCRETE_GAUSSIAN:
        square = bound * bound * (CELLS if rule.norm is Norm.LINF else 1)
        return square / (2 * noise.variance)
    length = accounting.sensitivity_l1(rule.norm, bound, CELLS)
    return (length / noise.parameter) ** 2 / 2


@given(rule=RULES, rounds=st.integers(1, 50))
def test_the_rounds_of_a_campaign_cost_what_was_voted_for_all_of_it(
    rule: ReleaseRules, rounds: int
) -> None:
    """Noise and ledger split the same rho: no round's noise costs more than its charge."""
    charge = guard.charge((rule,), rounds=rounds)
    assert charge * rounds == Fraction(rule.rho)
    cost = cost_of_noise(rule, rounds)
    # Laplace scales are rounded up to 1/65536: never dearer than the charge, hardly cheaper.
    assert charge * Fraction(999, 1000) < cost <= charge


@settings(max_examples=60)
@given(
    rule=RULES,
    values=st.lists(st.integers(-(2**40), 2**40), min_size=CELLS, max_size=CELLS),
)
def test_nobody_moves_a_sum_by_more_than_the_charge_assumes(
    rule: ReleaseRules, values: list[int]
) -> None:
    """The clip that the guard enforces is the sensitivity that the noise is made for."""
    steps = np.array(values, np.int64).reshape(3, 4)
    inside = clip(steps, rule.norm, accounting.bound_in_steps(rule))
    bound = Fraction(rule.bound)
    squares = sum(int(v) ** 2 for v in inside.flat)
    assert squares <= accounting.sensitivity_l2_squared(rule.norm, bound, CELLS)
    assert sum(abs(int(v)) for v in inside.flat) <= accounting.sensitivity_l1(
        rule.norm, bound, CELLS
    )


@given(rule=RULES, rounds=st.integers(2, 50))
def test_ring_layout_and_both_aggregators_split_as_the_ledger_does(
    rule: ReleaseRules, rounds: int
) -> None:
    """The noise of a late round is as wide as that of the first, and the ring was made for it."""
    once, split = accounting.noise_of(rule), accounting.noise_of(rule, rounds)
    assert split.variance > once.variance
    single = accounting.variances_of((rule,), rounds)["flows"]
    assert single == accounting.to_text(split.variance)
    total = aggregators.total_variances((rule,), rounds)["flows"]
    assert total == accounting.to_text(2 * split.variance)
    shared = replace(rule, protection=Protection.SHARED)
    ring = ring_of(shared, rounds)
    assert Layout.of((shared,), rounds).slots[0].ring == ring
    assert 1000 * int(rule.bound) + 2 * split.tail(2.0**-40) < ring.half


def test_a_plan_of_three_campaigns(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = planning.plan(Fraction(1, 10), 3, rounds=4)
    assert [cost.rho for cost in planned.costs] == [
        Fraction(1, 40), Fraction(1, 10), Fraction(3, 10)
    ]  # fmt: skip
    assert planned.total == Fraction(3, 10)
    assert planned.affordable == 10 == LEDGER_CAP / planned.rho
    assert planned.costs[2].epsilon == pytest.approx(3.920, abs=1e-3)
    # Without the extra the same plan says so, and nothing else changes.
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    assert [cost.pld for cost in planning.plan(Fraction(1, 10), 3).costs] == [None] * 3


@pytest.mark.skipif(
    importlib.util.find_spec("dp_accounting") is None, reason="the extra `planning` is missing"
)
def test_dp_accounting_agrees_that_the_charge_is_enough() -> None:
    planned = planning.plan(Fraction(1, 10), 3, rounds=4)
    for cost in planned.costs:
        assert cost.pld is not None
        assert 0.85 * cost.epsilon < cost.pld <= cost.epsilon
    sampled = planning.plan(Fraction(1, 10), 3, rounds=4, sampling=0.1).costs[2]
    assert sampled.pld is not None
    assert sampled.pld < 0.5 * sampled.epsilon
    assert sampled.rho == planned.costs[2].rho  # the ledger gives nothing for sampling


@pytest.mark.parametrize(
    "numbers", [(0, 1, 1, 1.0), (-1, 1, 1, 1.0), (1, 0, 1, 1.0), (1, 1, 0, 1.0), (1, 1, 1, 0.0),
                (1, 1, 1, 1.1), (1, 10**6, 1, 1.0), (60, 2, 1, 1.0), (1, 1, 1, float("nan"))]
)  # fmt: skip
def test_a_plan_without_a_meaning_is_refused(numbers: tuple[int, int, int, float]) -> None:
    rho, campaigns, rounds, sampling = numbers
    with pytest.raises(RuleRefused):
        planning.plan(Fraction(rho), campaigns, rounds, sampling)
