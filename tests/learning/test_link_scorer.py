"""The network that corrects gravity: repeatable, blind to what is held out, and measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (the extra `learning`)")
pytest.importorskip("torch_geometric", reason="torch_geometric is not installed")

from graph.learning.potential import NetworkScorer  # noqa: E402
from graph.model import TerritoryGraph  # noqa: E402
from graph.pairs import Pairs, pairs  # noqa: E402
from graph.ranking import Ranking, rank  # noqa: E402
from graph.reasons import carriers  # noqa: E402
from graph.scoring import GravityScorer, Scores  # noqa: E402
from tests.graph.graph_links import census, first, villages  # noqa: E402


@pytest.fixture(scope="module")
def of() -> Pairs:
    graph = villages()
    return pairs(graph, first(graph))


@pytest.fixture(scope="module")
def known(of: Pairs) -> np.ndarray:
    return np.array([number % 4 != 0 for number in range(len(of))])


def same(one: Scores, two: Scores) -> bool:
    return np.array_equal(one.share, two.share) and np.array_equal(one.presence, two.presence)


def test_untrained_it_says_what_gravity_says(of: Pairs, known: np.ndarray) -> None:
    asked = np.flatnonzero(~known)
    network = NetworkScorer(epochs=0).learn(of, known, 1).scores(of, known, asked)
    plain = GravityScorer().learn(of, known, 1).scores(of, known, asked)
    assert network.share == pytest.approx(plain.share)
    assert network.presence == pytest.approx(plain.presence)


def test_the_seed_decides_and_nothing_else_is_touched(of: Pairs, known: np.ndarray) -> None:
    asked = np.flatnonzero(~known)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    one, again, other = (
        NetworkScorer(epochs=3).learn(of, known, seed).scores(of, known, asked)
        for seed in (1, 1, 2)
    )
    assert same(one, again)
    assert not same(one, other)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_rows_are_distributions(of: Pairs, known: np.ndarray) -> None:
    found = NetworkScorer(epochs=3).learn(of, known, 1).scores(of, known, np.arange(len(of)))
    assert found.share.sum(axis=1) == pytest.approx(np.ones(len(of)))
    assert ((found.presence > 0) & (found.presence < 1)).all()


def test_what_is_held_out_is_never_read(of: Pairs, known: np.ndarray) -> None:
    """Ten times the persons, and edges from nowhere, on held-out pairs change no score."""
    asked = np.flatnonzero(~known)
    persons = np.where(known[:, None], of.persons, of.persons * 10 + 50)
    other = replace(of, persons=persons, released=of.released | ~known[:, None])
    for messages in (True, False):
        scorer = NetworkScorer(messages=messages, epochs=3)
        one = scorer.learn(of, known, 1).scores(of, known, asked)
        two = scorer.learn(other, known, 1).scores(other, known, asked)
        assert same(one, two)


def test_the_order_of_places_and_pairs_changes_no_score(of: Pairs, known: np.ndarray) -> None:
    learnt = NetworkScorer(epochs=5).learn(of, known, 1)
    draw = np.random.default_rng(2)
    rows, place = draw.permutation(len(of)), draw.permutation(len(of.places))
    back = np.argsort(place)  # where each place went
    other = replace(
        of,
        places=tuple(of.places[number] for number in place),
        own=of.own[place],
        position=of.position[place],
        home=back[of.home][rows],
        work=back[of.work][rows],
        km=of.km[rows],
        persons=of.persons[rows],
        half=of.half[rows],
        released=of.released[rows],
    )
    one = learnt.scores(of, known, rows)
    two = learnt.scores(other, known[rows], np.arange(len(of)))
    assert two.share == pytest.approx(one.share)
    assert two.presence == pytest.approx(one.presence)


def test_messages_reach_the_score(of: Pairs, known: np.ndarray) -> None:
    """The switch is a switch: without messages the same seed trains another model."""
    asked = np.flatnonzero(~known)
    told, untold = (
        NetworkScorer(messages=messages, epochs=5).learn(of, known, 1).scores(of, known, asked)
        for messages in (True, False)
    )
    assert not same(told, untold)


@pytest.fixture(scope="module")
def census_graph() -> TerritoryGraph:
    return census()


@pytest.fixture(scope="module")
def ranking(census_graph: TerritoryGraph) -> Ranking:
    return rank(census_graph, scorer="auto", seed=1, repeats=1)  # a quarter of what is published


def test_the_network_against_gravity_on_held_out_edges_of_the_census(ranking: Ranking) -> None:
    network, plain = ranking.measures["gnn"], ranking.measures["gravity"]
    assert (plain.pairs, plain.edges) == (1953, 1607)
    # Measured with four repeats: gravity 0.980 and 0.676, gnn 0.982 and 0.669 (AUC, share
    # log-loss); with one: 0.979 and 0.677, 0.981 and 0.672.
    # Everybody by the territory's own shares: 0.776.
    assert plain.auc > 0.97
    assert plain.share_log_loss < 0.70
    assert network.auc > plain.auc
    assert network.log_loss < plain.log_loss
    assert network.share_log_loss < plain.share_log_loss
    assert ranking.choice is not None
    assert ranking.choice.gain > ranking.choice.error
    assert ranking.fit.name == "gnn"


def test_the_links_of_the_census(ranking: Ranking, census_graph: TerritoryGraph) -> None:
    links = ranking.links
    assert len(links) > 100
    assert all(link.avoided.value > 0 for link in links)
    assert [link.avoided.value for link in links] == sorted(
        (link.avoided.value for link in links), reverse=True
    )
    tonnes = sum(link.avoided.value for link in links) / 1000
    assert 1_000 < tonnes < 5_000
    edges = {(flow.origin, flow.target) for flow in census_graph.flows}
    for link in links[:3]:
        assert link.shift.value < link.persons_instead
        for item in carriers(ranking.pairs, ranking.fit, link):
            assert (item.home, item.work) in edges
