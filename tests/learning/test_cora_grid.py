"""Cora on a real grid: five workers' machines learn what is learnt in one process, bit for bit.

Scheduler, helper, witness and workers are programs; each client's part of the graph is sealed into
a capsule of its own worker; the update of a round is seen by nobody, only the sum of five.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from mortals import pause, until
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
# kill -9: who dies, and after the beginning of which round.
FALLEN = (
    ("work", 4),
    ("worker-2", 9),
    ("helper", 14),
    ("worker-6", 19),
    ("broker", 24),
    ("work", 29),
    ("witness", 34),
)
FALLEN_SEED = 20261202
LOST_SECONDS = 900.0  # a machine that died brings its sandbox up again before it goes on
# Three of five clients, drawn anew for each round.
DRAWN, FEW_ROUNDS = 3, 12
FEW_BAR = 0.8


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


@pytest.fixture(scope="module")
def bundle(place: Standing) -> str:
    return place.admit(built_in_folder("federated_gnn"), library="torch_geometric")


def test_forty_rounds_on_real_workers_give_the_same_model_bit_for_bit(
    place: Standing, bundle: str, clients: Federation, forty_rounds: tuple[Outcome, Rounds]
) -> None:
    from safetensors.numpy import load_file

    from benchmarks import federations
    from graph.learning import baselines

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
    require_equal(model, expected)
    assert judged == expected.score


def test_kills_in_forty_rounds_change_no_bit_of_the_model(
    place: Standing, bundle: str, forty_rounds: tuple[Outcome, Rounds]
) -> None:
    from safetensors.numpy import load_file

    draw, seed = random.Random(FALLEN_SEED), {"seed": SEED, "patience": 0}
    began, campaign = time.monotonic(), place.launch(bundle, **seed)
    for victim, number in FALLEN:

        def reached(least: int = number) -> bool:
            return rounds_of(place, campaign) >= least

        until(f"round {number}", reached, LOST_SECONDS)
        pause(draw.uniform(0.0, 1.5))
        at = rounds_of(place, campaign)
        strike(place, victim)
        print(f"{victim} died in round {at}, {time.monotonic() - began:.1f} s", file=sys.stderr)
    place.require_released(campaign, LOST_SECONDS)
    folder = place.export(campaign)
    require_origin(folder, campaign)
    require_equal(load_file(folder / "model.safetensors"), forty_rounds[0])


def test_a_share_of_the_clients_in_each_round_learns_too(
    place: Standing, clients: Federation
) -> None:
    from safetensors.numpy import load_file

    from benchmarks import federations
    from graph.learning import baselines

    source = place.home / "federated_gnn_drawn"
    shutil.copytree(built_in_folder("federated_gnn"), source)
    manifest = source / "bundle.toml"
    told = manifest.read_text("utf-8")
    for old, new in (
        ("[rounds]\nmaximum = 40\n", f'[rounds]\nmaximum = {FEW_ROUNDS}\nshare = "0.6"\n'),
        ('name = "federated_gnn"', 'name = "federated_gnn_drawn"'),
    ):
        assert told.count(old) == 1
        told = told.replace(old, new)
    manifest.write_text(told, "utf-8")
    campaign = place.launch(place.admit(source, library="torch_geometric"), seed=SEED, patience=0)
    place.require_released(campaign, SECONDS)
    folder = place.export(campaign)
    origin = json.loads((folder / "provenance.json").read_text("utf-8"))
    assert [found["workers"] for found in origin["rounds"]] == [DRAWN] * FEW_ROUNDS
    row = np.asarray(load_file(folder / "model.safetensors")["kept"], np.float64)
    plain = federations.plain(federations.settings(seed=SEED, patience=0))
    assert baselines.score(federations.algorithm(), clients.whole, row, plain).test >= FEW_BAR


def rounds_of(place: Standing, campaign: str) -> int:
    """The number of its newest round, from the scheduler's own database; a command is too slow."""
    with closing(sqlite3.connect(place.home / "scheduler" / "scheduler.db")) as connection:
        query = "SELECT coalesce(max(number), 0) FROM round WHERE campaign = ?"
        found: int = connection.execute(query, [campaign]).fetchone()[0]
    return found


def strike(place: Standing, victim: str) -> None:
    """Kill a program, a whole machine or what reads a machine's capsules."""
    if victim == "broker":
        if not place.mortals.kill_broker(place.workers[0]):
            place.mortals.kill(place.workers[0])  # between two brokers: then the whole machine
    else:
        place.mortals.kill(victim)


def require_equal(model: dict[str, Any], expected: Outcome) -> None:
    """Every array of the model is that of the rounds in one process, to the last bit."""
    assert expected.played.state is not None
    assert set(model) == set(expected.played.state)
    for name, array in expected.played.state.items():
        assert np.asarray(array, np.float64).tobytes() == model[name].tobytes(), name


def require_origin(folder: Path, campaign: str) -> None:
    """The exported model names its campaign and every round of five."""
    origin = json.loads((folder / "provenance.json").read_text("utf-8"))
    assert origin["campaign"] == campaign
    assert [found["number"] for found in origin["rounds"]] == list(range(1, ROUNDS + 1))


def test_the_audit_of_all_of_it_is_green(place: Standing) -> None:
    place.mortals.require_alive()
    place.require_evidence()
