"""The bundle `federated_gnn` on Cora, in the real sandbox, with shares; one seed of ten."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (the extra `learning`)")
pytest.importorskip("torch_geometric", reason="torch_geometric is not installed")

from benchmarks import cora as cora_table  # noqa: E402
from benchmarks import federations  # noqa: E402
from benchmarks.errors import MeasurementFailed  # noqa: E402
from benchmarks.federations import Federation, Outcome  # noqa: E402
from capsule_runtime import guard  # noqa: E402
from capsule_runtime.sandbox import Zygote  # noqa: E402
from graph.learning import citations, partitions  # noqa: E402
from graph.learning.citations import Citations  # noqa: E402
from protection.ring import Ring, ring_of  # noqa: E402
from tests.learning.conftest import SEED, Rounds  # noqa: E402

pytestmark = pytest.mark.sandbox
# A client whose owner multiplies what it sends; told apart by its number of nodes.
LIAR = """

_honest = contribute


def contribute(capsule, parameters):
    answer = _honest(capsule, parameters)
    if len(capsule["nodes"]["label"]) == {nodes}:
        answer["update"] = answer["update"] * {times}
    return answer
"""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with federations.sandbox() as warm:
        yield warm


def test_forty_rounds_come_near_the_published_accuracy(
    forty_rounds: tuple[Outcome, Rounds],
) -> None:
    """87.3 % +- 1.5 on average; 86.5 asked; this seed gave 87.7 in `bench-learning`."""
    found, heard = forty_rounds
    assert found.rounds == 40
    assert found.played.verdicts == {"accepted": 200}  # no honest update was clipped
    assert found.score.test >= 0.865
    assert heard.accuracy[0] < 0.4 < 0.8 < heard.accuracy[-1]
    assert max(heard.steps) < 1.0  # half of what one round may move


def test_the_same_seed_gives_the_same_bytes(zygote: Zygote, clients: Federation) -> None:
    few = federations.altered(rounds=3)
    blob, apart = (federations.settings(seed=seed, epochs=2) for seed in (SEED, 2))
    first, second = (clients.train(zygote, blob, using=few).played for _ in range(2))
    other = clients.train(zygote, apart, using=few)
    assert first.report == second.report
    assert first.state is not None
    assert second.state is not None
    assert other.played.state is not None
    for name, array in first.state.items():
        assert array.tobytes() == second.state[name].tobytes()
    assert first.state["model"].tobytes() != other.played.state["model"].tobytes()


def test_a_campaign_stops_when_validation_no_longer_improves(
    zygote: Zygote, clients: Federation
) -> None:
    heard = Rounds()
    # Steps too long to go anywhere good.
    blob = federations.settings(seed=SEED, epochs=1, patience=2, rate=1, server_rate=2)
    found = clients.train(zygote, blob, progress=heard)
    best = int(np.argmin(heard.losses))
    assert found.rounds == best + 3 < 40


def test_a_client_that_sends_a_hundred_times_its_update_is_bounded(
    zygote: Zygote, clients: Federation
) -> None:
    nodes = len(clients.capsules[0]["nodes"]["label"])
    assert [len(c["nodes"]["label"]) for c in clients.capsules].count(nodes) == 1
    blob = federations.settings(seed=SEED)
    honest, attacked = Rounds(), Rounds()
    clients.train(zygote, blob, using=federations.altered(rounds=4), progress=honest)
    lying = federations.altered(suffix=LIAR.format(nodes=nodes, times=100), rounds=4)
    found = clients.train(zygote, blob, using=lying, progress=attacked)
    assert found.played.verdicts["clipped"] == found.rounds  # that client, in every round
    # One client's room over the weight of all, on top of what the honest ones do.
    room = 2.0 / attacked.weights[0]
    assert attacked.steps[0] <= honest.steps[0] + room
    assert max(attacked.steps) <= 2.0  # the most that any round may move


def test_what_is_not_a_number_counts_as_nothing(zygote: Zygote, clients: Federation) -> None:
    nodes = len(clients.capsules[0]["nodes"]["label"])
    lying = federations.altered(suffix=LIAR.format(nodes=nodes, times="float('nan')"), rounds=2)
    found = clients.train(zygote, federations.settings(seed=SEED, epochs=1), using=lying)
    assert found.played.verdicts["not-finite"] == found.rounds
    assert found.played.verdicts["accepted"] == 4 * found.rounds


@pytest.mark.parametrize(
    "chosen",
    [
        {"proximal": "0.01"},
        {"momentum": "0.5", "server_rate": "0.5"},
        {"model": "sage", "hidden": 32},
    ],
    ids=["fedprox", "momentum", "sage"],
)
def test_other_ways_to_learn_learn(
    zygote: Zygote, clients: Federation, chosen: dict[str, object]
) -> None:
    heard = Rounds()
    blob = federations.settings(seed=SEED, **chosen)
    found = clients.train(zygote, blob, using=federations.altered(rounds=6), progress=heard)
    assert "no-frame" not in found.played.verdicts
    assert found.played.verdicts.get("clipped", 0) == 0
    assert max(heard.accuracy) > 0.6


def test_a_model_without_room_ends_the_campaign_with_a_reason(
    zygote: Zygote, clients: Federation
) -> None:
    with pytest.raises(MeasurementFailed, match="184391 numbers, the bundle has room for 92231"):
        clients.train(zygote, federations.settings(model="sage", hidden=64))


def test_a_bundle_with_more_room_carries_graphsage_of_64_units(
    zygote: Zygote, clients: Federation
) -> None:
    """All that differs is four lengths in bundle.toml."""
    heard = Rounds()
    roomy = federations.altered(rounds=4, room=cora_table.SAGE_ROOM)
    blob = federations.settings(seed=SEED, model="sage", hidden=64)
    found = clients.train(zygote, blob, using=roomy, progress=heard)
    assert found.played.verdicts == {"accepted": 20}
    assert max(heard.accuracy) > 0.6
    assert found.played.state is not None
    assert np.count_nonzero(found.played.state["model"]) > 180_000


def test_room_that_a_model_does_not_need_changes_nothing(
    zygote: Zygote, clients: Federation
) -> None:
    blob = federations.settings(seed=SEED, epochs=2)
    exact = clients.train(zygote, blob, using=federations.altered(rounds=2)).played
    roomy = clients.train(zygote, blob, using=federations.altered(rounds=2, room=100_000)).played
    assert exact.report == roomy.report
    assert exact.state is not None
    assert roomy.state is not None
    size = len(exact.state["model"])
    assert exact.state["model"].tobytes() == roomy.state["model"][:size].tobytes()
    assert not roomy.state["model"][size:].any()


def test_the_sum_of_a_hundred_clients_fits_its_ring() -> None:
    program = federations.program()
    rings = {rule.output: ring_of(rule, program.rounds) for rule in program.rules}
    assert rings == {"update": Ring.NARROW, "weight": Ring.NARROW, "metrics": Ring.WIDE}
    assert guard.frame_bytes(program.rules) == 8 * (92231 + 1 + 7)


def test_neighbours_beyond_the_border_come_without_their_labels(cora: Citations) -> None:
    parts = partitions.at_random(cora, 7, SEED)
    alone, extended = (partitions.tables_of(cora, cora.split, parts[0], hops=h) for h in (0, 1))
    own = len(parts[0])
    assert len(alone["nodes"]["label"]) == own < len(extended["nodes"]["label"])
    for name in ("label", "split"):
        assert (extended["nodes"][name][:own] == alone["nodes"][name]).all()
    assert set(extended["nodes"]["label"][own:]) == {partitions.UNKNOWN}
    assert set(extended["nodes"]["split"][own:]) == {0}
    ends = np.stack([extended["edges"]["source"], extended["edges"]["target"]])
    assert (ends < own).any(axis=0).all()
    crossing = (np.isin(cora.edges, parts[0]).sum(axis=0) == 1).sum()
    assert len(extended["edges"]["source"]) - len(alone["edges"]["source"]) == crossing


def test_by_number_the_first_client_holds_all_training_nodes(cora: Citations) -> None:
    """Why FedGCN's logged runs without an exchange have one client that learns."""
    parts = partitions.by_number(cora)
    assert [len(part) for part in parts] == np.bincount(cora.labels).tolist()
    assert np.concatenate(parts).tolist() == list(range(2708))
    training = [(cora.split[part] == citations.TRAINING).sum() for part in parts]
    assert training == [140, 0, 0, 0, 0, 0, 0]


def test_communities_are_dealt_to_clients_of_one_size(cora: Citations) -> None:
    parts = partitions.by_communities(cora, 5, SEED)
    assert sorted(np.concatenate(parts).tolist()) == list(range(2708))
    assert max(map(len, parts)) <= 2708 // 5 + partitions.SLACK
    split = partitions.drawn_split(cora, SEED)
    # Two classes have fewer than 232 nodes, so all of them train: FederatedScope's split too.
    assert np.bincount(split).tolist() == [0, 1557, 542, 609]
