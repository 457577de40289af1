"""The doubly constrained gravity model by way of travel: the baseline of every link scorer.

persons(home, work, mode) = exp(c + b km + g log km) * sent(home) * received(work), fitted by
maximum likelihood (Poisson) on the pairs that are given, with factors of the places drawn to one:
a place that sends nobody in training may still send somebody. All modes together come first, then
each mode against that.
"""

from __future__ import annotations

import numpy as np

from graph.pairs import Flags, Pairs, Reals, Whole

# Persons that stand for "as all others" in a place's factor: two edges of the least size.
DRAWN = 40.0
_SWEEPS = 30
_RIDGE = 1e-3  # of the three coefficients, so that a mode of two edges still has some


def intensities(pairs: Pairs, known: Flags) -> Reals:
    """(P, M): persons that are expected on each pair, learnt from those in `known` alone."""
    terms = np.stack([np.ones(len(pairs)), pairs.km / 10.0, np.log(pairs.km)], axis=1)
    whole = pairs.persons.sum(axis=1)
    start = np.full(len(pairs), max(1e-6, float(whole[known].mean())) if known.any() else 1e-6)
    together = _fitted(pairs, whole, start, terms, known)
    return np.stack(
        [
            _fitted(pairs, pairs.persons[:, mode], together, terms, known)
            for mode in range(len(pairs.modes))
        ],
        axis=1,
    )


def _fitted(pairs: Pairs, persons: Reals, base: Reals, terms: Reals, known: Flags) -> Reals:
    """One Poisson model by turns: the coefficients (Newton), then each side's factors."""
    zones = len(pairs.places)
    sent, received = np.ones(zones), np.ones(zones)
    total = float(persons[known].sum())
    if total <= 0:
        return base * 1e-6  # nobody in training goes this way
    learnt = np.zeros(terms.shape[1])
    learnt[0] = np.log(total / float(base[known].sum()))
    home, work, x, y = pairs.home[known], pairs.work[known], terms[known], persons[known]
    for _ in range(_SWEEPS):
        fixed = base[known] * sent[home] * received[work]
        learnt = _newton(learnt, fixed, x, y)
        shape = base[known] * np.exp(np.clip(x @ learnt, -30, 30))
        sent = _factors(home, y, shape * received[work], zones)
        received = _factors(work, y, shape * sent[home], zones)
    found = base * np.exp(np.clip(terms @ learnt, -30, 30))
    expected: Reals = found * sent[pairs.home] * received[pairs.work]
    return np.maximum(expected, 1e-9)


def _newton(learnt: Reals, fixed: Reals, x: Reals, y: Reals) -> Reals:
    mean = fixed * np.exp(np.clip(x @ learnt, -30, 30))
    slope = x.T @ (y - mean) - _RIDGE * learnt
    bend = (x * mean[:, None]).T @ x + _RIDGE * np.eye(len(learnt))
    step = np.linalg.solve(bend, slope)
    # A Newton step of a far start may overshoot: at most one unit, sweep by sweep.
    limited: Reals = learnt + step / max(1.0, float(np.abs(step).max()))
    return limited


def _factors(zone: Whole, y: Reals, expected: Reals, zones: int) -> Reals:
    found = np.bincount(zone, y, zones) + DRAWN
    return found / (np.bincount(zone, expected, zones) + DRAWN)
