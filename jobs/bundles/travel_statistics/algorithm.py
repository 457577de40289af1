"""Means, variances and correlations of five quantities of a trip to work.

Each person's five values are clipped and scaled to [-1, 1]; the capsule answers with a one,
the five values and their fifteen products. From the noised sums of those 21 numbers `conclude`
computes every moment.
"""

import numpy as np

QUANTITIES = ("distance", "time", "cost", "income", "vehicles")
CLIPS = np.array([50.0, 90.0, 600.0, 145.0, 6.0])
PAIRS = np.triu_indices(5)  # the 15 pairs (i, j) with i <= j, row by row
# What each statistic of values inside the clips can be: a variance is at most (range / 2)^2.
RANGES = {
    "means": (np.zeros(5), CLIPS),
    "variances": (np.zeros(5), (CLIPS / 2.0) ** 2),
    "correlations": (-np.ones((5, 5)), np.ones((5, 5))),
}
DRAWS = 4000
SEED = 20210907  # fixed, so that an auditor who runs this again gets the same bands


def contribute(capsule, parameters):
    """Shape (21,): 1, x, and x_i x_j for i <= j, each in [-1, 1]."""
    table = capsule["travel"]
    values = np.array([float(table[name][0]) for name in QUANTITIES])
    scaled = np.clip(values, 0.0, CLIPS) / CLIPS * 2.0 - 1.0
    return {"moments": np.concatenate([[1.0], scaled, (scaled[:, None] * scaled)[PAIRS]])}


def conclude(aggregate, parameters):
    """Every statistic with its 95 % band, in the quantities' own units.

    The band is found by simulation: the noise's variance is known, so the released sums are
    shaken with Gaussian noise of that variance and every statistic is computed again. Where the
    sums are too noisy to say anything, the band is everything that the clips allow.
    """
    released = aggregate["moments"]
    deviation = np.sqrt(aggregate["moments.variance"])
    noise = np.random.default_rng(SEED).standard_normal((DRAWS, released.size))
    values, shaken = _statistics(released[None, :]), _statistics(released + noise * deviation)
    report = {}
    for name, (least, most) in RANGES.items():
        value = values[name][0]
        lower, upper = _band(shaken[name])
        unknown = ~np.isfinite(value + lower + upper)
        value = np.where(np.isfinite(value), value, (least + most) / 2)
        report[name] = np.clip(value, least, most)
        # A statistic that is not linear in the sums need not lie inside its own percentiles.
        report[name + "_lower"] = np.clip(
            np.where(unknown, least, np.minimum(lower, value)), least, most
        )
        report[name + "_upper"] = np.clip(
            np.where(unknown, most, np.maximum(upper, value)), least, most
        )
    persons, half = released[:1], 1.959964 * deviation[:1]
    return {
        "persons": persons,
        "persons_lower": persons - half,
        "persons_upper": persons + half,
        **report,
    }


def _statistics(sums):
    """The statistics of each row of `sums` (rows, 21); NaN where nothing can be said."""
    count = np.where(sums[:, :1] >= 1.0, sums[:, :1], np.nan)
    means = sums[:, 1:6] / count
    covariances = np.zeros((len(sums), 5, 5))
    covariances[:, PAIRS[0], PAIRS[1]] = sums[:, 6:] / count
    covariances[:, PAIRS[1], PAIRS[0]] = sums[:, 6:] / count
    covariances -= means[:, :, None] * means[:, None, :]
    variances = np.einsum("nii->ni", covariances)
    scale = np.sqrt(np.where(variances > 0.0, variances, np.nan))
    return {
        "means": (means + 1.0) * CLIPS / 2.0,
        "variances": variances * (CLIPS / 2.0) ** 2,
        "correlations": covariances / (scale[:, :, None] * scale[:, None, :]),
    }


def _band(draws):
    """The 2.5 and 97.5 percentiles over the first axis; NaN where a draw is undefined."""
    ordered = np.sort(draws, axis=0)  # NaN sorts last
    lower = ordered[int(0.025 * DRAWS)]
    upper = ordered[int(0.975 * DRAWS) - 1]
    undefined = np.isnan(ordered[-1])
    return np.where(undefined, np.nan, lower), np.where(undefined, np.nan, upper)
