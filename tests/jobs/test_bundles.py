"""The built-in algorithms in plain Python: what they compute, before any sandbox."""

from __future__ import annotations

import runpy
from typing import Any

import numpy as np
import pytest

from jobs import opening


def algorithm(name: str) -> dict[str, Any]:
    return runpy.run_path(str(opening.built_in_folder(name) / "algorithm.py"))


def test_commute_flows_puts_one_person_in_one_cell() -> None:
    table = {"home_sector": [3], "work_sector": [9], "mode": [6], "persons": [1]}
    capsule = {"commute": {name: np.array(values) for name, values in table.items()}}
    flows = algorithm("commute_flows")["contribute"](capsule, {})["flows"]
    assert flows.shape == (9, 9, 6)
    assert flows[2, 8, 5] == flows.sum() == 1


@pytest.mark.parametrize("code", [0, -1, 10])
def test_unknown_codes_are_left_out(code: int) -> None:
    capsule = {
        "commute": {
            "home_sector": np.array([code, 1]),
            "work_sector": np.array([1, 1]),
            "mode": np.array([1, 1]),
            "persons": np.array([1, 1]),
        }
    }
    flows = algorithm("commute_flows")["contribute"](capsule, {})["flows"]
    assert flows.sum() == flows[0, 0, 0] == 1


def moments(rows: np.ndarray) -> Any:
    contribute = algorithm("travel_statistics")["contribute"]
    names = ("distance", "time", "cost", "income", "vehicles")
    return sum(
        contribute({"travel": {n: np.array([v]) for n, v in zip(names, row, strict=True)}}, {})[
            "moments"
        ]
        for row in rows
    )


CLIPS = np.array([50.0, 90.0, 600.0, 145.0, 6.0])


def people(count: int) -> Any:
    generator = np.random.default_rng(5)
    base = generator.uniform(0, 1, (count, 1))
    return (0.6 * base + 0.4 * generator.uniform(0, 1, (count, 5))) * CLIPS * 1.1


def test_travel_statistics_is_exact_without_noise() -> None:
    rows = people(400)
    aggregate = {"moments": moments(rows), "moments.variance": np.zeros(21)}
    found = algorithm("travel_statistics")["conclude"](aggregate, {})
    clipped = np.minimum(rows, CLIPS)
    np.testing.assert_allclose(found["means"], clipped.mean(axis=0))
    np.testing.assert_allclose(found["variances"], clipped.var(axis=0))
    np.testing.assert_allclose(found["correlations"], np.corrcoef(clipped.T))
    np.testing.assert_allclose(found["means_lower"], found["means_upper"])
    assert found["persons"] == 400


def test_a_contribution_is_never_longer_than_the_bound() -> None:
    corners = np.array([[0, 0, 0, 0, 0], [1e9] * 5, [50, 0, 600, 0, 6], [-5] * 5])
    for corner in corners:
        assert np.linalg.norm(moments(corner[None, :])) <= np.sqrt(21) + 1e-12


def test_travel_bands_cover_the_truth_about_95_times_in_100() -> None:
    rows = people(1500)
    true_sums, clipped = moments(rows), np.minimum(rows, CLIPS)
    conclude = algorithm("travel_statistics")["conclude"]
    truth = {
        "means": clipped.mean(axis=0),
        "variances": clipped.var(axis=0),
        "correlations": np.corrcoef(clipped.T)[np.triu_indices(5, 1)],
    }
    generator, variance = np.random.default_rng(11), 4 * 10.25**2
    inside: list[np.ndarray] = []
    for _ in range(60):
        noised = true_sums + generator.normal(0, np.sqrt(variance), 21)
        found = conclude({"moments": noised, "moments.variance": np.full(21, variance)}, {})
        for name, value in truth.items():
            lower, upper = found[name + "_lower"], found[name + "_upper"]
            if name == "correlations":
                pairs = np.triu_indices(5, 1)
                lower, upper = lower[pairs], upper[pairs]
            inside.append((lower <= value) & (value <= upper))
    assert 0.92 < np.concatenate(inside).mean() < 0.98


def test_too_little_data_gives_the_widest_bands_and_no_warning() -> None:
    conclude = algorithm("travel_statistics")["conclude"]
    found = conclude({"moments": np.zeros(21), "moments.variance": np.full(21, 105.0)}, {})
    assert all(np.isfinite(array).all() for array in found.values())
    np.testing.assert_array_equal(found["correlations_lower"], -np.ones((5, 5)))
    np.testing.assert_array_equal(found["means_upper"], CLIPS)
