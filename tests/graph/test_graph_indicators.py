from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph import factors
from graph.commuting import commutes
from graph.doughnut import STANDS_IN, Status, doughnut
from graph.geography import haversine_km
from graph.indicator import Indicator
from graph.indicators import indicators
from graph.model import Objective, TerritoryGraph
from tests.graph.graph_built import built
from tests.graph.graph_strategies import graphs
from tests.graph.graph_territory import CELLS, Town, a_report

FEW = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
AMONT, BOURG = (2.3592, 48.9296), (2.3845, 48.9122)


@pytest.fixture
def graph(tmp_path: Path) -> TerritoryGraph:
    return built(Town(tmp_path))


def the(graph: TerritoryGraph, name: str, about: str = "territory") -> Indicator:
    (found,) = [one for one in indicators(graph) if (one.name, one.about) == (name, about)]
    return found


def test_flows_per_mode(graph: TerritoryGraph) -> None:
    cars = [cell for cell in CELLS[::2] if isinstance(cell, int)]
    both = [cell for cell in CELLS if isinstance(cell, int)]
    one = the(graph, "commuters", "resource:mode.car")
    assert one.value == sum(cars)
    assert one.high == pytest.approx(sum(cars) + 4.5 * math.sqrt(len(cars)), rel=1e-4)
    assert the(graph, "share", "resource:mode.car").value == pytest.approx(
        sum(cars) / sum(both), rel=1e-5
    )
    assert one.sources == ("source:commute_flows_test.flows",)
    assert "5 edges withheld under 20 persons" in the(graph, "commuters").note


def test_distances_leave_out_what_has_none(graph: TerritoryGraph) -> None:
    km = haversine_km(*AMONT, *BOURG)
    assert km == pytest.approx(2.676, abs=0.001)
    assert the(graph, "distance").value == pytest.approx(km, rel=1e-5)
    # 50 and 60 + 30 of 2,530 go from one located place to another.
    assert the(graph, "measured").value == pytest.approx(140 / 2530, rel=1e-5)


def test_emissions_follow_from_the_cited_factors(graph: TerritoryGraph) -> None:
    km = haversine_km(*AMONT, *BOURG)
    car = next(one for one in factors.MODE_FACTORS if one.mode == "car")
    emitted = the(graph, "emissions", "resource:mode.car")
    assert emitted.value == pytest.approx(110 * 2 * km * float(car.value), rel=1e-5)
    assert emitted.sources == ("source:commute_flows_test.flows", "source:factors")
    assert emitted.low is not None
    assert emitted.high is not None
    assert emitted.low < 110 * 2 * km * float(car.low)  # the counts' noise widens the range
    assert emitted.high > 110 * 2 * km * float(car.high)
    assert emitted.unit == "kgCO2e/day"


def test_without_a_factor_nobody_guesses(graph: TerritoryGraph) -> None:
    bare = replace(graph, factors=())
    assert the(bare, "emissions", "resource:mode.car").value is None
    assert the(bare, "emissions").value is None


def test_self_containment(graph: TerritoryGraph) -> None:
    # Amont: 140 of 690 stay; Bourg: 500 of 590; both together 140 + 50 + 90 + 500 of 1,280.
    assert the(graph, "self-containment", "place:a").value == pytest.approx(140 / 690, rel=1e-5)
    assert the(graph, "self-containment", "place:b").value == pytest.approx(500 / 590, rel=1e-5)
    assert the(graph, "self-containment").value == pytest.approx(780 / 1280, rel=1e-5)
    assert the(graph, "jobs-per-worker").value == pytest.approx((780 + 1250) / 1280, rel=1e-5)


def test_sources_are_never_added_up(graph: TerritoryGraph) -> None:
    flow = replace(graph.flows[0], source="source:villages", lower=None, upper=None)
    both = replace(graph, flows=(*graph.flows, flow))
    found = commutes(both)
    assert [one.source.id for one in found] == [
        "source:commute_flows_test.flows", "source:villages",
    ]  # fmt: skip
    assert the(replace(both, flows=graph.flows), "commuters") in indicators(both)


def test_a_graph_without_flows_has_no_indicators(graph: TerritoryGraph) -> None:
    empty = replace(graph, flows=())
    assert indicators(empty) == []
    assert {one.status for one in doughnut(empty)} == {Status.UNKNOWN}


def test_the_doughnut_is_unknown_where_nothing_is_known(graph: TerritoryGraph) -> None:
    found = doughnut(graph)
    assert len(found) == 21
    known = {one.objective.id for one in found if one.status is not Status.UNKNOWN}
    assert known == set(STANDS_IN)
    for one in found:
        assert (one.status is Status.UNKNOWN) == (not one.sources)
        assert one.status in {Status.UNKNOWN, Status.MEASURED}  # nobody declared a limit


@pytest.mark.parametrize(
    ("objective", "limit", "status"),
    [
        ("objective:climate-change", "5", Status.WITHIN),
        ("objective:climate-change", "0.1", Status.BEYOND),
        ("objective:climate-change", "0.7", Status.UNDECIDED),
        ("objective:income-and-work", "1", Status.WITHIN),
        ("objective:income-and-work", "2", Status.BEYOND),
    ],
)
def test_a_declared_limit_is_judged_with_the_range(
    graph: TerritoryGraph, objective: str, limit: str, status: Status
) -> None:
    def limited(one: Objective) -> Objective:
        if one.id != objective:
            return one
        unit = "kgCO2e/(commuter.day)" if "climate" in objective else "jobs/worker"
        return replace(one, limit=limit, unit=unit, source="source:plan")

    changed = replace(graph, objectives=tuple(map(limited, graph.objectives)))
    (found,) = [one for one in doughnut(changed) if one.objective.id == objective]
    assert found.status is status
    assert "source:plan" in found.sources


def test_a_limit_in_another_unit_judges_nothing(graph: TerritoryGraph) -> None:
    changed = replace(
        graph,
        objectives=tuple(replace(one, limit="1", unit="km") for one in graph.objectives),
    )
    assert {one.status for one in doughnut(changed)} == {Status.UNKNOWN, Status.MEASURED}


@given(graphs())
@FEW
def test_ranges_hold_their_values(graph: TerritoryGraph) -> None:
    for one in indicators(graph):
        assert one.sources
        if one.value is None:
            assert one.low is None
            assert one.high is None
            continue
        assert one.low is not None
        assert one.high is not None
        assert one.low <= one.value <= one.high
        assert math.isfinite(one.high)
    assert indicators(graph) == indicators(graph)


def test_more_noise_never_narrows_a_band(tmp_path: Path) -> None:
    town = Town(tmp_path)
    quiet = built(town, [town.publish(a_report(CELLS, half=1), "q", number=1)])
    noisy = built(town, [town.publish(a_report(CELLS, half=19), "n", number=2)])
    for one, other in zip(indicators(quiet), indicators(noisy), strict=True):
        if one.low is not None and other.low is not None:
            assert other.low <= one.low


@given(*[st.floats(-180, 180), st.floats(-90, 90)] * 2)
def test_distances_are_symmetric_and_bounded(a: float, b: float, c: float, d: float) -> None:
    km = haversine_km(a, b, c, d)
    assert km == pytest.approx(haversine_km(c, d, a, b))
    assert 0 <= km <= math.pi * 6371.01


def test_every_factor_lies_in_its_range() -> None:
    for one in factors.MODE_FACTORS:
        assert float(one.low) <= float(one.value) <= float(one.high)
