"""Cora on a real grid: five workers' machines learn what is learnt in one process, bit for bit.

Scheduler, helper, witness and workers are programs; each client's part of the graph is sealed into
a capsule of its own worker; the update of a round is seen by nobody, only the sum of five.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from standing import Standing, standing

from jobs.opening import built_in_folder
from tests.learning.conftest import SEED, Rounds

if TYPE_CHECKING:
    from benchmarks.federations import Federation, Outcome

# Two minutes of both cores; where a busy machine starts too few sandboxes in time a round fails: so
# `make soak`. One seed of the same in one process is in test_federated_gnn.py.
pytestmark = [pytest.mark.processes, pytest.mark.sandbox, pytest.mark.soak]
ROUNDS = 40
# The mean of ten seeds is to reach 0.865, the published one is 0.873; this seed gives 0.877.
BAR = 0.87
SECONDS = 420.0


@pytest.fixture(scope="module")
def place(clients: Federation) -> Iterator[Standing]:
    from benchmarks.cora_grid import SITES
    from graph.learning import partitions

    with standing(SITES) as made:
        folder = made.home / "cora"
        for number, client in enumerate(partitions.write(folder, clients.capsules)):
            made.host(number, client, folder / "mapping.toml")
        made.work()
        yield made


def test_forty_rounds_on_real_workers_give_the_same_model_bit_for_bit(
    place: Standing, clients: Federation, forty_rounds: tuple[Outcome, Rounds]
) -> None:
    from safetensors.numpy import load_file

    from benchmarks import federations
    from graph.learning import baselines

    bundle = place.admit(built_in_folder("federated_gnn"), library="torch_geometric")
    began = time.monotonic()
    campaign = place.launch(bundle, seed=SEED, patience=0)
    place.require_released(campaign, SECONDS)
    print(f"{ROUNDS} rounds in {time.monotonic() - began:.1f} s", file=sys.stderr)
    folder = place.export(campaign)
    model = load_file(folder / "model.safetensors")
    plain = federations.plain(federations.settings(seed=SEED, patience=0))
    row = np.asarray(model["kept"], np.float64)
    judged = baselines.score(federations.algorithm(), clients.whole, row, plain)
    assert judged.test >= BAR
    require_origin(folder, campaign)
    expected, _ = forty_rounds
    assert expected.played.state is not None
    assert set(model) == set(expected.played.state)
    for name, array in expected.played.state.items():
        assert np.asarray(array, np.float64).tobytes() == model[name].tobytes(), name
    assert judged == expected.score


def require_origin(folder: Path, campaign: str) -> None:
    """The exported model names its campaign and every round of five."""
    origin = json.loads((folder / "provenance.json").read_text("utf-8"))
    assert origin["campaign"] == campaign
    assert [found["number"] for found in origin["rounds"]] == list(range(1, ROUNDS + 1))


def test_the_audit_of_all_of_it_is_green(place: Standing) -> None:
    place.mortals.require_alive()
    place.require_evidence()
