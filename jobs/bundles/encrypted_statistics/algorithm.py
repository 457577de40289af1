"""Statistics of five quantities of a trip to work, from nothing but one sum over everybody.

`contribute` answers with whole numbers of steps that can be added, by anybody and under any
protection: a one, the scaled values, their squares and products, and one bin of a histogram per
quantity. Everything that divides, inverts or looks for a quantile happens in `conclude`, on the
noised sums alone. README.md gives the formulas and what the bands cover.
"""

import numpy as np

QUANTITIES = ("distance", "time", "cost", "income", "vehicles")
LEAST = np.array([0.0, 0.0, 0.0, 0.0, 0.0])  # each value is clipped to [LEAST, MOST]
MOST = np.array([50.0, 90.0, 600.0, 145.0, 6.0])
BINS = 40
LEVELS = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
NONE = "none"  # what an explanatory parameter says when it is not used

COUNT = len(QUANTITIES)
PAIRS = np.triu_indices(COUNT, 1)  # the 10 pairs (i, j) with i < j, row by row
EDGES = LEAST[:, None] + (MOST - LEAST)[:, None] * np.linspace(0.0, 1.0, BINS + 1)
HALF = (MOST - LEAST) / 2.0
Z = 1.959963984540054  # 97.5 % point of the normal distribution
DRAWS = 4000
SEED = 20261122  # fixed, so that an auditor who runs this again gets the same bands
# A share of a variable's variance that the others do not explain: under it they are one variable
# to the sums' own rounding, however little noise there is.
SINGULAR = 1e-6


def contribute(capsule, parameters):
    """`moments` (21,): 1, x, 2 x^2 - 1, x_i x_j; `histogram` (5, BINS): a one per quantity.

    x lies in [-1, 1], hence every moment too. No row, or a value that is no number: zeros.
    """
    table = capsule["travel"]
    moments = np.zeros(1 + 2 * COUNT + len(PAIRS[0]))
    histogram = np.zeros((COUNT, BINS), np.int64)
    if len(table[QUANTITIES[0]]):
        values = np.array([float(table[name][0]) for name in QUANTITIES])
        if np.isfinite(values).all():
            share = (np.clip(values, LEAST, MOST) - LEAST) / (MOST - LEAST)
            x = 2.0 * share - 1.0
            moments = np.concatenate([[1.0], x, 2.0 * x * x - 1.0, (x[:, None] * x)[PAIRS]])
            bins = np.minimum((share * BINS).astype(np.int64), BINS - 1)
            histogram[np.arange(COUNT), bins] = 1
    return {"moments": moments, "histogram": histogram}


def conclude(aggregate, parameters):
    """Every statistic with its 95 % band, in the quantities' own units; NaN is no value."""
    sums, histogram = aggregate["moments"], aggregate["histogram"]
    deviation = np.sqrt(aggregate["moments.variance"])
    noise = np.random.default_rng(SEED).standard_normal((DRAWS, sums.size))
    # The first row is what was released, the others are it with the same noise once more.
    shaken = _statistics(np.vstack([sums[None, :], sums + noise * deviation]), parameters)
    report = _banded("persons", _normal(sums[:1], deviation[:1]))
    for name, draws in shaken.items():
        report |= _banded(name, (draws[0], *_percentiles(draws)), *_range(name))
    variance = aggregate["histogram.variance"]
    report |= _banded("histogram", _normal(histogram.astype(float), np.sqrt(variance)), 0.0)
    return report | _banded("quantiles", _quantiles(histogram, variance))


def _statistics(sums, parameters):
    """The statistics of each row of `sums` (rows, 21); NaN where nothing can be said."""
    count = np.where(sums[:, :1] >= 1.0, sums[:, :1], np.nan)
    average = sums[:, 1:] / count
    scaled = average[:, :COUNT]
    means = LEAST + (scaled + 1.0) * HALF
    covariances = np.empty((len(sums), COUNT, COUNT))
    covariances[:, PAIRS[0], PAIRS[1]] = average[:, 2 * COUNT :]
    covariances[:, PAIRS[1], PAIRS[0]] = average[:, 2 * COUNT :]
    diagonal = np.arange(COUNT)
    covariances[:, diagonal, diagonal] = (average[:, COUNT : 2 * COUNT] + 1.0) / 2.0
    covariances -= scaled[:, :, None] * scaled[:, None, :]
    covariances *= HALF[:, None] * HALF
    variances = covariances[:, diagonal, diagonal]
    positive = np.where(variances > SINGULAR * HALF**2, variances, np.nan)
    spread = np.sqrt(positive)
    correlations = covariances / (spread[:, :, None] * spread[:, None, :])
    weight = QUANTITIES.index(parameters["weight"])
    # What is released has to be positive; its band may well begin at zero.
    variances[0], covariances[0, diagonal, diagonal] = positive[0], positive[0]
    return {
        "means": means,
        "variances": variances,
        "covariances": covariances,
        "correlations": correlations,
        "weighted_index": _weighted_index(means, covariances[:, weight], weight),
        **_regression(count, means, spread, correlations, parameters),
    }


def _weighted_index(means, covariances, weight):
    """100 x (sum of weight times value / sum of weights) / the plain mean, per quantity.

    The mean of w x is cov(w, x) + mean(w) mean(x), so the index is 100 (1 + cov / (mean mean)).
    """
    positive = np.where(means > 0.0, means, np.nan)
    return 100.0 * (1.0 + covariances / (positive[:, weight : weight + 1] * positive))


def _regression(count, means, spread, correlations, parameters):
    """Least squares of the response on a constant and the explanatory quantities."""
    response = QUANTITIES.index(parameters["response"])
    named = {parameters[f"explanatory_{k}"] for k in (1, 2, 3)} - {NONE, parameters["response"]}
    chosen = [k for k, name in enumerate(QUANTITIES) if name in named]
    terms = len(chosen)
    order = [*chosen, response]
    swept = _sweep(correlations[:, order][:, :, order], terms)
    unexplained = swept[:, terms, terms]
    unexplained = np.where(unexplained > SINGULAR, unexplained, np.nan)[:, None]
    freedom = count - terms - 1
    scale = spread[:, response : response + 1]
    residual = scale**2 * unexplained * count / np.where(freedom > 0.0, freedom, np.nan)
    inverse = -swept[:, :terms, :terms] / (spread[:, chosen, None] * spread[:, None, chosen])
    slopes = swept[:, :terms, terms] * scale / spread[:, chosen]
    centre = means[:, chosen]
    leverage = 1.0 + np.einsum("ni,nij,nj->n", centre, inverse, centre)
    coefficients = np.full((len(count), 1 + COUNT), np.nan)
    errors = coefficients.copy()
    places = [1 + k for k in chosen]
    coefficients[:, places] = slopes
    coefficients[:, 0] = means[:, response] - np.einsum("ni,ni->n", slopes, centre)
    errors[:, places] = np.sqrt(residual / count * np.einsum("nii->ni", inverse))
    errors[:, :1] = np.sqrt(residual / count * leverage[:, None])
    return {
        "coefficients": coefficients,
        "standard_errors": errors,
        "explained": 1.0 - unexplained,
        "residual_deviation": np.sqrt(residual),
    }


def _sweep(matrices, terms):
    """Each matrix swept on its first `terms` rows: minus the inverse, the slopes, the rest.

    Goodnight's operator (1979). A pivot is the share of a variable that those before it do not
    explain; where one is not clearly positive the whole matrix becomes NaN. Written out because
    numpy's own solvers raise on one singular matrix of thousands, and differ between builds.
    """
    matrices = matrices.copy()
    for k in range(terms):
        pivot = matrices[:, k, k]
        pivot = np.where(pivot > SINGULAR, pivot, np.nan)[:, None]
        row, column = matrices[:, k, :] / pivot, matrices[:, :, k].copy()
        matrices -= column[:, :, None] * row[:, None, :]
        matrices[:, k, :], matrices[:, :, k] = row, column / pivot
        matrices[:, k, k] = -1.0 / pivot[:, 0]
    return matrices


def _quantiles(histogram, variance):
    """Value, lower and upper (5, LEVELS), the band by inverting a test on every bin's edge.

    The quantile at p lies in the first bin b whose balance g_b = sum_{<= b} h - p sum h is not
    negative. g_b is a sum of noised counts, so its noise is exactly known: bins are ruled out
    where g_b is surely negative (all below) or surely not (all above).
    """
    p = LEVELS[None, :, None]
    below, total = np.cumsum(histogram, axis=1)[:, None, :], histogram.sum(axis=1)[:, None, None]
    noise = np.cumsum(variance, axis=1)[:, None, :]
    rest = variance.sum(axis=1)[:, None, None] - noise
    balance = below - p * total
    slack = Z * np.sqrt(noise * (1.0 - p) ** 2 + rest * p**2)
    reached, short = balance + slack >= 0.0, balance - slack < 0.0
    known = reached.any(axis=2) & ~short[:, :, -1]
    first = np.argmax(reached, axis=2)
    last = np.where(short.any(axis=2), BINS - np.argmax(short[:, :, ::-1], axis=2), 0)
    rows = np.arange(COUNT)[:, None]
    lower = np.where(known, EDGES[rows, first], np.nan)
    upper = np.where(known, EDGES[rows, np.minimum(last, BINS - 1) + 1], np.nan)
    # Noise makes cumulated counts go down in places: between the two rising curves around them.
    rising = np.maximum.accumulate(below, axis=2)
    rising = (rising + np.minimum.accumulate(below[:, :, ::-1], axis=2)[:, :, ::-1]) / 2.0
    value = np.array(
        [
            np.interp(LEVELS * curve[0, -1], np.append(0.0, curve[0]), edges)
            for curve, edges in zip(np.maximum(rising, 0.0), EDGES, strict=True)
        ]
    )
    return np.clip(value, lower, upper), lower, upper


def _range(name):
    """What a statistic of values inside the clips can be: least, most."""
    return {
        "means": (LEAST, MOST),
        "variances": (0.0, HALF**2),  # at most (range / 2)^2
        "covariances": (-HALF[:, None] * HALF, HALF[:, None] * HALF),
        "correlations": (-1.0, 1.0),
        "weighted_index": (0.0, np.inf),
        "coefficients": (-np.inf, np.inf),
        "standard_errors": (0.0, np.inf),
        "explained": (0.0, 1.0),
        "residual_deviation": (0.0, np.inf),
    }[name]


def _normal(values, deviation):
    """A released sum itself: value, lower, upper."""
    return values, values - Z * deviation, values + Z * deviation


def _percentiles(draws):
    """The 2.5 and 97.5 percentiles; NaN unless every draw is defined."""
    ordered = np.sort(draws, axis=0)  # NaN sorts last
    ends = ordered[int(0.025 * DRAWS)], ordered[int(0.975 * DRAWS)]
    return tuple(np.where(np.isnan(ordered[-1]), np.nan, end) for end in ends)


def _banded(name, told, least=-np.inf, most=np.inf):
    """Value, lower and upper inside what is possible; no value without a band, nor the reverse."""
    value, lower, upper = told
    known = np.isfinite(value + lower + upper)
    # A statistic that is not linear in the sums need not lie inside its own percentiles.
    triple = (value, np.minimum(lower, value), np.maximum(upper, value))
    found = [np.where(known, np.clip(array, least, most), np.nan) for array in triple]
    return {name: found[0], name + "_lower": found[1], name + "_upper": found[2]}
