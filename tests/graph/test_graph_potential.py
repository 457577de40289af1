"""Which links are worth strengthening: by hand, under permutation, with bands, and nothing else."""

from __future__ import annotations

import math
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays

from graph import gravity
from graph.errors import PotentialRefused
from graph.model import Factor
from graph.pairs import Pairs, pairs
from graph.pictures import links as picture
from graph.potential import CAR, Kind, Potential, difference, potentials, product, shifts
from graph.ranking import rank
from graph.reasons import Speaker, carriers
from graph.scoring import (
    GravityScorer,
    Scores,
    auc,
    choose,
    cross_fit,
    measure,
)
from tests.graph.graph_links import first, tiny, villages

TRANSIT, WHEELS = "resource:mode.transit", "resource:mode.two-wheels"


def factor(mode: str, value: str, low: str, high: str) -> Factor:
    return Factor(mode, value, low, high, "kgCO2e/km", "source:factors")


FACTORS = {
    CAR: factor(CAR, "0.2", "0.15", "0.25"),
    TRANSIT: factor(TRANSIT, "0.05", "0", "0.1"),
    WHEELS: factor(WHEELS, "0.1", "0", "0.2"),
}


def scores(share: list[list[float]], presence: float = 0.9) -> Scores:
    return Scores(np.array(share), np.full((len(share), 3), presence))


def test_the_ranking_is_the_one_by_hand() -> None:
    # 200 persons by car, 100 by transit, 100 on two wheels; 0.25 : 0.55 : 0.2 would be plausible.
    # The car has 100 too many; transit lacks 120, two wheels have 20 too many: 100 move to transit.
    of = tiny([[200, 100, 100], [300, 100, 100]], km=[10, 2])
    # Second pair: 0.4 : 0.4 : 0.2 of 500: 100 leave the car, all to transit.
    found = potentials(
        of, scores([[0.25, 0.55, 0.2], [0.4, 0.4, 0.2]]), FACTORS, days=200
    )  # fmt: skip
    assert [(link.home, link.mode, link.kind) for link in found] == [
        ("place:0", TRANSIT, Kind.STRENGTHEN),
        ("place:1", TRANSIT, Kind.STRENGTHEN),
    ]
    # 100 persons x 2 trips x 10 km x 200 days x (0.2 - 0.05); from 0.15 - 0.1 to 0.25 - 0.
    assert found[0].avoided.value == pytest.approx(60_000)
    assert found[0].avoided.low == pytest.approx(20_000)
    assert found[0].avoided.high == pytest.approx(100_000)
    assert found[0].shift.value == pytest.approx(100)
    assert (found[0].share, found[0].plausible) == (0.25, 0.55)
    assert found[1].avoided.value == pytest.approx(12_000)
    assert found[0].sources == ("source:factors", "source:trips")


def test_who_leaves_the_car_is_shared_out_and_counted_once() -> None:
    of = tiny([[300, 60, 40]], km=[5])
    found = potentials(of, scores([[0.25, 0.45, 0.3]]), FACTORS)
    # 200 leave: transit lacks 120, two wheels lack 80.
    assert {link.mode: round(link.shift.value) for link in found} == {TRANSIT: 120, WHEELS: 80}


def test_a_link_is_created_only_where_it_would_be_released_and_is_likely() -> None:
    of = tiny([[400, 0, 100]], km=[5])
    wanted = [[0.5, 0.3, 0.2]]
    (created,) = [x for x in potentials(of, scores(wanted), FACTORS) if x.mode == TRANSIT]
    assert (created.kind, created.persons) == (Kind.CREATE, None)
    # 510 persons, of whom 10 give or take 10 may go by transit already, withheld.
    assert created.share == pytest.approx(10 / 510)
    assert created.shift.low < created.shift.value < created.shift.high
    unlikely = potentials(of, scores(wanted, presence=0.4), FACTORS)
    assert TRANSIT not in {link.mode for link in unlikely}
    few = potentials(of, scores([[0.5, 0.03, 0.47]]), FACTORS)
    assert TRANSIT not in {link.mode for link in few}


def test_bands_of_the_release_widen_the_range() -> None:
    plain = tiny([[200, 100, 100]], km=[10])
    banded = tiny([[200, 100, 100]], km=[10], half=[[9, 9, 9]])
    share = scores([[0.25, 0.55, 0.2]])
    (sharp,), (wide,) = (potentials(of, share, FACTORS) for of in (plain, banded))
    assert (sharp.shift.low, sharp.shift.high) == (sharp.shift.value, sharp.shift.value)
    # All who leave the car go to transit: 0.75 by the car's persons, -0.25 by each of the others'.
    half = 9 * math.sqrt(0.75**2 + 0.25**2 + 0.25**2)
    assert wide.shift.high - wide.shift.value == pytest.approx(half)
    assert wide.avoided.low < sharp.avoided.low
    assert wide.avoided.high > sharp.avoided.high
    assert wide.avoided.value == sharp.avoided.value


def test_bands_are_the_derivatives() -> None:
    persons, share = np.array([300.0, 60.0, 40.0, 30.0]), np.array([0.3, 0.35, 0.25, 0.1])
    moved, band = shifts(persons, np.array([5.0, 0, 0, 0]), share, 0)
    more, _ = shifts(persons + np.array([1e-4, 0, 0, 0]), np.zeros(4), share, 0)
    assert band == pytest.approx(np.abs(more - moved) / 1e-4 * 5, abs=1e-4)


@given(
    persons=arrays.arrays(np.float64, 4, elements=some.floats(20, 5000)),
    weights=arrays.arrays(np.float64, 4, elements=some.floats(0.01, 1)),
)
def test_nobody_is_counted_twice(persons: np.ndarray, weights: np.ndarray) -> None:
    moved, band = shifts(persons, persons / 10, weights / weights.sum(), 0)
    surplus = persons[0] - persons.sum() * weights[0] / weights.sum()
    assert moved.sum() == pytest.approx(max(0.0, surplus), rel=1e-6, abs=1e-6)
    assert (moved >= 0).all()
    assert np.isfinite(band).all()


@settings(max_examples=50)
@given(data=some.data())
def test_nothing_that_avoids_nothing_is_ranked(data: some.DataObject) -> None:
    number = some.floats(0, 0.3).map(lambda value: f"{value:.4f}")
    factors = {}
    for mode in (CAR, TRANSIT, WHEELS):
        low, value, high = sorted(data.draw(some.tuples(number, number, number)), key=float)
        factors[mode] = factor(mode, value, low, high)
    counts = data.draw(
        arrays.arrays(np.float64, (3, 3), elements=some.sampled_from([0.0, 20, 90, 700]))
    )
    half = data.draw(arrays.arrays(np.float64, (3, 3), elements=some.floats(0, 400)))
    weights = data.draw(arrays.arrays(np.float64, (3, 3), elements=some.floats(0.01, 1)))
    of = tiny(counts.tolist(), km=[1, 5, 20], half=half.tolist())
    share = weights / weights.sum(axis=1, keepdims=True)
    for link in potentials(of, scores(share.tolist()), factors):
        assert link.avoided.value > 0
        assert 0 <= link.avoided.low <= link.avoided.value <= link.avoided.high
        assert link.shift.high <= link.persons_instead
        assert link.saved.value > 0


def test_a_way_that_emits_more_than_the_car_is_left_out() -> None:
    of = tiny([[300, 60, 40]], km=[5])
    dirty = FACTORS | {TRANSIT: factor(TRANSIT, "0.3", "0.2", "0.4")}
    assert [x.mode for x in potentials(of, scores([[0.25, 0.45, 0.3]]), dirty)] == [WHEELS]
    assert potentials(of, scores([[0.25, 0.45, 0.3]]), {TRANSIT: FACTORS[TRANSIT]}) == []


def test_the_low_end_is_not_under_nothing() -> None:
    saved = difference(FACTORS[CAR], factor(TRANSIT, "0.1", "0.05", "0.24"))
    assert saved.low < 0
    (link,) = potentials(
        tiny([[200, 100, 100]], km=[10]),
        scores([[0.25, 0.55, 0.2]]),
        FACTORS | {TRANSIT: factor(TRANSIT, "0.1", "0.05", "0.24")},
    )
    assert link.avoided.low == 0
    assert product(link.shift, link.km, link.days, link.saved) == link.avoided


def permuted(of: Pairs, rows: np.ndarray, columns: np.ndarray) -> Pairs:
    return replace(
        of,
        modes=tuple(of.modes[column] for column in columns),
        home=of.home[rows],
        work=of.work[rows],
        km=of.km[rows],
        persons=of.persons[rows][:, columns],
        half=of.half[rows][:, columns],
        released=of.released[rows][:, columns],
    )


def told(links: list[Potential]) -> list[tuple[object, ...]]:
    return [
        (link.home, link.work, link.mode, round(link.avoided.value, 6), round(link.avoided.high, 6))
        for link in links
    ]


@given(seed=some.integers(0, 1000))
@settings(max_examples=20)
def test_the_order_of_rows_and_ways_changes_nothing(seed: int) -> None:
    draw = np.random.default_rng(seed)
    of = tiny(draw.choice([0.0, 40, 300, 900], (6, 3)).tolist(), km=draw.uniform(1, 20, 6).tolist())
    share = draw.dirichlet([1, 1, 1], 6)
    rows, columns = draw.permutation(6), draw.permutation(3)
    again = potentials(
        permuted(of, rows, columns), scores(share[rows][:, columns].tolist()), FACTORS
    )
    assert told(again) == told(potentials(of, scores(share.tolist()), FACTORS))


def test_gravity_and_its_curves_do_not_depend_on_the_order() -> None:
    of = pairs(villages(), first(villages()))
    draw = np.random.default_rng(3)
    rows = draw.permutation(len(of))
    columns = np.arange(len(of.modes))
    known = draw.random(len(of)) < 0.8
    other = permuted(of, rows, columns)
    asked = np.arange(len(of))
    one = GravityScorer().learn(of, known, 1).scores(of, known, asked)
    two = GravityScorer().learn(other, known[rows], 1).scores(other, known[rows], asked)
    assert one.share[rows] == pytest.approx(two.share)
    assert one.presence[rows] == pytest.approx(two.presence)


def test_gravity_meets_the_totals_it_is_constrained_by() -> None:
    of = pairs(villages(), first(villages()))
    # Ten thousand times the persons: what stands for "as all others" weighs nothing.
    many = replace(of, persons=of.persons * 1e4)
    found = gravity.intensities(many, np.ones(len(of), np.bool_))
    for side in (of.home, of.work):
        sums = np.bincount(side, many.persons[:, 0]), np.bincount(side, found[:, 0])
        assert sums[1] == pytest.approx(sums[0], rel=0.01)


def test_pairs_are_between_located_places_and_touch_the_territory() -> None:
    graph = villages()
    of = pairs(graph, first(graph))
    assert (of.home != of.work).all()
    assert (of.own[of.home] | of.own[of.work]).all()
    assert of.released.sum() == len(
        [
            flow
            for flow in graph.flows
            if flow.origin != flow.target
            and {flow.origin, flow.target} & {f"place:v{i}" for i in range(5)}
        ]
    )
    assert (of.persons[of.released] >= of.minimum).all()
    assert (of.persons[~of.released] == 0).all()


def test_too_little_is_refused() -> None:
    few = tiny([[200, 100, 100]] * 3, km=[10, 10, 10])
    with pytest.raises(PotentialRefused, match="too few"):
        cross_fit(few, GravityScorer(), 1)
    graph = villages()
    with pytest.raises(PotentialRefused, match="no commuting"):
        rank(replace(graph, flows=()), scorer="gravity")
    with pytest.raises(PotentialRefused, match="days"):
        rank(graph, scorer="gravity", days=0)


def test_a_graph_of_too_many_pairs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = villages()
    monkeypatch.setattr("graph.pairs.MAXIMUM_PAIRS", 54)
    with pytest.raises(PotentialRefused, match="over 54"):
        pairs(graph, first(graph))


def test_figures_by_hand() -> None:
    label = np.array([True, False, True, False])
    assert auc(np.array([0.9, 0.1, 0.4, 0.4]), label) == pytest.approx(3.5 / 4)
    assert math.isnan(auc(np.array([0.5]), np.array([True])))
    of = tiny([[100, 100, 0]], km=[1])
    found = measure(of, Scores(np.array([[0.5, 0.25, 0.25]]), np.array([[0.8, 0.8, 0.2]])))
    assert found.share_log_loss == pytest.approx(-(math.log(0.5) + math.log(0.25)) / 2)
    assert found.log_loss == pytest.approx(-math.log(0.8))
    assert found.auc == 1.0


def test_the_simpler_scorer_is_kept_unless_the_other_is_clearly_better() -> None:
    of = pairs(villages(), first(villages()))
    plain = cross_fit(of, GravityScorer(), 1)
    assert choose(of, plain, plain).chosen is plain
    truth = of.persons + 1
    oracle = replace(plain, scores=Scores(truth / truth.sum(1, keepdims=True), truth))
    picked = choose(of, plain, oracle)
    assert picked.chosen is oracle
    assert picked.gain > picked.error > 0


def test_reasons_name_only_edges_of_the_signed_graph_and_their_effect() -> None:
    graph = villages()
    ranking = rank(graph, scorer="gravity")
    assert ranking.links
    edges = {(flow.origin, flow.target) for flow in graph.flows}
    persons = {(f.origin, f.target, f.resource): float(f.quantity) for f in graph.flows}
    for link in ranking.links[:5]:
        assert (link.home, link.work, CAR) in persons
        found = carriers(ranking.pairs, ranking.fit, link)
        assert found
        for item in found:
            assert (item.home, item.work) in edges
            assert (item.home, item.work) != (link.home, link.work)
            assert item.home == link.home or item.work == link.work
            assert item.persons == persons.get((item.home, item.work, link.mode))
        for language in ("fr", "en"):
            sentences = Speaker(graph, ranking.pairs.minimum, language).reason(link, found)
            assert len(sentences) == 5
            assert "INSEE" in sentences[-1]
            assert "ADEME" in sentences[-1]
            assert "218" in sentences[2]


def test_an_effect_is_the_share_without_that_flow() -> None:
    ranking = rank(villages(), scorer="gravity")
    of, fit, link = ranking.pairs, ranking.fit, ranking.links[0]
    item = carriers(of, fit, link)[0]
    taken = (of.home == of.places.index(item.home)) & (of.work == of.places.index(item.work))
    shares = []
    for fold in fit.fold:
        known = fold != fold[link.row]
        learnt = GravityScorer().learn(of, known, 1)
        found = learnt.scores(of, known & ~taken, np.array([link.row]))
        shares.append(found.share[0, of.modes.index(link.mode)])
    assert link.plausible - np.mean(shares) == pytest.approx(item.effect)
    assert abs(item.effect) > 0


def test_the_map_of_links() -> None:
    graph = villages()
    links = rank(graph, scorer="gravity").links[:4]
    drawn = {
        language: picture.draw(graph, links, Speaker(graph, 20, language), language)
        for language in ("fr", "en")
    }
    assert drawn["fr"] != drawn["en"]
    assert drawn["fr"] == picture.draw(graph, links, Speaker(graph, 20, "fr"), "fr")
    root = ET.fromstring(drawn["fr"])
    titles = [one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}title")]
    for number, link in enumerate(links, start=1):
        said = f"{number}. {Speaker(graph, 20, 'fr').title(link)}, "
        assert any(title.startswith(said) for title in titles)
    assert b"tCO2e" in drawn["en"]
    assert b"<script" not in drawn["fr"]
