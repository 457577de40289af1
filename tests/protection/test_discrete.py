"""The samplers against the exact probabilities, and against OpenDP's."""

from __future__ import annotations

import math
import time
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from protection import discrete
from protection.errors import RuleRefused
from trust.entropy import Entropy, seeded

DRAWS = 40_000
# 99.99 % points of chi-square by Wilson-Hilferty: seeds are fixed, so this never flickers.
NORMAL = 3.719


def gaussian_pmf(variance: float, reach: int) -> dict[int, float]:
    weights = {x: math.exp(-x * x / (2 * variance)) for x in range(-reach, reach + 1)}
    total = sum(weights.values())
    return {x: weight / total for x, weight in weights.items()}


def laplace_pmf(scale: float, reach: int) -> dict[int, float]:
    base = math.exp(-1 / scale)
    return {x: (1 - base) / (1 + base) * base ** abs(x) for x in range(-reach, reach + 1)}


def chi_square(drawn: list[int], pmf: dict[int, float]) -> tuple[float, int]:
    counts = Counter(drawn)
    statistic, cells, tail_seen, tail_expected = 0.0, 0, len(drawn), float(len(drawn))
    for x, probability in pmf.items():
        expected = probability * len(drawn)
        if expected < 10:
            continue
        statistic += (counts[x] - expected) ** 2 / expected
        cells += 1
        tail_seen -= counts[x]
        tail_expected -= expected
    if tail_expected > 5:
        statistic += (tail_seen - tail_expected) ** 2 / tail_expected
        cells += 1
    return statistic, cells - 1


def limit(freedom: int) -> float:
    spread = 2 / (9 * freedom)
    return float(freedom * (1 - spread + NORMAL * math.sqrt(spread)) ** 3)


@pytest.mark.parametrize("variance", ["5", "1/4", "13/7", "100", "3000"])
def test_discrete_gaussian_has_its_exact_distribution(variance: str) -> None:
    exact = Fraction(variance)
    drawn = discrete.gaussian(exact, DRAWS, seeded(b"g" + variance.encode())).tolist()
    statistic, freedom = chi_square(
        drawn, gaussian_pmf(float(exact), 12 * math.isqrt(int(exact) + 4))
    )
    assert statistic < limit(freedom)


@pytest.mark.parametrize("scale", ["1", "1/3", "7/2", "40"])
def test_discrete_laplace_has_its_exact_distribution(scale: str) -> None:
    exact = Fraction(scale)
    drawn = discrete.laplace(exact, DRAWS, seeded(b"l" + scale.encode())).tolist()
    statistic, freedom = chi_square(drawn, laplace_pmf(float(exact), 40 * math.ceil(exact)))
    assert statistic < limit(freedom)


def test_the_test_itself_would_see_a_wrong_variance() -> None:
    drawn = discrete.gaussian(Fraction(5), DRAWS, seeded(b"power")).tolist()
    statistic, freedom = chi_square(drawn, gaussian_pmf(5.3, 40))
    assert statistic > limit(freedom)


@pytest.mark.parametrize("kind", ["gaussian", "laplace"])
def test_same_distribution_as_opendp(kind: str) -> None:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.atom_domain(T=int), dp.absolute_distance(T=int)
    if kind == "gaussian":
        theirs_of = dp.m.make_gaussian(*space, scale=math.sqrt(5))
        ours = discrete.gaussian(Fraction(5), 8000, seeded(b"opendp"))
    else:
        theirs_of = dp.m.make_laplace(*space, scale=2.0)
        ours = discrete.laplace(Fraction(2), 8000, seeded(b"opendp"))
    theirs = np.array([theirs_of(0) for _ in range(8000)])
    # Two-sample Kolmogorov-Smirnov at 1e-7: OpenDP's own bits can't be seeded.
    grid = np.arange(-60, 61)
    ours_below = np.searchsorted(np.sort(ours), grid, "right") / len(ours)
    theirs_below = np.searchsorted(np.sort(theirs), grid, "right") / len(theirs)
    assert np.abs(ours_below - theirs_below).max() < math.sqrt(-math.log(5e-8) / 8000)


def test_five_hundred_draws_are_quick() -> None:
    best = math.inf
    for attempt in range(5):
        entropy = seeded(bytes([attempt]))
        start = time.process_time()
        discrete.gaussian(Fraction(5), 500, entropy)
        best = min(best, time.process_time() - start)
    assert best < 0.03


def constant(raw: bytes) -> Entropy:
    return lambda size: raw[:size]


def test_bernoulli_looks_past_64_equal_bits() -> None:
    # p = 1/2 exactly: the word 2^63 equals the first digit, the remainder is 0, so it is false.
    half = (1 << 63).to_bytes(8, "little") * 1024
    assert not discrete.Uniform(constant(half)).bernoulli(1, 2)
    # p = 1/2 + 2^-66: equal first digit, then the second word decides against 2^62.
    for second, verdict in ((0, True), ((1 << 62) - 1, True), (1 << 62, False)):
        raw = np.array([second, 1 << 63] * 512, "<u8").tobytes()
        chosen = discrete.Uniform(constant(raw)).bernoulli((1 << 65) + 1, 1 << 66)
        assert chosen is verdict


def test_below_is_uniform_and_in_range() -> None:
    uniform = discrete.Uniform(seeded(b"below"))
    counts = Counter(uniform.below(7) for _ in range(21_000))
    assert set(counts) == set(range(7))
    assert max(abs(count - 3000) for count in counts.values()) < 250
    assert all(uniform.below(1) == 0 for _ in range(10))
    assert all(0 <= uniform.below(10**40) < 10**40 for _ in range(100))


@pytest.mark.parametrize("parameter", ["0", "-1", str(1 << 101)])
def test_impossible_noise_is_refused(parameter: str) -> None:
    for sampler in (discrete.gaussian, discrete.laplace):
        with pytest.raises(RuleRefused):
            sampler(Fraction(parameter), 1, seeded(b""))


def test_wide_noise_follows_the_normal_curve() -> None:
    variance = Fraction("105001113.8")  # 10247 steps of deviation
    drawn = np.sort(discrete.gaussian(variance, 20_000, seeded(b"wide"))) / math.sqrt(variance)
    expected = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in drawn])
    seen = np.arange(1, 20_001) / 20_000
    assert np.abs(seen - expected).max() < math.sqrt(-math.log(5e-5) / 40_000)
