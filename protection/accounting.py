"""What a release costs a privacy unit, how wide its noise is, and how much it can carry.

Neighbouring data sets differ by one privacy unit (an owner, or one person inside a company)
that is added or removed: its contribution is replaced by the neutral vector (all zeros). The
clip bound is therefore the sensitivity. Budgets are in zero-concentrated differential privacy
(zCDP, Bun and Steinke 2016): rho adds up over releases and rounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from protection import discrete
from protection.errors import NoiselessRefused, RingOverflow, RuleRefused
from protection.quantise import MAXIMUM_STEPS
from trust.documents.rules import DataClass, Mechanism, Norm, ReleaseRules
from trust.entropy import Entropy

DELTA = 1e-6  # the delta that every statement to people uses (DESIGN 10)
FAILURE = 1e-6  # a simultaneous band misses with at most this probability
RING = 1 << 63  # sums live in signed 64-bit integers
_SCALE_GRID = 1 << 16  # Laplace scales are multiples of 1/65536 step, rounded up
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Noise:
    """A noise distribution on whole steps: its mechanism and exact parameter.

    `parameter` is the variance (steps squared) of a discrete Gaussian, or the scale (steps) of
    a discrete Laplace; 0 for none.
    """

    mechanism: Mechanism
    parameter: Fraction

    @cached_property
    def variance(self) -> Fraction:
        """An upper bound of one draw's variance, in steps squared (tight for wide noise)."""
        if self.mechanism is Mechanism.DISCRETE_LAPLACE:
            return 2 * self.parameter * self.parameter
        return self.parameter

    @property
    def sigma(self) -> float:
        """Its standard deviation in steps."""
        return math.sqrt(self.variance)

    def draw(self, shape: tuple[int, ...], entropy: Entropy) -> NDArray[np.int64]:
        """Independent draws for every cell of `shape`."""
        cells = math.prod(shape)
        match self.mechanism:
            case Mechanism.NONE:
                return np.zeros(shape, np.int64)
            case Mechanism.DISCRETE_GAUSSIAN:
                drawn = discrete.gaussian(self.parameter, cells, entropy)
            case Mechanism.DISCRETE_LAPLACE:
                drawn = discrete.laplace(self.parameter, cells, entropy)
        return drawn.reshape(shape)

    def tail(self, failure: float) -> int:
        """Steps that one draw's magnitude reaches with a probability under `failure`."""
        match self.mechanism:
            case Mechanism.NONE:
                return 0
            case Mechanism.DISCRETE_GAUSSIAN:
                return gaussian_band(self.variance, 1, failure)
            case Mechanism.DISCRETE_LAPLACE:
                return math.ceil(float(self.parameter) * math.log(2 / failure)) + 1


def step_of(rules: ReleaseRules) -> Fraction:
    """The quantisation step in the output's unit."""
    return decimal(rules.step, "step")


def bound_in_steps(rules: ReleaseRules) -> Fraction:
    """One privacy unit's clip bound in steps."""
    step = step_of(rules)
    if step <= 0:
        raise RuleRefused(f"{rules.output}: the step is {rules.step}", remedy="write it above 0")
    return decimal(rules.bound, "bound") / step


def decimal(text: str, what: str) -> Fraction:
    """The exact value of a decimal text. Raises RuleRefused."""
    try:
        value = Decimal(text)
    except ArithmeticError:
        value = Decimal("NaN")
    if not value.is_finite() or len(text) > 40 or abs(value.adjusted()) > 40:
        raise RuleRefused(f"{what} {text[:40]!r} is not a decimal number", remedy='as in "0.1"')
    return Fraction(value)


def sensitivity_l1(norm: Norm, bound: Fraction, cells: int) -> Fraction:
    """The L1 sensitivity (steps) of a vector of `cells` whole numbers clipped in `norm`."""
    match norm:
        case Norm.L1:
            return bound
        case Norm.LINF:
            return bound * cells
        case Norm.L2:
            # Cauchy-Schwarz gives sqrt(n) b; whole numbers also give |v| <= v^2, hence b^2.
            return min(_root_up(bound * bound * cells), bound * bound)


def sensitivity_l2_squared(norm: Norm, bound: Fraction, cells: int) -> Fraction:
    """The squared L2 sensitivity (steps squared) of a vector clipped in `norm`."""
    return bound * bound * cells if norm is Norm.LINF else bound * bound


def noise_of(rules: ReleaseRules, rounds: int = 1) -> Noise:
    """The noise that makes one round of `rules` cost rho / rounds per privacy unit.

    Gaussian: variance = D^2 / (2 rho), exact. Laplace: a pure guarantee of epsilon is also
    epsilon^2 / 2 zCDP, so scale = D1 / sqrt(2 rho), rounded up. Raises RuleRefused.
    """
    bound, cells = bound_in_steps(rules), math.prod(rules.shape)
    if rules.mechanism is Mechanism.NONE:
        return Noise(Mechanism.NONE, Fraction(0))
    rho = decimal(rules.rho, "rho") / rounds
    if rho <= 0:
        raise RuleRefused(
            f"{rules.output}: noise of rho {rules.rho} is undefined", remedy="write rho above 0"
        )
    if rules.mechanism is Mechanism.DISCRETE_GAUSSIAN:
        square = sensitivity_l2_squared(rules.norm, bound, cells)
        return Noise(rules.mechanism, square / (2 * rho))
    length = sensitivity_l1(rules.norm, bound, cells)
    return Noise(rules.mechanism, _root_up(length * length / (2 * rho)))


def check_noise(rules: tuple[ReleaseRules, ...], data_class: DataClass) -> None:
    """Raise NoiselessRefused when a rule without noise would release data that is not public."""
    for rule in rules:
        if rule.mechanism is Mechanism.NONE and data_class is not DataClass.PUBLIC:
            raise NoiselessRefused(
                f"{rule.output}: a release over {data_class} capsules needs noise",
                remedy='write noise = { mechanism = "discrete_gaussian", rho = "0.1" }',
            )


def check_ring(rules: ReleaseRules, rounds: int = 1) -> None:
    """Raise unless the rule's numbers can be enforced in 64-bit sums.

    RuleRefused where one contribution or its noise has no exact steps; RingOverflow where the
    largest cohort and its noise do not fit.

    A cell sums at most maximum_contributors x bound, plus one full noise per worker; there are
    at most as many workers as contributors, and each tail is taken at 2^-100.
    """
    bound = math.floor(bound_in_steps(rules))
    noise = noise_of(rules, rounds)
    if bound >= MAXIMUM_STEPS or noise.parameter > discrete.MAXIMUM_PARAMETER:
        raise RuleRefused(
            f"{rules.output}: a bound of {bound} steps, or its noise, is too fine to be exact",
            remedy="write a coarser step",
        )
    reach = rules.maximum_contributors * (bound + noise.tail(2.0**-100))
    # Whole numbers go back to their own unit before they are released.
    unit = step_of(rules) if rules.dtype == "int64" else Fraction(1)
    if reach * max(unit, Fraction(1)) >= RING:
        raise RingOverflow(
            f"{rules.output}: {rules.maximum_contributors} contributors of {bound} steps and their "
            "noise do not fit a 64-bit sum",
            remedy="lower maximum_contributors, or write a coarser step",
        )


def variances_of(rules: tuple[ReleaseRules, ...], rounds: int = 1) -> dict[str, str]:
    """The noise variances that an honest `clear` partial states: decimal texts, steps squared."""
    return {rule.output: to_text(noise_of(rule, rounds).variance) for rule in rules}


def rho_of(rules: tuple[ReleaseRules, ...]) -> Fraction:
    """What a whole campaign under `rules` costs one privacy unit, in zCDP."""
    return sum(
        (decimal(r.rho, "rho") for r in rules if r.mechanism is not Mechanism.NONE), Fraction(0)
    )


def epsilon(rho: Fraction, delta: float = DELTA) -> float:
    """The epsilon for which rho-zCDP implies (epsilon, delta) differential privacy.

    Corollary 13 of Canonne, Kamath and Steinke 2020: every alpha > 1 gives a valid epsilon, so
    the smallest over a grid is sound and, on this grid, tight to four digits.
    """
    cost = float(rho)
    if cost == 0:
        return 0.0
    alpha = 1 + np.logspace(-4, 6, 20_001)
    candidates = alpha * cost + np.log1p(-1 / alpha) - np.log(delta * alpha) / (alpha - 1)
    return max(0.0, float(candidates.min()))


def band_95(variance: float) -> float:
    """Half width of the 95 % band of one noise sum of `variance` (normal approximation)."""
    return _NORMAL_95 * math.sqrt(variance)


def gaussian_band(variance: Fraction, cells: int, failure: float = FAILURE) -> int:
    """Half width (steps) that all `cells` keep at once, except with probability `failure`.

    A discrete Gaussian is sub-Gaussian with its parameter, so is a sum of them with the sum of
    variances, and a union bound covers the cells: a guarantee, not an approximation.
    """
    return math.ceil(math.sqrt(2 * float(variance) * math.log(2 * cells / failure)))


def laplace_band(scale: Fraction, terms: int, cells: int, failure: float = FAILURE) -> int:
    """As `gaussian_band`, for the sum of `terms` discrete Laplace draws (Chernoff's bound)."""
    unit = 1 / float(scale)
    rate = np.linspace(0.001, 0.999, 999) * unit
    # Moment generating function of one draw, p = exp(-1/t): (1-p)^2 / ((1-p e^r)(1-p e^-r)).
    log_mgf = (
        2 * np.log(-np.expm1(-unit))
        - np.log(-np.expm1(rate - unit))
        - np.log(-np.expm1(-rate - unit))
    )
    return math.ceil(float(((terms * log_mgf + math.log(2 * cells / failure)) / rate).min()))


def simultaneous_band(noise: Noise, terms: int, cells: int, failure: float = FAILURE) -> int:
    """Half width (steps) for the sum of `terms` draws of `noise` in each of `cells` cells."""
    match noise.mechanism:
        case Mechanism.NONE:
            return 0
        case Mechanism.DISCRETE_GAUSSIAN:
            return gaussian_band(terms * noise.variance, cells, failure)
        case Mechanism.DISCRETE_LAPLACE:
            return laplace_band(noise.parameter, terms, cells, failure)


def spent(rules: tuple[ReleaseRules, ...], opened: int, rounds: int) -> str:
    """What `opened` of the `rounds` that a campaign's rho is split over cost, as a text."""
    return to_text(rho_of(rules) * opened / rounds)


def to_text(value: Fraction) -> str:
    """`value` as a decimal text for documents: exact where 20 digits suffice, else rounded up."""
    grid = 10**20
    scaled = -(-value.numerator * grid // value.denominator)
    text = f"{scaled // grid}.{scaled % grid:020d}".rstrip("0").rstrip(".")
    return text or "0"


def _root_up(square: Fraction) -> Fraction:
    # The smallest multiple of 1/65536 that is at least the square root.
    scaled = square * _SCALE_GRID * _SCALE_GRID
    whole = -(-scaled.numerator // scaled.denominator)
    root = math.isqrt(whole)
    return Fraction(root if root * root == whole else root + 1, _SCALE_GRID)
