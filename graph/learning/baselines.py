"""What federated learning is compared with: everybody alone, and everything in one place.

Both run the bundle's own `contribute` on one capsule after another: a federation of one client is
plain training, so that model, optimiser and drawn numbers are the same on every side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from graph.learning.citations import TEST, VALIDATION, Whole
from protection.columns import Column

JUDGED_EVERY = 5  # judging on the whole graph takes as long as training on a part
Row = NDArray[np.float64]
Capsule = Mapping[str, Mapping[str, Column]]


class Algorithm(Protocol):
    """The functions of the bundle `federated_gnn` that a baseline calls."""

    def initial(self, parameters: Mapping[str, Any]) -> Row:
        """The first model."""

    def contribute(self, capsule: Capsule, parameters: Mapping[str, Any]) -> Mapping[str, Row]:
        """One capsule's answer of one round."""

    def predictions(self, capsule: Capsule, row: Row, parameters: Mapping[str, Any]) -> Whole:
        """The class of each node."""


@dataclass(frozen=True)
class Score:
    """Shares of nodes classified well, each measured on one graph."""

    validation: float
    test: float


def score(algorithm: Algorithm, graph: Capsule, row: Row, parameters: Mapping[str, Any]) -> Score:
    """How well the model `row` does on `graph`."""
    right = algorithm.predictions(graph, row, parameters) == graph["nodes"]["label"]
    split = graph["nodes"]["split"]
    return Score(float(right[split == VALIDATION].mean()), float(right[split == TEST].mean()))


def alone(
    algorithm: Algorithm,
    capsule: Capsule,
    judge: Capsule,
    parameters: Mapping[str, Any],
    rounds: int,
) -> tuple[Row, Score]:
    """The model that `capsule` alone trains in `rounds`: the best on `judge`'s validation nodes.

    `judge` is the graph on which every JUDGED_EVERYth model and the last are measured; where it is
    `capsule` itself, the whole graph, this is central training.
    """
    row = algorithm.initial(parameters)
    best, found = row, score(algorithm, judge, row, parameters)
    state = {"model": row}
    for number in range(1, rounds + 1):
        told = {**parameters, "state": state, "round": number, "rounds": rounds}
        answer = algorithm.contribute(capsule, told)
        if answer["weight"][0]:
            row = row + answer["update"] / answer["weight"][0]
        state = {"model": row}
        if number % JUDGED_EVERY and number != rounds:
            continue
        now = score(algorithm, judge, row, parameters)
        if now.validation > found.validation:
            best, found = row, now
    return best, found


def local(
    algorithm: Algorithm,
    capsules: Sequence[Capsule],
    judge: Capsule,
    parameters: Mapping[str, Any],
    rounds: int,
) -> Score:
    """The mean over clients that each trained alone, every one measured on `judge`."""
    scores = [alone(algorithm, capsule, judge, parameters, rounds)[1] for capsule in capsules]
    return Score(
        float(np.mean([one.validation for one in scores])), float(np.mean([s.test for s in scores]))
    )
