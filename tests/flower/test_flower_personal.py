"""Personal capsules: the app sees one synthetic reply, the noised average of the cohort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flower_campaigns import adopted, play, under_flower

from protection.columns import Tables
from trust.entropy import seeded

pytestmark = pytest.mark.sandbox
PERSONS = 24
# Much noise would hide a mistake in the arithmetic; what noise costs is not this test's question.
PRICED = {
    "data": {"classes": ["personal"]},
    "release": {
        "rho": "100",
        "clip": "1",
        "metric_clip": "5",
        "weight_cap": "15",
        "minimum_contributors": 20,
    },
}


def person(seed: int) -> Tables:
    generator = np.random.default_rng(seed)
    x, z = generator.uniform(-1, 1, (2, 15))
    return {"points": {"x": x, "z": z, "y": 0.8 * x - 0.4 * z + 0.2}}


@pytest.mark.parametrize("strategy", ["FedAvg", "FedProx", "FedAdam"])
def test_an_unmodified_strategy_learns_through_the_synthetic_reply(
    apps: Path, tmp_path: Path, strategy: str
) -> None:
    config = {"strategy": strategy, "num-server-rounds": 2}
    people = [person(seed) for seed in range(PERSONS)]
    program = adopted(apps / "line_numpy", {**PRICED, "run_config": config})
    manifest = program.bundle_file.manifest
    assert {rules.mechanism.value for rules in manifest.rules()} == {"discrete_gaussian"}
    played = play(program, people, seeded(strategy.encode()))
    assert played.found.report is not None, played.found.complaints
    assert played.found.verdicts == {"accepted": 4 * PERSONS}
    under_flower(apps / "line_numpy", tmp_path, "points", people, config)
    with np.load(tmp_path / "line.npz") as saved:
        distance = np.abs(saved["arr_0"] - played.model).max()
    assert 1e-6 < distance < 0.2
    assert abs(played.told[0]["examples"][0] - 15 * PERSONS) < 48  # five deviations
    assert played.told[-1]["finished"].tolist() == [1]


def test_noise_that_hides_the_cohort_is_an_error_reply_and_never_a_division_by_it(
    apps: Path,
) -> None:
    cheap = {**PRICED, "release": {**PRICED["release"], "rho": "0.001"}}
    config = {"strategy": "FedAvg", "num-server-rounds": 2}
    program = adopted(apps / "line_numpy", {**cheap, "run_config": config})
    played = play(program, [person(seed) for seed in range(20)], seeded(b"cheap"))
    assert played.found.report is not None, played.found.complaints
    assert played.told[0]["examples"].tolist() == [0.0]
    assert np.isnan(played.told[0]["metrics"][0])


def test_a_person_in_a_companys_table_is_a_run_and_a_clip_of_its_own(apps: Path) -> None:
    def company(seed: int) -> Tables:
        return {"points": {**person(seed)["points"], "persons": np.full(15, 2, np.int64)}}

    changes = {
        "data": {"classes": ["company"]},
        "release": {**PRICED["release"], "unit": "person", "weight_cap": "1"},
        "run_config": {"num-server-rounds": 1, "fraction-evaluate": 0.0},
    }
    program = adopted(apps / "line_numpy", changes)
    assert program.tables["points"][-1] == "persons"
    played = play(program, [company(1), company(2)], seeded(b"person"))
    assert played.found.report is not None, played.found.complaints
    assert played.found.facts["contributors"] == 60
    assert played.found.facts["rounds"] == 2
    assert abs(played.told[0]["examples"][0] - 60) < 3
