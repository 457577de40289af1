from __future__ import annotations

import dataclasses
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from protection import accounting
from protection.capacity import bits_per_release
from protection.cohort import Cohort, check_cohort, check_spread
from protection.errors import CohortTooSmall, NoiselessRefused, RingOverflow, RuleRefused
from trust.documents.rules import (
    DataClass,
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
    bound="1",
    unit=PrivacyUnit.OWNER,
    protection=Protection.CLEAR,
    mechanism=Mechanism.DISCRETE_GAUSSIAN,
    rho="0.1",
    minimum_contributors=20,
    maximum_contributors=1_000_000,
    minimum_capsules=3,
    minimum_workers=3,
    minimum_operators=2,
    suppress_below=20,
)


def rules(**changes: object) -> ReleaseRules:
    return dataclasses.replace(RULES, **changes)  # type: ignore[arg-type]


def test_a_count_at_rho_one_tenth_has_variance_five() -> None:
    noise = accounting.noise_of(RULES)
    assert noise.parameter == 5
    assert accounting.to_text(noise.variance) == "5"


def test_two_rounds_share_the_budget() -> None:
    assert accounting.noise_of(RULES, rounds=2).parameter == 10


def test_the_travel_bound_is_the_root_of_21_rounded_up() -> None:
    travel = rules(shape=(21,), dtype="float64", step="0.001", bound="4.5826")
    assert accounting.bound_in_steps(travel) ** 2 >= 21 * 1000**2
    assert accounting.noise_of(travel).sigma == pytest.approx(10247, abs=1)


@pytest.mark.parametrize(("norm", "expected"), [(Norm.L1, 9), (Norm.L2, 9), (Norm.LINF, 9 * 4)])
def test_l2_sensitivity_of_each_norm(norm: Norm, expected: int) -> None:
    assert accounting.sensitivity_l2_squared(norm, Fraction(3), 4) == expected


@pytest.mark.parametrize("norm", list(Norm))
def test_sensitivities_hold_for_every_small_vector(norm: Norm) -> None:
    bound = Fraction(2)
    for vector in itertools.product(range(-2, 3), repeat=3):
        length = {
            Norm.L1: sum(map(abs, vector)) <= bound,
            Norm.L2: sum(v * v for v in vector) <= bound * bound,
            Norm.LINF: max(map(abs, vector)) <= bound,
        }[norm]
        if length:
            assert sum(map(abs, vector)) <= accounting.sensitivity_l1(norm, bound, 3)
            squares = sum(v * v for v in vector)
            assert squares <= accounting.sensitivity_l2_squared(norm, bound, 3)


def test_laplace_costs_no_more_than_its_rho() -> None:
    laplace = rules(norm=Norm.L1, mechanism=Mechanism.DISCRETE_LAPLACE, rho="0.1")
    scale = accounting.noise_of(laplace).parameter
    epsilon = 1 / float(scale)
    assert epsilon**2 / 2 <= 0.1
    assert epsilon**2 / 2 == pytest.approx(0.1, rel=1e-4)


def test_epsilon_is_that_of_opendp() -> None:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.atom_domain(T=int), dp.absolute_distance(T=int)
    for rho in ("0.01", "0.1", "0.5", "2"):
        scale = math.sqrt(1 / (2 * float(rho)))
        measured = dp.c.make_zCDP_to_approxDP(dp.m.make_gaussian(*space, scale=scale))
        theirs = measured.map(1).epsilon(1e-6)  # type: ignore[no-untyped-call]
        assert accounting.epsilon(Fraction(rho)) == pytest.approx(theirs, rel=2e-3)
    assert accounting.epsilon(Fraction(0)) == 0


def test_bands_hold_for_drawn_noise() -> None:
    for noise in (
        accounting.Noise(Mechanism.DISCRETE_GAUSSIAN, Fraction(5)),
        accounting.Noise(Mechanism.DISCRETE_LAPLACE, Fraction(3, 2)),
    ):
        total = sum(noise.draw((5000,), seeded(bytes([i]))) for i in range(4))
        assert np.abs(total).max() <= accounting.simultaneous_band(noise, 4, 5000)
        half = accounting.band_95(4 * float(noise.variance))
        assert 0.93 < np.mean(np.abs(total) <= half) < 0.985


def test_the_laplace_band_covers_the_exact_tail() -> None:
    scale, failure = 4.0, 1e-6
    band = accounting.laplace_band(Fraction(4), 1, 1, failure)
    base = math.exp(-1 / scale)
    assert 2 * base ** (band + 1) / (1 + base) <= failure


def test_the_ring_holds_the_largest_cohort() -> None:
    accounting.check_ring(RULES)
    with pytest.raises(RingOverflow):
        accounting.check_ring(rules(bound=str(1 << 44), maximum_contributors=1 << 22))


def test_numbers_too_fine_to_be_exact_are_refused() -> None:
    with pytest.raises(RuleRefused):
        accounting.check_ring(rules(dtype="float64", step="0.0000000000000001", bound="2"))
    with pytest.raises(RuleRefused):
        accounting.check_ring(rules(rho="0." + "0" * 35 + "1", maximum_contributors=20))


def test_an_honest_partial_states_these_variances() -> None:
    assert accounting.variances_of((RULES,), 2) == {"flows": "10"}


def test_noise_is_mandatory_unless_public() -> None:
    free = rules(mechanism=Mechanism.NONE, rho="0")
    accounting.check_noise((free,), DataClass.PUBLIC)
    for data_class in (DataClass.PERSONAL, DataClass.COMPANY):
        with pytest.raises(NoiselessRefused):
            accounting.check_noise((free,), data_class)
    assert accounting.rho_of((RULES, RULES, free)) == Fraction(1, 5)


@pytest.mark.parametrize("text", ["", "nan", "1e99", "0x1", "1/3", "9" * 60])
def test_a_text_that_is_no_decimal_is_refused(text: str) -> None:
    with pytest.raises(RuleRefused):
        accounting.decimal(text, "step")


def test_to_text_is_exact_or_rounded_up() -> None:
    assert accounting.to_text(Fraction("105001113.8")) == "105001113.8"
    assert accounting.to_text(Fraction(0)) == "0"
    assert Fraction(accounting.to_text(Fraction(1, 3))) >= Fraction(1, 3)


def points(norm: Norm, cells: int, bound: int) -> int:
    lengths = {
        Norm.L1: lambda v: sum(map(abs, v)) <= bound,
        Norm.L2: lambda v: sum(x * x for x in v) <= bound * bound,
        Norm.LINF: lambda v: max(map(abs, v)) <= bound,
    }[norm]
    return sum(map(lengths, itertools.product(range(-bound, bound + 1), repeat=cells)))


@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize(("cells", "bound"), [(1, 1), (3, 1), (3, 3), (4, 2), (2, 9)])
def test_bits_count_every_vector_that_may_pass(norm: Norm, cells: int, bound: int) -> None:
    exact = math.log2(points(norm, cells, bound))
    bits = bits_per_release(rules(norm=norm, shape=(cells,), bound=str(bound)))
    assert exact - 1e-9 <= bits <= exact + 4
    if norm is not Norm.L2 or bound <= 8:
        assert bits == pytest.approx(exact)


def test_bits_of_the_built_in_bundles() -> None:
    assert bits_per_release(RULES) == pytest.approx(math.log2(1 + 2 * 486))
    travel = rules(shape=(21,), dtype="float64", step="0.001", bound="4.5826")
    assert 240 < bits_per_release(travel) < 260


def test_cohorts_below_the_minimum_are_refused() -> None:
    check_cohort((RULES,), Cohort(contributors=20, capsules=3))
    with pytest.raises(CohortTooSmall):
        check_cohort((RULES,), Cohort(contributors=19, capsules=19))
    with pytest.raises(CohortTooSmall):
        check_cohort((RULES,), Cohort(contributors=500, capsules=2))
    with pytest.raises(RingOverflow):
        check_cohort((RULES,), Cohort(contributors=1_000_001, capsules=3))
    check_spread((RULES,), workers=3, operators=2)
    with pytest.raises(CohortTooSmall):
        check_spread((RULES,), workers=3, operators=1)
