"""Clipping of integer vectors: the norm of the result never exceeds the bound, exactly.

It works after quantising, because rounding can push a vector that was inside the bound out of
it. A vector inside the bound comes back unchanged; any other is scaled down cell by cell with
integer arithmetic and rounded towards zero, which can only shorten it.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from protection.errors import RuleRefused
from trust.documents.rules import Norm


def clip(vector: NDArray[np.int64], norm: Norm, bound: Fraction) -> NDArray[np.int64]:
    """`vector` (any shape, in steps) with its `norm` at most `bound` steps. Same shape."""
    if bound < 0:
        raise RuleRefused(f"a clip bound of {bound} is negative", remedy="write a bound above 0")
    match norm:
        case Norm.LINF:
            limit = min(math.floor(bound), np.iinfo(np.int64).max)
            if not vector.size or (vector.min() >= -limit and vector.max() <= limit):
                return vector
            return np.clip(vector, -limit, limit)
        case Norm.L1:
            return _scaled_l1(vector, math.floor(bound))
        case Norm.L2:
            return _scaled_l2(vector, bound * bound)


def l1(vector: NDArray[np.int64]) -> int:
    """The sum of magnitudes, exact whatever the values."""
    return sum(abs(value) for value in vector.ravel().tolist())


def l2_squared(vector: NDArray[np.int64]) -> int:
    """The sum of squares, exact whatever the values."""
    return sum(value * value for value in vector.ravel().tolist())


def _scaled_l1(vector: NDArray[np.int64], bound: int) -> NDArray[np.int64]:
    length = l1(vector)
    if length <= bound:
        return vector
    cells = [
        _towards_zero(value, abs(value) * bound // length) for value in vector.ravel().tolist()
    ]
    return np.array(cells, np.int64).reshape(vector.shape)


def _scaled_l2(vector: NDArray[np.int64], bound_squared: Fraction) -> NDArray[np.int64]:
    length = l2_squared(vector)
    if length <= bound_squared:
        return vector
    # Each cell becomes floor(|v| * bound / length): the square of that is at most
    # v^2 * bound^2 / length^2, and those sum to bound^2.
    up, down = bound_squared.numerator, bound_squared.denominator * length
    cells = [
        _towards_zero(value, math.isqrt(value * value * up // down))
        for value in vector.ravel().tolist()
    ]
    return np.array(cells, np.int64).reshape(vector.shape)


def _towards_zero(value: int, magnitude: int) -> int:
    return magnitude if value >= 0 else -magnitude
