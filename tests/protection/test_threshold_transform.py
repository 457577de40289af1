"""Residue arithmetic and the transform against Python's integers and the definitions."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protection.threshold.profile import SEUIL
from protection.threshold.sampling import (
    expand,
    flooding,
    small_error,
    ternary,
    uniform,
)
from protection.threshold.transform import Modulus, to_coefficients, to_values, transform
from tests.protection.threshold_world import centred, schoolbook
from trust.entropy import seeded

PRIMES = (97, 7681, 998244353, *SEUIL.primes, (1 << 61) - 1)


@settings(deadline=None)
@given(data=st.data(), q=st.sampled_from(PRIMES))
def test_arithmetic_is_that_of_python_integers(data: st.DataObject, q: int) -> None:
    residue = st.integers(0, q - 1) | st.sampled_from([0, 1, q // 2, q - 2, q - 1])
    a = data.draw(st.lists(residue, min_size=1, max_size=8))
    b = data.draw(st.lists(residue, min_size=len(a), max_size=len(a)))
    ring, x, y = Modulus(q), np.array(a, np.uint64), np.array(b, np.uint64)
    pairs = list(zip(a, b, strict=True))
    assert ring.multiply(x, y).tolist() == [i * j % q for i, j in pairs]
    assert ring.add(x, y).tolist() == [(i + j) % q for i, j in pairs]
    assert ring.subtract(x, y).tolist() == [(i - j) % q for i, j in pairs]
    assert ring.negate(x).tolist() == [-i % q for i in a]
    assert ring.times(x, ring.scale(b[0])).tolist() == [i * b[0] % q for i in a]


@pytest.mark.parametrize("q", [97, 998244353, SEUIL.data_primes[0], SEUIL.special_prime])
def test_the_transform_gives_the_values_that_its_docstring_names(q: int) -> None:
    size = 16
    coefficients = uniform(q, size, seeded(b"values"))
    roots = [r for r in range(q if q < 1000 else 0) if pow(r, size, q) == q - 1]
    values = transform(q, size).forward(coefficients).tolist()
    x = np.zeros(size, np.uint64)
    x[1] = 1  # the polynomial X shows the points themselves
    points = transform(q, size).forward(x).tolist()
    psi = points[0]
    if roots:
        assert psi == min(roots)
    for place in range(size):
        power = 2 * int(f"{place:04b}"[::-1], 2) + 1
        assert points[place] == pow(psi, power, q)
        value = sum(int(c) * pow(points[place], i, q) for i, c in enumerate(coefficients)) % q
        assert values[place] == value


@settings(max_examples=40, deadline=None)
@given(seed=st.binary(max_size=8), log=st.integers(1, 6), q=st.sampled_from(SEUIL.primes))
def test_products_of_values_are_negacyclic_products(seed: bytes, log: int, q: int) -> None:
    size = 1 << log
    a, b = uniform(q, size, expand(seed + b"a")), uniform(q, size, expand(seed + b"b"))
    ring = transform(q, size)
    product = ring.backward(ring.modulus.multiply(ring.forward(a), ring.forward(b)))
    assert product.tolist() == schoolbook(a.tolist(), b.tolist(), q)


def test_the_full_degree_round_trips_and_multiplies_by_a_monomial() -> None:
    q, size = SEUIL.special_prime, SEUIL.degree
    ring = transform(q, size)
    a = uniform(q, size, seeded(b"full"))
    x = np.zeros(size, np.uint64)
    x[5000] = 1
    assert (ring.backward(ring.forward(a)) == a).all()
    product = ring.backward(ring.modulus.multiply(ring.forward(a), ring.forward(x))).tolist()
    assert product == [-int(c) % q for c in a[size - 5000 :]] + a[: size - 5000].tolist()


@settings(deadline=None)
@given(st.data())
def test_integer_polynomials_survive_the_residues(data: st.DataObject) -> None:
    half = prod(SEUIL.data_primes) // 2
    numbers = st.integers(-half, half) | st.sampled_from([-half, half, 0, -1])
    coefficients = data.draw(st.lists(numbers, min_size=8, max_size=8))
    values = to_values(coefficients, SEUIL.data_primes)
    assert to_coefficients(values, SEUIL.data_primes) == coefficients


@pytest.mark.parametrize("q", [5, 97, *SEUIL.primes])
def test_uniform_residues_are_below_the_prime_and_flat(q: int) -> None:
    drawn = uniform(q, 40_000, seeded(b"flat"))
    assert drawn.max() < q
    cells = 5
    counts = np.bincount((drawn.astype(object) * cells // q).astype(int), minlength=cells)
    expected = [
        40_000 * (len(range(-(-c * q // cells), -(-(c + 1) * q // cells))) / q)
        for c in range(cells)
    ]
    statistic = sum((n - e) ** 2 / e for n, e in zip(counts, expected, strict=True))
    assert statistic < 23.5  # 99.99 % point of chi-square with 4 degrees of freedom


def test_secrets_and_errors_have_the_distributions_of_seal() -> None:
    secret = np.array(ternary(60_000, seeded(b"s")))
    assert set(secret.tolist()) == {-1, 0, 1}
    assert all(abs(np.count_nonzero(secret == v) - 20_000) < 600 for v in (-1, 0, 1))
    error = np.array(small_error(60_000, seeded(b"e")))
    assert np.abs(error).max() <= 21
    assert abs(error.mean()) < 0.06
    assert abs(error.std() - 10.5**0.5) < 0.05


@pytest.mark.parametrize("deviation", [1 << 10, SEUIL.flooding])
def test_flooding_has_the_magnitude_that_is_claimed(deviation: int) -> None:
    drawn = flooding(deviation, 8192, seeded(b"flood"))
    scaled = np.array([v / deviation for v in drawn])
    assert abs(scaled.mean()) < 4.5 / 8192**0.5
    assert abs(scaled.var() - 1) < 4.5 * (2 / 8192) ** 0.5
    assert abs((scaled**4).mean() - 3) < 4.5 * (96 / 8192) ** 0.5
    assert 3.3 < np.abs(scaled).max() < 6
    low = np.bincount([v % 64 for v in drawn], minlength=64)
    assert ((low - 128) ** 2 / 128).sum() < 113  # 99.99 % point, 63 degrees of freedom


def test_centred_is_nearest_to_zero() -> None:
    assert centred([0, 6, 7, 13], 14) == [0, 6, -7, -1]
