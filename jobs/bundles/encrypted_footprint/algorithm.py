"""Totals of what public bodies bought, times emission factors that somebody else publishes.

Neither total is released: the keyholder multiplies the two sums while they are encrypted and
decrypts the product alone. Two more cells count capsules, so that factors which several
institutions published are averaged and not added up.
"""

import numpy as np

CATEGORIES = 6
CELLS = CATEGORIES + 2


def contribute(capsule, parameters):
    """`quantities` and `factors` (8,): six categories, then the two cells that count."""
    table = capsule["inventory"]
    category = np.asarray(table["category"], np.float64)
    quantities = np.zeros(CELLS)
    factors = np.zeros(CELLS)
    for k in range(CATEGORIES):
        rows = category == k + 1
        quantities[k] = _known(table["quantity"][rows]).sum()
        given = _known(table["factor"][rows])
        given = given[given > 0]
        # A factor that is told in several rows of one capsule is one factor.
        factors[k] = given.mean() if len(given) else 0.0
    # Their products are N x F and N x N, with N capsules of which F hold factors.
    quantities[CATEGORIES:] = 1.0
    factors[CATEGORIES] = float((factors[:CATEGORIES] > 0).any())
    factors[CATEGORIES + 1] = 1.0
    return {"quantities": quantities, "factors": factors}


def conclude(aggregate, parameters):
    """The footprint per category and in all; NaN where no capsule held factors."""
    product = np.asarray(aggregate["footprint"], np.float64)
    both, square = product[CATEGORIES], product[CATEGORIES + 1]
    tables = both / np.sqrt(square) if square > 0 else 0.0
    footprint = product[:CATEGORIES] / tables if tables > 0 else np.full(CATEGORIES, np.nan)
    return {
        "footprint": footprint,
        "total": np.array([footprint.sum()]),
        "factor_tables": np.array([tables]),
    }


def _known(values):
    """The numbers among `values` that are finite and not negative."""
    numbers = np.asarray(values, np.float64)
    return numbers[np.isfinite(numbers) & (numbers >= 0)]
