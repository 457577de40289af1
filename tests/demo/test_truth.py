"""What the demo says about a `shared` release: its count, its band, whose halves lie about."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo import truth
from demo.commuters import STATISTICS
from demo.comparison import Row, Told
from demo.custody import CAME, waits_for
from demo.regression import NAME as REGRESSION
from demo.steps import rules_of
from jobs.opening import built_in_folder
from loopback.territory import TRUSTEES, TRUSTEES_NEEDED
from protection import accounting
from trust.documents.rules import Protection

RULE = rules_of(built_in_folder(STATISTICS))[0]
STEP = float(accounting.step_of(RULE))
HALF = accounting.band_95(2 * float(accounting.noise_of(RULE).variance)) * STEP


def report_of(persons: float, half: float = HALF) -> dict[str, Any]:
    cells = {"persons": persons, "persons_lower": persons - half, "persons_upper": persons + half}
    return {"arrays": {name: {"cells": [cell]} for name, cell in cells.items()}}


def test_a_count_within_two_draws_holds_and_one_beyond_does_not() -> None:
    assert truth.compare_count(report_of(4500.0), 4526, RULE, 4).held
    # The band: sqrt(2 x 2 x 105 x ln(2 x 21 / 1e-6)) = 85.9.
    assert truth.compare_count(report_of(4526.0 + 85), 4526, RULE, 4).held
    assert not truth.compare_count(report_of(4526.0 + 87), 4526, RULE, 4).held


@pytest.mark.parametrize("draws", [1, 3, 4])
def test_a_band_that_states_another_number_of_draws_does_not_hold(draws: int) -> None:
    told = truth.compare_count(report_of(4526.0, HALF * (draws / 2) ** 0.5), 4526, RULE, 4)
    assert not told.held


def test_a_single_share_in_the_evidence_is_found(tmp_path: Path) -> None:
    partials = [{"values": f"sha256:{'a1' * 32}", "sealed": f"sha256:{'b2' * 32}"}]
    folder = tmp_path / "objects" / "sha256" / "b2"
    folder.mkdir(parents=True)
    (folder / ("c3" * 32)).write_bytes(b"an aggregate")
    assert truth.halves(tmp_path, partials) == set()
    (folder / ("b2" * 32)).write_bytes(b"a sealed seed")
    assert truth.halves(tmp_path, partials) == {"b2" * 32}


def test_a_log_tiles_short_name_is_no_share(tmp_path: Path) -> None:
    # Tiles are called by their place, "29": two letters that half of all digests contain.
    (tmp_path / "29").write_bytes(b"a tile")
    partials = [{"values": f"sha256:{'29' * 32}", "sealed": f"sha256:{'b2' * 32}"}]
    assert truth.halves(tmp_path, partials) == set()


def test_the_story_of_two_halves_needs_three_workers_of_two_operators() -> None:
    assert RULE.protection.value == "shared"
    assert (RULE.minimum_workers, RULE.minimum_operators) == (3, 2)


def told(value: float, half: float) -> Row:
    return Row("means", "a", "", 10.0, {"encrypted": Told(value, value - half, value + half)})


def test_only_a_value_beyond_the_simultaneous_band_fails() -> None:
    inside, near, beyond = told(10.5, 1.0), told(13.1, 1.0), told(13.3, 1.0)
    assert truth.compare_rows([inside], "encrypted", ["means"]).seen.startswith("1 of 1")
    found = truth.compare_rows([inside, near], "encrypted", ["means"])
    assert found.held
    assert found.seen.startswith("1 of 2")
    assert not truth.compare_rows([inside, beyond], "encrypted", ["means"]).held
    # What no report tells is no agreement.
    assert not truth.compare_rows([inside], "shared", ["means"]).held


def test_a_correlation_that_was_cut_at_one_is_told_and_does_not_fail() -> None:
    # 0.71 with much noise: released above one, hence cut there with the end of its band.
    row = Row("correlations", "a / b", "", 0.71, {"encrypted": Told(1.0, 0.947, 1.0)})
    found = truth.compare_rows([row], "encrypted", ["correlations"])
    assert found.held
    assert found.seen.startswith("0 of 1")
    inside = Row("correlations", "a / b", "", 0.71, {"encrypted": Told(0.9, 0.89, 0.91)})
    assert not truth.compare_rows([inside], "encrypted", ["correlations"]).held


def test_too_few_bands_that_hold_the_truth_fail_and_withheld_values_are_told() -> None:
    inside, outside = told(10.5, 1.0), told(12.0, 1.0)
    nothing = Row("explained", "R squared", "", 0.5, {"encrypted": Told(None, None, None)})
    found = truth.compare_statistics([inside, inside, outside, nothing], "encrypted")
    assert found.held
    assert found.seen.startswith("2 of 3")
    assert found.seen.endswith(", 1 withheld")
    assert not truth.compare_statistics([inside, outside], "encrypted").held


def test_noise_is_once_per_worker_or_aggregator_or_once() -> None:
    drawn = [
        truth.draws_of(dataclasses.replace(RULE, protection=word), 4)
        for word in (Protection.CLEAR, Protection.SHARED, Protection.ENCRYPTED)
    ]
    assert drawn == [4, 2, 1]


def counted(*cells: object) -> dict[str, Any]:
    return {"arrays": {"flows": {"cells": list(cells)}}}


def test_withheld_counts_must_have_been_small() -> None:
    rule = dataclasses.replace(rules_of(built_in_folder("commute_flows"))[0], suppress_below=20)
    band = accounting.simultaneous_band(accounting.noise_of(rule), 4, 2)
    exact = np.array([100, 20 + band])
    assert truth.compare_counts(counted(100 + band, "<20"), "flows", exact, rule, 4).held
    assert not truth.compare_counts(counted(101 + band, "<20"), "flows", exact, rule, 4).held
    assert not truth.compare_counts(counted(100, "<20"), "flows", exact + 1, rule, 4).held


@pytest.mark.parametrize(("half", "held"), [(0.5**0.5, True), (0.75, False), (1.0, False)])
def test_bands_shrink_by_as_much_as_the_noise(half: float, held: bool) -> None:
    cells = {"clear": Told(10.0, 9.0, 11.0), "shared": Told(10.0, 10 - half, 10 + half)}
    found = truth.compare_widths([Row("persons", "persons", "", 10.0, cells)], RULE, 4)
    assert found.held == held
    assert f"{half:.2f} x clear's with 4 workers" in found.seen


def test_a_campaign_without_a_reason_waits_for_nothing() -> None:
    assert not waits_for({"state": "running", "reason": None}, "trustees")
    assert waits_for({"state": "running", "reason": "waiting for trustees"}, "trustees")
    assert not waits_for({"state": "failed", "reason": "too few trustees came"}, "trustees")


def test_the_story_of_five_trustees_is_told_of_an_encrypted_bundle() -> None:
    rules = rules_of(built_in_folder(REGRESSION))
    assert {rule.protection.value for rule in rules} == {"encrypted"}
    assert (len(CAME), TRUSTEES_NEEDED, TRUSTEES) == (3, 3, 5)
