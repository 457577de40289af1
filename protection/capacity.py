"""How many bits one privacy unit's contribution can carry out of its capsule, at most.

The count is of the vectors that the guard lets pass (whole steps inside the clip bound); a
bundle that wanted to smuggle something out could choose among no more than these. Noise then
hides most of it, but what a bundle could try is what the voters are shown.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from protection.accounting import bound_in_steps
from trust.documents.rules import Norm, ReleaseRules

_EXACT_SQUARES = 64  # up to this squared radius the points of a ball are counted, not bounded


def bits_per_release(rules: ReleaseRules) -> float:
    """log2 of the number of distinguishable contributions under `rules` (upper bound)."""
    cells, bound = math.prod(rules.shape), bound_in_steps(rules)
    whole = math.floor(bound)
    box = cells * math.log2(2 * whole + 1)
    match rules.norm:
        case Norm.LINF:
            return box
        case Norm.L1:
            return min(box, _bits_l1(cells, whole))
        case Norm.L2:
            return min(box, _bits_l2(cells, bound * bound))


def _bits_l1(cells: int, bound: int) -> float:
    # Choose k non-zero cells, their signs, and magnitudes that sum to at most the bound.
    if bound <= 4096:
        count = sum(
            math.comb(cells, k) * math.comb(bound, k) << k for k in range(min(cells, bound) + 1)
        )
        return math.log2(count)
    return _chernoff(cells, float(bound), 1)


def _bits_l2(cells: int, square: Fraction) -> float:
    radius = math.floor(square)
    if radius <= _EXACT_SQUARES:
        return math.log2(sum(_sums_of_squares(cells, radius)))
    return _chernoff(cells, float(radius), 2)


def _sums_of_squares(cells: int, radius: int) -> list[int]:
    # ways[r]: vectors of the cells so far whose squares sum to r; one cell more at a time.
    ways = [1] + [0] * radius
    squares = [(k * k, 2 if k else 1) for k in range(math.isqrt(radius) + 1)]
    power = [0] * (radius + 1)
    for value, count in squares:
        power[value] = count
    while cells:
        if cells & 1:
            ways = _product(ways, power)
        power, cells = _product(power, power), cells >> 1
    return ways


def _product(left: list[int], right: list[int]) -> list[int]:
    return [sum(left[i] * right[r - i] for i in range(r + 1)) for r in range(len(left))]


def _chernoff(cells: int, radius: float, power: int) -> float:
    # #{v : sum |v|^p <= R} <= e^(sR) theta(s)^n for every s > 0, theta(s) = sum exp(-s |k|^p).
    # theta(s) <= 1 + 2 * integral, which is closed for both powers.
    rates = np.logspace(-14, 3, 3401)
    integral = 1 / rates if power == 1 else np.sqrt(np.pi / rates) / 2
    first = 2 * np.exp(-rates)  # for large s: 1 + 2 e^-s (1 + integral over the rest)
    theta = np.minimum(1 + 2 * integral, 1 + first * (1 + integral))
    bits = (rates * radius + cells * np.log(theta)) / math.log(2)
    return float(bits.min())
