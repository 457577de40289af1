"""The built-in bundle `ecological_potential` in plain Python: what it ranks and what it leaves."""

from __future__ import annotations

import runpy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from demo import companies
from graph.factors import MODE_FACTORS
from jobs import opening

ALGORITHM = runpy.run_path(str(opening.built_in_folder("ecological_potential") / "algorithm.py"))
CAR, TRANSIT = 3, 4
DAYS = {"days": 218}


def contributed(**columns: list[int]) -> Any:
    table = {name: np.array(values) for name, values in columns.items()}
    return ALGORITHM["contribute"]({"commute": table}, DAYS)


def concluded(
    flows: np.ndarray, driven: np.ndarray, *, noise: float = 0.0, days: int = 218
) -> dict[str, np.ndarray]:
    aggregate = {
        "flows": flows,
        "flows.variance": np.full((5, 10, 10), noise),
        "driven": driven,
        "driven.variance": np.full((10, 10), noise),
    }
    found: dict[str, np.ndarray] = ALGORITHM["conclude"](aggregate, {"days": days})
    return found


def two_sectors() -> tuple[np.ndarray, np.ndarray]:
    """400 persons on each of four pairs; within a sector 50 more drive than between."""
    flows, driven = np.zeros((5, 10, 10)), np.zeros((10, 10))
    flows[CAR, :2, :2] = [[250, 150], [150, 250]]
    flows[TRANSIT, :2, :2] = [[150, 250], [250, 150]]
    driven[:2, :2] = flows[CAR, :2, :2] * np.array([[3.0, 6.0], [6.0, 9.0]]) / 30
    return flows, driven


def test_the_factors_are_those_of_the_graph() -> None:
    named = {line.mode: line for line in MODE_FACTORS}
    for row, mode in zip(
        ALGORITHM["FACTORS"], ("none", "walk", "two-wheels", "car", "transit"), strict=True
    ):
        line = named[mode]
        assert row.tolist() == [float(line.value), float(line.low), float(line.high)]


def test_one_person_is_one_cell_and_no_longer_than_the_bounds() -> None:
    person = {"home_sector": [3], "work_sector": [9], "mode": [4], "persons": [1]}
    for metres in (0, 6000, 30_000, 10**9, -5):
        found = contributed(**person, metres=[metres])
        assert found["flows"][CAR, 2, 8] == found["flows"].sum() == 1
        assert np.linalg.norm(found["driven"]) <= 1
    assert contributed(**person, metres=[6000])["driven"][2, 8] == pytest.approx(0.2)
    rider = {**person, "mode": [5]}
    assert contributed(**rider, metres=[6000])["driven"].sum() == 0


@pytest.mark.parametrize("code", [0, -1, 11])
def test_unknown_codes_are_left_out(code: int) -> None:
    found = contributed(
        home_sector=[code, 1], work_sector=[1, 1], mode=[4, 4], metres=[900, 900], persons=[1, 1]
    )
    assert found["flows"].sum() == 1
    found = contributed(
        home_sector=[1, 1], work_sector=[1, 1], mode=[code, 4], metres=[900, 900], persons=[1, 1]
    )
    assert found["flows"].sum() == 1


def test_the_ranking_is_the_one_by_hand() -> None:
    found = concluded(*two_sectors())
    # Half of everybody would drive: 50 drivers too many within each sector.
    assert found["links"][:3].tolist() == [[2, 2, 5], [1, 1, 5], [0, 0, 0]]
    assert found["shift"][:3] == pytest.approx([50, 50, 0])
    saved = 0.1701 - 0.00978
    assert found["avoided"][:2] == pytest.approx(
        [50 * 2 * 9 * 218 * saved, 50 * 2 * 3 * 218 * saved]
    )
    least, most = 0.14736 - 0.113, 0.1809 - 0.00503
    assert found["avoided_lower"][0] == pytest.approx(50 * 2 * 9 * 218 * least)
    assert found["avoided_upper"][0] == pytest.approx(50 * 2 * 9 * 218 * most)
    assert not found["avoided"][2:].any()


def test_noise_widens_the_range() -> None:
    plain, noised = concluded(*two_sectors()), concluded(*two_sectors(), noise=10.0)
    assert noised["avoided"] == pytest.approx(plain["avoided"])
    assert noised["avoided_lower"][0] < plain["avoided_lower"][0]
    assert noised["avoided_upper"][0] > plain["avoided_upper"][0]


def test_every_type_meets_its_own_totals_and_one_that_nobody_has_stays_out() -> None:
    draw = np.random.default_rng(1)
    flows = draw.uniform(20, 900, (5, 10, 10))
    flows[2] = 0
    share = ALGORITHM["plausible"](flows)
    persons = share * flows.sum(axis=0)
    assert persons.sum(axis=2) == pytest.approx(flows.sum(axis=2), rel=1e-6)
    assert persons.sum(axis=1) == pytest.approx(flows.sum(axis=1), rel=1e-6)
    assert share.sum(axis=0) == pytest.approx(np.ones((10, 10)))
    assert not share[2].any()


def test_a_company_without_an_edge_type_takes_part_in_the_others() -> None:
    flows, driven = two_sectors()
    drivers = contributed(home_sector=[1], work_sector=[1], mode=[4], metres=[3000], persons=[60])
    found = concluded(flows + drivers["flows"], driven + drivers["driven"])
    assert found["avoided"][:2].all()
    assert found["links"][:2].tolist() != [[0, 0, 0], [0, 0, 0]]
    alone = concluded(drivers["flows"].astype(np.float64), drivers["driven"])
    assert not alone["avoided"].any()  # nobody's public transport to change to


@settings(max_examples=60, deadline=None)
@given(seed=some.integers(0, 10_000), noise=some.floats(0, 500))
def test_nothing_but_what_avoids_something_and_may_be_told_is_ranked(
    seed: int, noise: float
) -> None:
    draw = np.random.default_rng(seed)
    flows = draw.choice([-5.0, 0, 12, 25, 400], (5, 10, 10))
    found = concluded(flows, draw.normal(0, 40, (10, 10)), noise=noise)
    avoided, links = found["avoided"], found["links"]
    assert (np.diff(avoided) <= 0).all()
    assert (avoided >= 0).all()
    assert (found["avoided_lower"] <= avoided + 1e-9).all()
    assert (avoided <= found["avoided_upper"] + 1e-9).all()
    for home, work, mode in links[avoided > 0]:
        assert flows[mode - 1, home - 1, work - 1] >= 20
        assert flows[CAR, home - 1, work - 1] >= 20
        assert mode - 1 not in {0, CAR}
    assert not links[avoided == 0].any()


def test_the_noise_of_a_campaign_keeps_most_of_the_ranking() -> None:
    """The territory demo's companies, 6 km everywhere, with the noise of two aggregators."""
    _, rows = companies.read_figures()
    flows = companies.flows(rows).transpose(2, 0, 1).astype(np.float64)
    driven = flows[CAR] * 6.0 / 30
    draw = np.random.default_rng(4)
    plain = {tuple(link) for link in concluded(flows, driven)["links"]}
    noised = concluded(
        flows + draw.normal(0, np.sqrt(10), flows.shape).round(),
        driven + draw.normal(0, np.sqrt(10), driven.shape),
        noise=10.0,
    )
    common = {tuple(link) for link in noised["links"]} & plain
    assert len(common) >= 15  # 19 when it was written
