"""The plain truth about the released statistics, by the textbook and from the records themselves.

Written apart from the bundles, with numpy's own solvers, so that it can tell them wrong. Only the
demo has everybody's records in one place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]


def statistics(
    values: Reals, *, response: int, explanatory: Sequence[int], weight: int, levels: Reals
) -> dict[str, Reals]:
    """Every statistic of `encrypted_statistics` under its report's name, of the same shape.

    `values` (n, k) are the clipped quantities; `response`, `explanatory` and `weight` are columns
    of it, `levels` the quantiles' levels. What the report has no value for is NaN. Histograms are
    left out. Raises LinAlgError where the explanatory columns depend on one another.
    """
    weights = values[:, weight]
    return {
        "persons": np.array([float(len(values))]),
        "means": values.mean(axis=0),
        "variances": values.var(axis=0),
        "covariances": np.cov(values.T, bias=True),
        "correlations": np.corrcoef(values.T),
        "quantiles": np.quantile(values, levels, axis=0, method="inverted_cdf").T,
        "weighted_index": 100 * (weights @ values) / weights.sum() / values.mean(axis=0),
        **_regression(values, response, sorted(explanatory)),
    }


def _regression(values: Reals, response: int, explanatory: Sequence[int]) -> dict[str, Reals]:
    """Ordinary least squares with a constant: homoscedastic standard errors, n - terms freedom."""
    target = values[:, response]
    design = np.column_stack([np.ones(len(values)), *(values[:, k] for k in explanatory)])
    inverse = np.linalg.inv(design.T @ design)
    solution = np.linalg.lstsq(design, target, rcond=None)[0]
    rest = target - design @ solution
    squares = float(rest @ rest)
    residual = squares / (len(values) - design.shape[1])
    places = [0, *(1 + k for k in explanatory)]
    coefficients, errors = (np.full(1 + values.shape[1], np.nan) for _ in range(2))
    coefficients[places] = solution
    errors[places] = np.sqrt(residual * np.diag(inverse))
    return {
        "coefficients": coefficients,
        "standard_errors": errors,
        "explained": np.array([1 - squares / float(((target - target.mean()) ** 2).sum())]),
        "residual_deviation": np.array([residual**0.5]),
    }
