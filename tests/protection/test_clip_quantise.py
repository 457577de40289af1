from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protection.clip import clip, l1, l2_squared
from protection.errors import QuantiseRefused, RuleRefused
from protection.quantise import MAXIMUM_STEPS, from_steps, to_steps
from trust.documents.rules import Norm

steps = st.integers(-(1 << 53) + 1, (1 << 53) - 1)
vectors = st.lists(steps | st.integers(-3, 3), min_size=1, max_size=40).map(
    lambda values: np.array(values, np.int64)
)
bounds = st.fractions(0, 1 << 54, max_denominator=1000)


@given(vectors, bounds)
def test_the_norm_never_exceeds_the_bound(vector: np.ndarray, bound: Fraction) -> None:
    assert l1(clip(vector, Norm.L1, bound)) <= bound
    assert l2_squared(clip(vector, Norm.L2, bound)) <= bound * bound
    assert np.abs(clip(vector, Norm.LINF, bound)).max() <= bound


@given(vectors, bounds, st.sampled_from(list(Norm)))
def test_clipping_twice_changes_nothing_and_keeps_signs(
    vector: np.ndarray, bound: Fraction, norm: Norm
) -> None:
    once = clip(vector, norm, bound)
    np.testing.assert_array_equal(clip(once, norm, bound), once)
    assert (once * np.sign(vector) >= 0).all()
    assert (np.abs(once) <= np.abs(vector)).all()


@given(vectors)
def test_a_vector_inside_the_bound_comes_back_unchanged(vector: np.ndarray) -> None:
    assert clip(vector, Norm.L1, Fraction(l1(vector))) is vector
    root = math.isqrt(l2_squared(vector)) + 1
    assert clip(vector, Norm.L2, Fraction(root)) is vector


def test_one_large_cell_is_cut_to_exactly_the_bound() -> None:
    vector = np.array([0, 100, 0])
    for norm in Norm:
        np.testing.assert_array_equal(clip(vector, norm, Fraction(1)), [0, 1, 0])


def test_a_vector_that_fills_every_cell_loses_everything_under_a_bound_of_one() -> None:
    assert not clip(np.ones((9, 9, 6), np.int64), Norm.L2, Fraction(1)).any()


def test_a_negative_bound_is_refused() -> None:
    with pytest.raises(RuleRefused):
        clip(np.zeros(1, np.int64), Norm.L1, Fraction(-1))


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1), st.integers(1, 1000))
def test_whole_values_round_half_to_even_exactly(values: list[int], step: int) -> None:
    quantised = to_steps(np.array(values, np.int64), Fraction(step))
    assert quantised.tolist() == [round(Fraction(value, step)) for value in values]


def test_float_values_round_half_to_even() -> None:
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 0.49])
    np.testing.assert_array_equal(to_steps(values, Fraction(1)), [0, 2, 2, 0, -2, 0])
    np.testing.assert_array_equal(to_steps(np.array([0.0014]), Fraction("0.001")), [1])
    assert to_steps(np.array(1.4), Fraction(1)) == 1  # of no dimensions


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 2.0**53, -(2.0**53)])
def test_a_float_without_a_number_of_steps_is_refused(value: float) -> None:
    with pytest.raises(QuantiseRefused):
        to_steps(np.array([0.0, value]), Fraction(1))


def test_an_overflow_by_a_tiny_step_is_refused() -> None:
    with pytest.raises(QuantiseRefused):
        to_steps(np.array([1e300]), Fraction(1, 10**30))


@pytest.mark.parametrize("value", [MAXIMUM_STEPS, -MAXIMUM_STEPS, -(2**63), 2**63 - 1])
def test_a_whole_number_out_of_range_is_refused(value: int) -> None:
    with pytest.raises(QuantiseRefused):
        to_steps(np.array([value], np.int64), Fraction(1))


def test_steps_are_whole_for_whole_numbers() -> None:
    with pytest.raises(RuleRefused):
        to_steps(np.array([1]), Fraction(1, 2))
    with pytest.raises(RuleRefused):
        to_steps(np.array([1.0]), Fraction(0))
    with pytest.raises(QuantiseRefused):
        to_steps(np.array([1], np.int32), Fraction(1))


def test_back_to_the_unit() -> None:
    counted = from_steps(np.array([3, -1]), Fraction(2), "int64")
    assert counted.dtype == np.int64
    assert counted.tolist() == [6, -2]
    scaled = from_steps(np.array([1234]), Fraction("0.001"), "float64")
    assert scaled.tolist() == [1.234]
