"""The table exact / released / band / epsilon: right cells side by side, nothing invented."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from demo import comparison, dry_run, exact
from jobs import opening
from trust.entropy import seeded


def array(cells: list[Any], labels: list[list[str]], **more: Any) -> dict[str, Any]:
    shape = [len(axis) for axis in labels]
    return {
        "cells": cells,
        "labels": labels,
        "shape": shape,
        "unit": "miles",
        "kind": "value",
        "of": None,
        **more,
    }


def report_with(epsilon: float, half: float, cells: list[Any]) -> dict[str, Any]:
    labels = [["a", "b", "c"]]
    low, high = (
        [None if not isinstance(cell, float) else cell + sign * half for cell in cells]
        for sign in (-1, 1)
    )
    return {
        "privacy": {"epsilon": epsilon},
        "arrays": {
            "means": array(cells, labels),
            "means_lower": array(low, labels, kind="lower", of="means"),
            "means_upper": array(high, labels, kind="upper", of="means"),
        },
    }


REPORTS = {
    "clear": report_with(2.14, 2.0, [10.0, "<20", None]),
    "shared": report_with(1.5, 1.0, [11.0, 5.0, 7.0]),
}
TRUTH = {"means": np.array([10.5, 5.5, 9.5]), "medians": np.zeros(3)}


def test_rows_put_every_report_beside_the_truth() -> None:
    rows = comparison.rows_of(REPORTS, TRUTH)
    assert [(row.statistic, row.label, row.exact) for row in rows] == [
        ("means", "a", 10.5),
        ("means", "b", 5.5),
        ("means", "c", 9.5),
    ]
    assert rows[0].told["shared"] == comparison.Told(11.0, 10.0, 12.0)
    assert rows[1].told["clear"] == comparison.Told("<20", None, None)
    assert comparison.covered(rows, "clear") == (1, 1)
    assert comparison.covered(rows, "shared") == (2, 3)
    assert comparison.covered(rows, "encrypted") == (0, 0)
    assert comparison.narrowing(rows, "clear", "shared") == {"means": 0.5}


def test_markdown_says_suppressed_unknown_and_absent() -> None:
    reports = REPORTS | {"encrypted": {"privacy": {"epsilon": 1.0}, "arrays": {}}}
    lines = comparison.markdown(comparison.rows_of(reports, TRUTH), reports).splitlines()
    assert lines[0] == (
        "| statistic | of | exact | clear, ε = 2.14 | shared, ε = 1.50 | encrypted, ε = 1.00 |"
    )
    assert lines[2] == "| means | a | 10.5 | 10 [8, 12] | 11 [10, 12] | - |"
    assert lines[3] == "| means | b | 5.5 | <20 | 5 [4, 6] | - |"
    assert lines[4] == "| means | c | 9.5 | no value | 7 [6, 8] | - |"
    assert len({line.count("|") for line in lines}) == 1


def test_a_symmetric_statistic_shows_each_pair_once_and_nan_has_no_row() -> None:
    axis = ["a", "b", "c"]
    found = {"arrays": {"correlations": array([0.0] * 9, [axis, axis])}}
    truth = {"correlations": np.array([[1, 0.5, np.nan], [0.5, 1, 0.25], [np.nan, 0.25, 1]])}
    rows = comparison.rows_of({"clear": found}, truth)
    assert [(row.label, row.exact) for row in rows] == [("a / b", 0.5), ("b / c", 0.25)]
    with pytest.raises(ValueError, match="shape"):
        comparison.rows_of({"clear": found}, {"correlations": np.zeros(9)})


def test_exact_statistics_of_a_line() -> None:
    x = np.arange(10.0)
    values = np.column_stack([x, 2 * x + 1, (x - 4.5) ** 2])
    found = exact.statistics(
        values, response=1, explanatory=[0], weight=0, levels=np.array([0.5, 1.0])
    )
    np.testing.assert_allclose(found["coefficients"], [1, 2, np.nan, np.nan], atol=1e-12)
    np.testing.assert_allclose(found["quantiles"], [[4.0, 9.0], [9.0, 19.0], [6.25, 20.25]])
    assert found["weighted_index"][0] == pytest.approx(100 * (285 / 45) / 4.5)
    assert found["weighted_index"][2] == pytest.approx(100)  # symmetric: not with x
    assert found["explained"][0] == pytest.approx(1)


def values(count: int) -> Any:
    generator = np.random.default_rng(7)
    share = generator.uniform(0, 1, (count, 5)) * generator.uniform(0.2, 1, (count, 1))
    return share * np.array([50, 90, 600, 145, 6])


def test_the_dry_run_gives_each_protection_its_own_band() -> None:
    rows = values(4000)
    reports = {
        word: dry_run.report_of(rows, draws, seeded(word.encode()))
        for word, draws in dry_run.DRAWS.items()
    }
    table = comparison.rows_of(reports, dry_run.exact_of(rows))
    assert len(table) == 69
    for word in ("shared", "encrypted"):
        ratio = comparison.narrowing(table, "clear", word)
        expected = (dry_run.DRAWS[word] / dry_run.DRAWS["clear"]) ** 0.5
        for name in ("persons", "means", "covariances", "correlations"):
            assert ratio[name] == pytest.approx(expected, rel=0.1), (word, name)
    for word in reports:
        held, total = comparison.covered(table, word)
        assert held >= 0.85 * total  # the statistics of one release share its noise


def test_a_section_is_the_same_every_time() -> None:
    rows = values(400)
    first, again = (dry_run.section_of(rows, seeded(b"page"), "invented trips") for _ in range(2))
    assert first == again
    assert "400 invented trips" in first
    assert "| encrypted | 1 |" in first
    assert json.dumps(first).count("NaN") == 0


def test_two_bundles_are_compared_where_they_tell_the_same() -> None:
    rows = values(3000)
    travel = opening.built_in_folder("travel_statistics")
    reports = {
        "clear": dry_run.report_of(rows, 4, seeded(b"c"), travel),
        "encrypted": dry_run.report_of(rows, 1, seeded(b"e")),
    }
    table = comparison.rows_of(reports, dry_run.exact_of(rows))
    ratio = comparison.narrowing(table, "clear", "encrypted")
    assert set(ratio) == {"persons", "means", "variances", "correlations"}
    # One draw for four, a little more on each sum (rho 0.08 for 0.1): sqrt(1 / 4 x 10 / 8).
    assert ratio["means"] == pytest.approx(0.559, rel=0.05)
    # Its squares fill their range, which takes more off the variances.
    assert ratio["variances"] < 0.5
    absent = [row for row in table if row.statistic == "coefficients"]
    assert absent
    assert all("clear" not in row.told for row in absent)
