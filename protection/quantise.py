"""From an algorithm's values to whole numbers of steps, and back."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protection.errors import QuantiseRefused, RingOverflow, RuleRefused

# float64 holds every whole number up to 2^53: beyond it, a "number of steps" is not one number.
MAXIMUM_STEPS = 1 << 53
MAXIMUM_WHOLE_STEP = 1 << 31


def to_steps(values: NDArray[Any], step: Fraction) -> NDArray[np.int64]:
    """`values` (int64 or float64, any shape) in whole steps, ties to even. Same shape.

    Deterministic on every IEEE machine: float64 is divided by the step's nearest double and
    rounded half to even; int64 is divided exactly and asks for a whole step.
    Raises QuantiseRefused where a value is not finite or reaches 2^53 steps.
    """
    if step <= 0:
        raise RuleRefused(f"a step of {step} does not quantise", remedy="write a step above 0")
    if values.dtype == np.int64:
        return _whole_to_steps(values, step)
    if values.dtype != np.float64:
        raise QuantiseRefused(f"{values.dtype} is neither int64 nor float64")
    if not np.isfinite(values).all():
        raise QuantiseRefused("a value is not finite", remedy="return numbers, never NaN or inf")
    with np.errstate(over="ignore"):  # an overflow becomes inf and is refused just below
        steps = np.asarray(values / float(step))  # of no dimensions it is a scalar
    np.rint(steps, out=steps)
    if steps.size and not -MAXIMUM_STEPS < float(steps.min()) <= float(steps.max()) < MAXIMUM_STEPS:
        raise QuantiseRefused("a value is 2^53 steps or more from zero")
    return steps.astype(np.int64)


def _whole_to_steps(values: NDArray[np.int64], step: Fraction) -> NDArray[np.int64]:
    if step.denominator != 1 or step > MAXIMUM_WHOLE_STEP:
        raise RuleRefused(
            f"whole numbers are quantised by a whole step, not {step}",
            remedy='write step = 1 for counts, or dtype = "float64"',
        )
    # Compared on both sides: the magnitude of the lowest int64 is not an int64.
    if values.size and not (values.min() > -MAXIMUM_STEPS and values.max() < MAXIMUM_STEPS):
        raise QuantiseRefused("a value is 2^53 or more from zero")
    divisor = step.numerator
    whole, rest = np.divmod(values, divisor)
    up = (2 * rest > divisor) | ((2 * rest == divisor) & (whole % 2 == 1))
    steps: NDArray[np.int64] = whole + up
    return steps


def from_steps(steps: NDArray[np.int64], step: Fraction, dtype: str) -> NDArray[Any]:
    """Whole steps in the output's unit: int64 where `dtype` says so, else float64.

    Raises RingOverflow where a whole number of the unit does not fit 64 bits.
    """
    if dtype == "int64" and step.denominator == 1:
        limit = np.iinfo(np.int64).max // step.numerator
        if steps.size and not (steps.min() >= -limit and steps.max() <= limit):
            raise RingOverflow(
                "a sum of steps does not fit 64 bits in the output's unit",
                remedy="write a smaller bound or fewer contributors",
            )
        return steps * np.int64(step.numerator)
    # One multiplication and one division by exact integers when both fit: fewer roundings than
    # multiplying by the step's nearest double.
    return steps.astype(np.float64) * float(step.numerator) / float(step.denominator)
