"""The noise of a `shared` release: the whole noise from leader and from helper, none per worker.

Each aggregator's noise alone gives the whole guarantee, so a release stays protected when one of
the two adds none, publishes its own, or works with the reader. The price is stated: the sum
varies with twice the variance.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from protection.accounting import FAILURE, noise_of, simultaneous_band, to_text
from protection.errors import SumImplausible
from protection.ring import AGGREGATORS, reach_of
from trust.documents.rules import ReleaseRules
from trust.entropy import Entropy


def draw_noise(
    rules: tuple[ReleaseRules, ...], rounds: int, entropy: Entropy
) -> dict[str, NDArray[np.int64]]:
    """One aggregator's whole noise for one round: steps, in each output's shape.

    Drawn once per batch and persisted before the answer (shares.ShareSum.answer). RuleRefused.
    """
    return {rule.output: noise_of(rule, rounds).draw(rule.shape, entropy) for rule in rules}


def total_variances(rules: tuple[ReleaseRules, ...], rounds: int = 1) -> dict[str, str]:
    """What an opened round states: the variance of both noises per cell, in steps squared."""
    return {rule.output: to_text(AGGREGATORS * noise_of(rule, rounds).variance) for rule in rules}


def total_bands(
    rules: tuple[ReleaseRules, ...], rounds: int = 1, failure: float = FAILURE
) -> dict[str, int]:
    """Half widths (steps) that all cells of an output keep at once, save with `failure`."""
    return {
        rule.output: simultaneous_band(
            noise_of(rule, rounds), AGGREGATORS, int(np.prod(rule.shape)), failure
        )
        for rule in rules
    }


def check_sums(
    rules: tuple[ReleaseRules, ...],
    rounds: int,
    contributors: int,
    sums: Mapping[str, NDArray[np.int64]],
) -> None:
    """Raise SumImplausible where a cell is beyond what `contributors` and the noise can make.

    Shares cannot be checked one by one: a lying worker, a swapped share or a wrong ring only
    shows here, as numbers all over the ring. It reads the noised sums alone, so it tells nobody
    more than they do. A lie within the bound of the whole batch passes.
    """
    for rule in rules:
        reach, cells = reach_of(rule, rounds, contributors), sums[rule.output]
        if cells.size and not (cells.min() >= -reach and cells.max() <= reach):
            raise SumImplausible(
                f"{rule.output}: a sum is beyond what {contributors} contributors and the noise "
                "can make",
                remedy="one report of this batch, or one of the two sums, is not what it claims; "
                "the round gives no release",
            )
