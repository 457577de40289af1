"""FedProx and server momentum of the bundle `federated_gnn`, number by number, in this process.

That the whole bundle learns with them is asked in test_federated_gnn.py; a setting that did nothing
would pass there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="torch is not installed (the extra `learning`)")
pytest.importorskip("torch_geometric", reason="torch_geometric is not installed")

from benchmarks import federations

Array = NDArray[np.float64]
NODES, CLASSES, HIDDEN = 40, 7, 4
ROOM = 1433 * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES
RATE = 0.05


@pytest.fixture(scope="module")
def capsule() -> dict[str, dict[str, NDArray[np.int64]]]:
    """A ring of nodes of all classes, each with some words of its own class and of others."""
    draw, order = np.random.default_rng(5), np.arange(NODES)
    label, node = order % CLASSES, np.repeat(order, 6)
    return {
        "nodes": {"label": label, "split": np.where(order % 4, 1, 2)},
        "edges": {"source": order, "target": (order + CLASSES) % NODES},
        "features": {"node": node, "feature": label[node] * 20 + draw.integers(0, 40, len(node))},
    }


def told(state: dict[str, Array], number: int, **chosen: object) -> dict[str, Any]:
    """What an entry point is told in round `number`: the bundle's defaults but for what is said."""
    settings = federations.settings(hidden=HIDDEN, rate=RATE, full_weight=1, **chosen)
    return {**federations.plain(settings), "state": state, "round": number, "rounds": 40}


@pytest.fixture(scope="module")
def start() -> Array:
    """The model that a later round begins with: neither the first one nor zeros."""
    return np.random.default_rng(6).normal(size=ROOM) * 0.3


def moved(capsule: Any, start: Array, **chosen: object) -> Array:
    """How far one client at full weight moves `start`."""
    answer = federations.algorithm().contribute(capsule, told({"model": start}, 2, **chosen))
    assert answer["weight"] == [1.0]
    update: Array = answer["update"]
    return update


def test_a_proximal_term_keeps_a_client_nearer_to_where_it_began(
    capsule: Any, start: Array
) -> None:
    far, near, nearest = (
        float(np.linalg.norm(moved(capsule, start, proximal=pull))) for pull in (0, 2, 10)
    )
    assert 0.01 < nearest < 0.8 * near < near < 0.9 * far


def test_the_pull_is_toward_where_the_round_began_and_as_strong_as_it_is_told(
    capsule: Any, start: Array
) -> None:
    """The first step feels no pull; the second, on the same loss, is pulled by the first alone."""
    first = moved(capsule, start, epochs=1, proximal=10)
    np.testing.assert_array_equal(first, moved(capsule, start, epochs=1, proximal=0))
    free, pulled = (moved(capsule, start, epochs=2, proximal=pull) for pull in (0, 10))
    assert np.abs(first).max() > 1e-3
    # The network computes in 32 bits.
    np.testing.assert_allclose(pulled - free, -RATE * 10 * first, atol=1e-6, rtol=0)


def test_momentum_and_the_server_s_rate_make_exactly_this_velocity_and_model() -> None:
    algorithm = federations.algorithm()
    means = np.random.default_rng(7).normal(size=(2, ROOM)) * 0.005
    zeros = {name: np.zeros(ROOM) for name in ("model", "velocity", "kept")}
    state = {**zeros, "record": np.zeros(4)}
    said = np.array([12.0, 8.0, 6.0, 3.0, 4.0, 1.0, 4.0])
    velocity, model = np.zeros(ROOM), algorithm.initial(told(state, 1))
    for number, mean in enumerate(means, start=1):
        assert np.linalg.norm(mean) < algorithm.LONGEST  # so nothing of it is cut
        aggregate = {"update": 2.0 * mean, "weight": np.array([2.0]), "metrics": said}
        found = algorithm.conclude(
            aggregate, told(state, number, momentum="0.5", server_rate="0.5")
        )
        velocity = 0.5 * velocity + mean
        model = model + 0.5 * velocity
        np.testing.assert_array_equal(found["velocity"], velocity)
        np.testing.assert_array_equal(found["model"], model)
        assert found["round"].tolist() == [2.0, np.linalg.norm(0.5 * velocity)]
        state = {name: found[name] for name in state}
    assert np.linalg.norm(velocity - means[1]) > 0.1  # the first round is still in the second's
