"""Personal capsules: the app sees one synthetic reply, the noised average of the cohort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flower_campaigns import adopted, play, under_flower
from numpy.typing import NDArray

from capsule_runtime import guard, rehearsal
from capsule_runtime.broker.program import Program
from jobs import aggregate
from protection.columns import Tables
from tests.flower.apps.line_numpy.line_numpy import task
from trust.entropy import Entropy, seeded

pytestmark = pytest.mark.sandbox
Array = NDArray[np.float64]
PERSONS = 24
COUNTED, DRAWS, STEPS = 60, 20, 100  # of the table in docs/learning.md
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


def taught(program: Program, people: list[Tables], entropy: Entropy, *, proximal: float) -> Array:
    """What `play` gives, without a sandbox: the app's own steps, the real guard, noise and opening.

    A table of many draws would start a process for each of its 20,000 replies.
    """
    rules, weights = program.rules, np.zeros(3)
    for number in range(program.rounds):
        total = guard.Sum(rules, rounds=program.rounds)
        for each in people:
            x, z, y = (each["points"][name] for name in "xzy")
            inputs = np.column_stack([x, z, np.ones(len(x))])
            # A round of training, then one of evaluation, which costs its share of rho too.
            training = number % 2 == 0
            fitted = task.fit(weights, inputs, y, STEPS, 0.1, proximal) if training else weights
            told = [*(fitted - weights), task.loss(fitted, inputs, y), 1.0]
            total.add_capsule(((guard.judge(rules, np.array(told).tobytes()), 1),))
        sums = aggregate.decode_aggregate(rules, rehearsal._opened(program, total, entropy))
        weight, deviation = sums["weight"][0], np.sqrt(sums["weight.variance"][0])
        if training and weight > 2 * deviation:
            weights = weights + sums["update"] / weight
    return weights


@pytest.mark.soak
def test_what_privacy_costs_a_line(apps: Path, tmp_path: Path) -> None:
    """Makes the table of docs/learning.md; run it with `-s` to see it."""
    people = [person(seed) for seed in range(COUNTED)]
    x, z, y = (np.concatenate([each["points"][name] for each in people]) for name in "xzy")

    def loss(model: Array) -> float:
        return float(np.sqrt(np.mean((model[0] * x + model[1] * z + model[2] - y) ** 2)))

    print("\n| rho | strategy | root mean square error |\n| --- | --- | --- |")
    print(f"| | | {loss(np.zeros(3)):.4f} |")
    for strategy, proximal in (("FedAvg", 0.0), ("FedProx", 0.5)):
        config = {"strategy": strategy, "num-server-rounds": 2, "local-steps": STEPS}
        where = tmp_path / strategy
        where.mkdir()
        under_flower(apps / "line_numpy", where, "points", people, config)
        with np.load(where / "line.npz") as saved:
            plain = loss(saved["arr_0"])
        print(f"| none | {strategy} | {plain:.4f} |", flush=True)
        found = {}
        for rho in ("100", "10", "1", "0.3"):
            changes = {**PRICED, "release": {**PRICED["release"], "rho": rho}, "run_config": config}
            program = adopted(apps / "line_numpy", changes)
            models = [
                taught(program, people, seeded(b"%d" % draw), proximal=proximal)
                for draw in range(DRAWS)
            ]
            if rho == "1":
                played = play(program, people, seeded(b"0")).model
                assert np.abs(models[0] - played).max() < 1e-9
            losses = [loss(model) for model in models]
            found[rho] = np.mean(losses)
            print(f"| {rho} | {strategy} | {found[rho]:.4f} +- {np.std(losses):.4f} |", flush=True)
        assert found["100"] == pytest.approx(plain, abs=0.01)
        assert found["100"] < found["0.3"] < loss(np.zeros(3))
