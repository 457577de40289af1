"""encrypted_statistics: exact without noise, honest with it, silent where it knows nothing."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo import exact
from jobs import archive, description, opening
from protection import accounting
from protection.ckks.profile import SOMME, check_admission, largest_sum
from protection.quantise import to_steps
from protection.ring import Ring, ring_of
from trust.documents.rules import DataClass, Protection

ROOT = Path(__file__).parents[2]
FOLDER = opening.built_in_folder("encrypted_statistics")
BUNDLE = runpy.run_path(str(FOLDER / "algorithm.py"))
RULES = archive.pack_folder(FOLDER).manifest.rules()
MOMENTS, HISTOGRAM = RULES
QUANTITIES, CLIPS, EDGES = BUNDLE["QUANTITIES"], BUNDLE["MOST"], BUNDLE["EDGES"]
PARAMETERS = {
    "response": "cost",
    "explanatory_1": "distance",
    "explanatory_2": "time",
    "explanatory_3": "none",
    "weight": "distance",
}
# Of one aggregator's noise, in the outputs' units; `shared` adds two, `clear` one per worker.
VARIANCES = [
    float(accounting.noise_of(rule).variance * accounting.step_of(rule) ** 2) for rule in RULES
]


def contribution(row: Any) -> dict[str, Any]:
    table = {name: np.array([value]) for name, value in zip(QUANTITIES, row, strict=True)}
    found: dict[str, Any] = BUNDLE["contribute"]({"travel": table}, PARAMETERS)
    return found


def people(count: int, seed: int = 5) -> Any:
    """Skewed and correlated, about as the survey of the demo; some beyond the clips."""
    generator = np.random.default_rng(seed)
    distance = generator.gamma(1.6, 9.0, count)
    time = 8 + 0.9 * distance + generator.gamma(2, 9.0, count)
    cost = 5.0 * distance + generator.gamma(1.2, 100.0, count)
    income = generator.choice([7.5, 22.5, 32.5, 47.5, 62.5, 112.5, 145.0], count)
    return np.column_stack([distance, time, cost, income, generator.poisson(1.9, count)])


CROWD = people(10_000)  # enough for every statistic under every noise below


def summed(rows: Any, *, quantised: bool = False) -> tuple[Any, Any]:
    moments: Any = 0
    histogram: Any = 0
    for row in rows:
        found = contribution(row)
        value = found["moments"]
        if quantised:
            value = to_steps(value, accounting.step_of(MOMENTS)) * float(MOMENTS.step)
        moments, histogram = moments + value, histogram + found["histogram"]
    return moments, histogram


def concluded(
    moments: Any, histogram: Any, noises: float = 0, parameters: dict[str, str] = PARAMETERS
) -> dict[str, Any]:
    """`conclude` on these sums, told that `noises` aggregators' noise is in them."""
    aggregate = {
        "moments": moments,
        "moments.variance": np.full(moments.shape, noises * VARIANCES[0]),
        "histogram": histogram,
        "histogram.variance": np.full(histogram.shape, noises * VARIANCES[1]),
    }
    found: dict[str, Any] = BUNDLE["conclude"](aggregate, parameters)
    return found


def truth(rows: Any, parameters: dict[str, str] = PARAMETERS) -> dict[str, Any]:
    named = {parameters[f"explanatory_{k}"] for k in (1, 2, 3)} - {"none", parameters["response"]}
    return exact.statistics(
        np.clip(rows, 0, CLIPS),
        response=QUANTITIES.index(parameters["response"]),
        explanatory=[QUANTITIES.index(name) for name in named],
        weight=QUANTITIES.index(parameters["weight"]),
        levels=BUNDLE["LEVELS"],
    )


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"explanatory_3": "income", "weight": "vehicles"},
        {"explanatory_1": "time", "explanatory_2": "time"},  # named twice: used once
        {"response": "vehicles", "explanatory_3": "vehicles"},  # explains itself: left out
        {"explanatory_1": "none", "explanatory_2": "none"},  # the mean
    ],
)
def test_without_noise_every_statistic_is_the_textbooks(change: dict[str, str]) -> None:
    rows, parameters = people(400), PARAMETERS | change
    found = concluded(*summed(rows), parameters=parameters)
    for name, value in truth(rows, parameters).items():
        if name == "quantiles":
            continue
        np.testing.assert_allclose(found[name], value, rtol=1e-8, atol=1e-10, err_msg=name)
        known = np.isfinite(value)
        for end in ("_lower", "_upper"):
            np.testing.assert_allclose(found[name + end][known], value[known], 1e-8, 1e-10)
            assert np.isnan(found[name + end][~known]).all()


def test_without_noise_a_quantiles_band_is_its_bin() -> None:
    rows = people(1001)
    found, true = concluded(*summed(rows)), truth(rows)["quantiles"]
    assert (found["quantiles_lower"] <= true).all()
    assert (true <= found["quantiles_upper"]).all()
    widths = found["quantiles_upper"] - found["quantiles_lower"]
    np.testing.assert_allclose(widths, np.broadcast_to(CLIPS[:, None] / BUNDLE["BINS"], (5, 5)))


def test_the_histogram_counts_everybody_once_per_quantity() -> None:
    rows = people(500)
    found = concluded(*summed(rows))["histogram"]
    assert found.sum(axis=1).tolist() == [500.0] * 5
    for counts, edges, values in zip(found, EDGES, np.clip(rows, 0, CLIPS).T, strict=True):
        np.testing.assert_array_equal(counts, np.histogram(values, edges)[0])


# 300 noised aggregates of one population. Within one of them the statistics share their noise, so
# the share that is covered varies about as that of 300 independent ones: its standard deviation
# is sqrt(0.95 x 0.05 / 300) = 0.0126. Accepted: 3.2 of them below 95 %. Quantiles' bands may be
# wider than asked: they end at bins' edges.
TRIALS, LEAST, MOST = 300, 0.91, 0.985


def covered(rows: Any, noises: float) -> dict[str, tuple[float, float]]:
    """Per statistic: the share published, and of all runs the share published and missing."""
    moments, histogram = summed(rows, quantised=True)
    true, generator = truth(rows), np.random.default_rng([11, int(noises)])
    published: dict[str, list[Any]] = {name: [] for name in true}
    missed: dict[str, list[Any]] = {name: [] for name in true}
    pairs = ~np.eye(5, dtype=bool)  # a correlation with oneself is 1, whatever the noise
    for _ in range(TRIALS):
        found = concluded(
            moments + generator.normal(0, np.sqrt(noises * VARIANCES[0]), moments.shape),
            histogram + np.rint(generator.normal(0, np.sqrt(noises * VARIANCES[1]), (5, 40))),
            noises,
        )
        for name, value in true.items():
            asked = np.isfinite(value) & (pairs if name == "correlations" else True)
            lower, upper = (found[name + end][asked] for end in ("_lower", "_upper"))
            published[name].append(np.isfinite(lower))
            missed[name].append((value[asked] < lower) | (value[asked] > upper))
    return {name: (float(np.mean(published[name])), float(np.mean(missed[name]))) for name in true}


@pytest.mark.parametrize("noises", [1, 2, 4])
def test_bands_cover_the_truth_95_times_in_100(noises: int) -> None:
    for name, (published, missed) in covered(CROWD, noises).items():
        assert published == 1.0, name
        most = 1.0 if name == "quantiles" else MOST
        assert LEAST <= 1 - missed <= most, (name, missed)


@pytest.mark.parametrize("count", [40, 150, 400, 1000, 2500])
def test_too_few_people_withhold_values_rather_than_publish_wrong_ones(count: int) -> None:
    found = covered(people(count), 2)
    for name, (_, missed) in found.items():
        assert missed <= 1 - LEAST, (name, missed)
    if count == 40:
        assert max(found[name][0] for name in ("correlations", "coefficients", "explained")) < 0.01


def test_a_wider_noise_gives_a_wider_band() -> None:
    sums = summed(CROWD)
    one, two, four = (concluded(*sums, noises) for noises in (1, 2, 4))
    for name in ("means", "variances", "correlations", "coefficients", "weighted_index"):
        width = [
            np.nanmean(found[name + "_upper"] - found[name + "_lower"])
            for found in (one, two, four)
        ]
        np.testing.assert_allclose(width[1] / width[0], np.sqrt(2), rtol=0.05)
        np.testing.assert_allclose(width[2] / width[0], 2, rtol=0.15)


def test_a_noise_of_any_sums_gives_no_warning_and_no_half_known_value() -> None:
    generator = np.random.default_rng(2)
    for scale in (0.0, 1.0, 20.0, 1e3, 1e7):
        for _ in range(5):
            moments = generator.normal(0, scale, 21)
            histogram = np.rint(generator.normal(0, scale, (5, 40))).astype(np.int64)
            for noises in (0, 2):
                found = concluded(moments, histogram, noises)
                for name in {key.removesuffix("_lower").removesuffix("_upper") for key in found}:
                    value, lower, upper = (found[name + end] for end in ("", "_lower", "_upper"))
                    known = np.isfinite(value)
                    np.testing.assert_array_equal(known, np.isfinite(lower))
                    np.testing.assert_array_equal(known, np.isfinite(upper))
                    assert (lower[known] <= value[known]).all()
                    assert (value[known] <= upper[known]).all()


def test_nobody_gives_no_value() -> None:
    found = concluded(np.zeros(21), np.zeros((5, 40), np.int64), 2)
    for name in ("means", "variances", "correlations", "coefficients", "quantiles"):
        assert np.isnan(found[name]).all(), name


def test_a_quantity_that_never_varies_has_no_variance_and_no_correlation() -> None:
    rows = people(300)
    rows[:, 4] = 2.0
    found = concluded(*summed(rows))
    assert np.isnan(found["variances"]).tolist() == [False] * 4 + [True]
    assert np.isnan(found["correlations"][4]).all()
    assert np.isfinite(found["coefficients"][:3]).all()
    dependent = concluded(*summed(rows), parameters=PARAMETERS | {"explanatory_2": "vehicles"})
    assert np.isnan(dependent["coefficients"]).all()


def test_explanatory_quantities_that_are_one_give_no_coefficients() -> None:
    rows = people(300)
    rows[:, 0] = np.minimum(rows[:, 0], 50)
    rows[:, 1] = rows[:, 0] * 1.8  # 90 / 50: the same number once scaled
    for noises in (0, 1, 2):
        found = concluded(*summed(rows), noises)
        for name in ("coefficients", "standard_errors", "explained", "residual_deviation"):
            assert np.isnan(found[name]).all(), (name, noises)
        assert np.isfinite(found["means"]).all()


def test_a_perfect_fit_has_coefficients_but_no_standard_errors() -> None:
    rows = people(300)
    rows[:, 2] = np.minimum(rows[:, 0], 50) * 12
    found = concluded(*summed(rows), parameters=PARAMETERS | {"explanatory_2": "none"})
    np.testing.assert_allclose(found["coefficients"][:2], [0, 12], atol=1e-6)
    assert np.isnan(found["standard_errors"]).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=5, max_size=5))
def test_a_contribution_is_never_longer_than_its_bounds(row: list[float]) -> None:
    found = contribution(row)
    moments = to_steps(found["moments"], accounting.step_of(MOMENTS))
    assert np.abs(moments).max() <= accounting.bound_in_steps(MOMENTS)
    assert np.linalg.norm(found["moments"]) <= np.sqrt(21) + 1e-12
    assert np.linalg.norm(found["histogram"]) <= float(HISTOGRAM.bound)
    assert found["histogram"].sum() == (5 if np.isfinite(row).all() else 0)


def test_the_bounds_are_reached() -> None:
    corner = contribution([50, 90, 600, 145, 6])
    assert np.linalg.norm(corner["moments"]) == pytest.approx(np.sqrt(21))
    assert float(HISTOGRAM.bound) - np.linalg.norm(corner["histogram"]) < 1e-4


def test_no_row_contributes_zeros() -> None:
    empty: dict[str, Any] = {name: np.zeros(0) for name in QUANTITIES}
    found = BUNDLE["contribute"]({"travel": empty}, PARAMETERS)
    assert not found["moments"].any()
    assert not found["histogram"].any()


def test_parameters_change_nothing_that_leaves_a_capsule() -> None:
    table = {"travel": {name: np.array([3.0]) for name in QUANTITIES}}
    other = PARAMETERS | {"response": "time", "weight": "income"}
    first, second = (BUNDLE["contribute"](table, values) for values in (PARAMETERS, other))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_the_largest_cohort_fits_every_protection() -> None:
    check_admission(SOMME, RULES, DataClass.PERSONAL)
    assert [largest_sum(rule, rule.maximum_contributors) for rule in RULES] == [16_000_000, 40_000]
    halved = [replace(rule, protection=Protection.SHARED) for rule in RULES]
    assert {ring_of(rule) for rule in halved} == {Ring.NARROW}
    for rule in RULES:
        accounting.check_ring(rule)


def test_what_the_voters_see() -> None:
    manifest = archive.pack_folder(FOLDER).manifest
    shown = description.privacy(manifest)
    assert (shown["ledger charge (rho, zCDP)"], shown["epsilon at delta 1e-6"]) == ("0.1", 2.142)
    sigmas = [row["noise sigma"] for row in description.releases(manifest)]
    assert sigmas == [11.4564, 11.1805]
    shapes = {name: array.shape for name, array in manifest.report.items()}
    found = concluded(*summed(people(30)))
    assert {name: array.shape for name, array in found.items()} == shapes
    assert {array.dtype.name for array in found.values()} == {"float64"}


@pytest.mark.sandbox
def test_try_runs_it_in_the_sandbox() -> None:
    command = [sys.executable, str(ROOT / "cadastre.py"), "bundle", "try", str(FOLDER)]
    done = subprocess.run(
        [*command, "--capsules", "60", "--set", "explanatory_3=income", "--json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdicts"] == {"accepted": 60}
    assert json.loads(found["report"])["arrays"]["persons"]["cells"][0] == pytest.approx(60, abs=90)
