"""Cora, its five clients, and forty rounds of them in one process: what a real grid must equal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import open_data

if TYPE_CHECKING:
    from benchmarks.federations import Federation, Outcome
    from graph.learning.citations import Citations

# A territory of real processes is the business of the room `faults`.
for room in ("worker", "faults"):
    sys.path.insert(0, str(Path(__file__).parents[1] / room))
SEED = 1


class Rounds:
    """What a campaign tells of each round."""

    def __init__(self) -> None:
        self.accuracy: list[float] = []
        self.losses: list[float] = []
        self.steps: list[float] = []
        self.weights: list[float] = []

    def __call__(self, _number: int, told: Mapping[str, Any]) -> None:
        self.accuracy.append(float(told["accuracy"][0]))
        self.losses.append(float(told["loss"][1]))
        self.weights.append(float(told["round"][0]))
        self.steps.append(float(told["round"][1]))


@pytest.fixture(scope="session")
def cora() -> Citations:
    pytest.importorskip("torch", reason="torch is not installed (the extra `learning`)")
    pytest.importorskip("torch_geometric", reason="torch_geometric is not installed")
    from benchmarks import federations
    from graph.learning import citations

    return citations.read(open_data.require(federations.CORA))


@pytest.fixture(scope="session")
def clients(cora: Citations) -> Federation:
    from benchmarks.federations import Federation

    return Federation.of_table(cora, SEED)


@pytest.fixture(scope="session")
def forty_rounds(clients: Federation) -> tuple[Outcome, Rounds]:
    """The model of forty rounds and what was heard of each."""
    from benchmarks import federations

    heard = Rounds()
    with federations.sandbox() as zygote:
        blob = federations.settings(seed=SEED, patience=0)
        return clients.train(zygote, blob, progress=heard), heard
