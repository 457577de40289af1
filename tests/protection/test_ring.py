from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protection import accounting, aggregators
from protection.errors import RingMismatch, RingOverflow, RuleRefused, SumImplausible
from protection.ring import AGGREGATORS, TAIL, Ring, reach_of, ring_of
from trust.documents.rules import (
    Mechanism,
    Norm,
    PrivacyUnit,
    Protection,
    ReleaseRules,
)
from trust.entropy import seeded

RULES = ReleaseRules(
    output="flows",
    shape=(9, 9, 6),
    dtype="int64",
    step="1",
    norm=Norm.L2,
    bound="50",
    unit=PrivacyUnit.OWNER,
    protection=Protection.SHARED,
    mechanism=Mechanism.DISCRETE_GAUSSIAN,
    rho="0.1",
    minimum_contributors=20,
    maximum_contributors=100_000,
    minimum_capsules=3,
    minimum_workers=3,
    minimum_operators=2,
    suppress_below=20,
)


def rules(**changes: object) -> ReleaseRules:
    return dataclasses.replace(RULES, **changes)  # type: ignore[arg-type]


def test_the_reach_is_the_cohort_and_both_noises() -> None:
    tail = accounting.noise_of(RULES).tail(TAIL)
    assert reach_of(RULES) == 100_000 * 50 + 2 * tail
    assert reach_of(RULES, contributors=20) == 20 * 50 + 2 * tail
    assert ring_of(RULES) is Ring.NARROW


def largest_narrow(noise: Mechanism) -> int:
    plain = rules(mechanism=noise)
    tail = accounting.noise_of(plain).tail(TAIL)
    return (2**31 - 1 - 2 * tail) // 50


@pytest.mark.parametrize("mechanism", list(Mechanism))
def test_one_contributor_more_than_31_bits_hold_takes_the_wide_ring(mechanism: Mechanism) -> None:
    most = largest_narrow(mechanism)
    assert ring_of(rules(mechanism=mechanism, maximum_contributors=most)) is Ring.NARROW
    assert ring_of(rules(mechanism=mechanism, maximum_contributors=most + 1)) is Ring.WIDE


def test_the_half_of_the_ring_itself_is_no_positive_number() -> None:
    plain = rules(bound="1", mechanism=Mechanism.NONE)
    assert ring_of(dataclasses.replace(plain, maximum_contributors=2**31 - 1)) is Ring.NARROW
    assert ring_of(dataclasses.replace(plain, maximum_contributors=2**31)) is Ring.WIDE


def test_the_noise_counts_for_the_ring() -> None:
    # 429 times 5 million is 2.145e9, under 2^31; the two noises do not fit beside it.
    tight = rules(bound="5000000", maximum_contributors=429)
    assert ring_of(dataclasses.replace(tight, mechanism=Mechanism.NONE)) is Ring.NARROW
    assert ring_of(tight) is Ring.WIDE


def test_more_rounds_mean_more_noise_in_each() -> None:
    most = largest_narrow(Mechanism.DISCRETE_GAUSSIAN)
    assert ring_of(rules(maximum_contributors=most), rounds=1) is Ring.NARROW
    assert ring_of(rules(maximum_contributors=most), rounds=1000) is Ring.WIDE


def test_what_64_bits_cannot_hold_is_refused() -> None:
    most = (2**63 - 1) // 2**40
    wide = rules(bound=str(2**40), mechanism=Mechanism.NONE, maximum_contributors=most)
    assert ring_of(wide) is Ring.WIDE
    with pytest.raises(RingOverflow):
        ring_of(dataclasses.replace(wide, maximum_contributors=most + 1))
    # Whole numbers are released in their own unit, which must fit as well.
    with pytest.raises(RingOverflow):
        ring_of(rules(step=str(2**31), bound=str(2**40), maximum_contributors=2**30))


def test_a_rule_that_clear_admits_shared_admits() -> None:
    # One noise per worker is never less than two in all, from two contributors on.
    for change in ({}, {"maximum_contributors": 10**12}, {"bound": "1000000"}):
        accounting.check_ring(rules(**change))
        ring_of(rules(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"protection": Protection.CLEAR},
        {"protection": Protection.ENCRYPTED},
        {"bound": "-1"},
        {"bound": str(2**53)},
        {"step": "0"},
        {"rho": "0"},
        {"maximum_contributors": 0},
        {"rho": "0.000000000000000000000000000001"},
    ],
)
def test_rules_without_a_ring_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(RuleRefused):
        ring_of(rules(**change))


def test_no_round_has_no_ring() -> None:
    with pytest.raises(RuleRefused):
        ring_of(RULES, rounds=0)


@pytest.mark.parametrize("ring", list(Ring))
@given(data=st.data())
def test_every_number_of_the_ring_comes_back(ring: Ring, data: st.DataObject) -> None:
    values = data.draw(hnp.arrays(np.int64, (5,), elements=st.integers(-ring.half, ring.half - 1)))
    elements = ring.enclose(values)
    assert elements.dtype == ring.dtype
    assert elements.tolist() == [value % (1 << ring.value) for value in values.tolist()]
    np.testing.assert_array_equal(ring.lift(elements), values)
    # Neutral under any detour around the ring.
    detour = (elements + ring.enclose(values)) - ring.enclose(values)
    np.testing.assert_array_equal(ring.lift(detour), values)


def test_extremes_come_back_and_their_neighbours_are_refused() -> None:
    for ring in Ring:
        ends = np.array([-ring.half, ring.half - 1, -1, 0])
        assert ring.lift(ring.enclose(ends)).tolist() == ends.tolist()
    for value in (2**31, -(2**31) - 1):
        with pytest.raises(RingOverflow):
            Ring.NARROW.enclose(np.array([0, value]))


def test_elements_of_another_ring_are_not_read() -> None:
    with pytest.raises(RingMismatch):
        Ring.WIDE.lift(Ring.NARROW.enclose(np.array([1, 2])))
    with pytest.raises(RingMismatch):
        Ring.NARROW.lift(Ring.WIDE.enclose(np.array([1, 2])))


def test_both_aggregators_noise_is_stated() -> None:
    assert accounting.noise_of(RULES).parameter == 12_500
    assert aggregators.total_variances((RULES,)) == {"flows": "25000"}
    assert aggregators.total_variances((RULES,), rounds=2) == {"flows": "50000"}
    (band,) = aggregators.total_bands((RULES,)).values()
    assert band == accounting.gaussian_band(accounting.noise_of(RULES).variance * 2, 9 * 9 * 6)
    laplace = rules(mechanism=Mechanism.DISCRETE_LAPLACE)
    alone = accounting.simultaneous_band(accounting.noise_of(laplace), 1, 486)
    (both,) = aggregators.total_bands((laplace,)).values()
    assert alone < both < 2 * alone
    silent = rules(mechanism=Mechanism.NONE)
    assert aggregators.total_bands((silent,)) == {"flows": 0}
    assert aggregators.total_variances((silent,)) == {"flows": "0"}


def test_two_draws_keep_the_band_and_the_variance_that_are_stated() -> None:
    entropy = seeded(b"noise")
    sides = [aggregators.draw_noise((RULES,), 1, entropy)["flows"] for _ in range(AGGREGATORS)]
    total = sides[0] + sides[1]
    assert total.shape == RULES.shape
    assert np.abs(total).max() <= aggregators.total_bands((RULES,))["flows"]
    # 486 draws: the sample variance is within five standard errors.
    assert abs(total.var() / 25_000 - 1) < 5 * math.sqrt(2 / 486)
    silent = rules(mechanism=Mechanism.NONE)
    assert not aggregators.draw_noise((silent,), 1, entropy)["flows"].any()


def test_a_sum_that_nobody_can_have_made_is_refused() -> None:
    reach = reach_of(RULES, contributors=30)
    sums = np.zeros(RULES.shape, np.int64)
    for value in (reach, -reach):
        sums[3, 2, 1] = value
        aggregators.check_sums((RULES,), 1, 30, {"flows": sums})
    for value in (reach + 1, -reach - 1, np.iinfo(np.int64).min, np.iinfo(np.int64).max):
        sums[3, 2, 1] = value
        with pytest.raises(SumImplausible):
            aggregators.check_sums((RULES,), 1, 30, {"flows": sums})
