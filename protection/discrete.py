"""Exact samplers of the discrete Laplace and discrete Gaussian distributions.

After Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy" (NeurIPS
2020), algorithms 1 to 3. Every probability is a ratio of integers and every decision compares
uniform bits with it exactly, so that no floating point rounding distorts a tail (Mironov 2012).

    discrete Laplace, scale t:        P(x) proportional to exp(-|x| / t)
    discrete Gaussian, variance s2:   P(x) proportional to exp(-x^2 / (2 s2))

The running time depends on the drawn value; a worker draws noise for a whole vector at once,
far from anyone who could time one draw.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from protection.errors import RuleRefused
from trust.entropy import Entropy

_WORDS = 1024  # uniform words fetched at once: one call per about 60 draws
_HALF = 1 << 63
# 2^100 steps squared is a deviation of 2^50 steps: more could leave the 64-bit ring.
MAXIMUM_PARAMETER = 1 << 100


class Uniform:
    """Uniform 64-bit words out of `entropy`, buffered."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._words: list[int] = []

    def word(self) -> int:
        """One uniform integer in [0, 2^64)."""
        if not self._words:
            raw = self._entropy(8 * _WORDS)
            self._words = np.frombuffer(raw, "<u8").tolist()
        return self._words.pop()

    def below(self, bound: int) -> int:
        """One uniform integer in [0, bound), by rejection: exactly uniform."""
        bits = (bound - 1).bit_length()
        words = max(1, -(-bits // 64))
        spare = 64 * words - bits
        while True:
            value = self.word()
            for _ in range(words - 1):
                value = value << 64 | self.word()
            value >>= spare
            if value < bound:
                return value

    def bernoulli(self, numerator: int, denominator: int) -> bool:
        """True with probability numerator / denominator exactly (0 <= numerator <= denominator).

        Compares uniform bits with the ratio's binary expansion, 64 at a time; the remainder is
        looked at only when all the bits so far are equal.
        """
        while True:
            digit, numerator = divmod(numerator << 64, denominator)
            word = self.word()
            if word != digit:
                return word < digit
            if numerator == 0:
                return False

    def bernoulli_exp(self, numerator: int, denominator: int) -> bool:
        """True with probability exp(-numerator / denominator) exactly (CKS20, algorithm 1)."""
        while numerator > denominator:
            if not self._bernoulli_exp_fraction(1, 1):
                return False
            numerator -= denominator
        return self._bernoulli_exp_fraction(numerator, denominator)

    def _bernoulli_exp_fraction(self, numerator: int, denominator: int) -> bool:
        # The number of successes in a row of Bernoulli(g/1), Bernoulli(g/2), ... is even with
        # probability exp(-g).
        divisor = denominator
        while self.bernoulli(numerator, divisor):
            divisor += denominator
            if not self.bernoulli(numerator, divisor):
                return False
            divisor += denominator
        return True

    def laplace(self, numerator: int, denominator: int) -> int:
        """One discrete Laplace draw of scale numerator / denominator (CKS20, algorithm 2)."""
        while True:
            low = self.below(numerator)
            if low and not self._bernoulli_exp_fraction(low, numerator):
                continue
            high = 0
            while self._bernoulli_exp_fraction(1, 1):
                high += 1
            magnitude = (low + numerator * high) // denominator
            if self.word() < _HALF:
                return magnitude
            if magnitude:
                return -magnitude

    def gaussian(self, numerator: int, denominator: int) -> int:
        """One discrete Gaussian draw of variance numerator / denominator (CKS20, algorithm 3)."""
        scale = math.isqrt(numerator // denominator) + 1
        shrink = denominator * scale
        below = 2 * numerator * denominator * scale * scale
        while True:
            draw = self.laplace(scale, 1)
            if self.bernoulli_exp((abs(draw) * shrink - numerator) ** 2, below):
                return draw


def laplace(scale: Fraction, cells: int, entropy: Entropy) -> NDArray[np.int64]:
    """`cells` independent discrete Laplace draws of scale `scale` (in steps). Shape (cells,)."""
    _positive(scale)
    uniform = Uniform(entropy)
    draw, up, down = uniform.laplace, scale.numerator, scale.denominator
    return np.array([draw(up, down) for _ in range(cells)], np.int64)


def gaussian(variance: Fraction, cells: int, entropy: Entropy) -> NDArray[np.int64]:
    """`cells` independent discrete Gaussian draws of variance `variance` (in steps squared)."""
    _positive(variance)
    uniform = Uniform(entropy)
    draw, up, down = uniform.gaussian, variance.numerator, variance.denominator
    return np.array([draw(up, down) for _ in range(cells)], np.int64)


def _positive(parameter: Fraction) -> None:
    if not 0 < parameter <= MAXIMUM_PARAMETER:
        raise RuleRefused(
            f"noise of parameter {parameter} cannot be drawn",
            remedy="choose rho, clip bound and step so that the noise is positive and below 2^50",
        )
