"""The bundle `mode_shift`: what it reads, what it answers, and what its rounds come to."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (the extra `learning`)")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("torch_geometric", reason="torch_geometric is not installed")

from capsule_runtime import guard, mock, trial  # noqa: E402
from capsule_runtime.broker.program import Program, read_program  # noqa: E402
from capsule_runtime.capsules.mapping_file import read_mapping  # noqa: E402
from capsule_runtime.guard import Verdict  # noqa: E402
from capsule_runtime.rehearsal import rehearse  # noqa: E402
from demo import learning_data, learning_model, learning_rehearsal  # noqa: E402
from graph.learning import mode_shift  # noqa: E402
from jobs import archive, description, manifest, opening, parameters  # noqa: E402
from protection.columns import Tables  # noqa: E402
from trust.documents.rules import Mechanism  # noqa: E402
from trust.entropy import seeded  # noqa: E402

FOLDER = opening.built_in_folder("mode_shift")
MANIFEST = manifest.read((FOLDER / "bundle.toml").read_bytes())
WEIGHTS = 49
SETTINGS = {"seed": 1, "rate": "1", "slowing": "0.3", "damping": "0.02", "round": 1, "rounds": 6}


@pytest.fixture(scope="module")
def algorithm() -> Any:
    torch.set_num_threads(1)
    return learning_model.algorithm()


@pytest.fixture(scope="module")
def steps(algorithm: Any) -> ModuleType:
    """Module `steps`, which finds its neighbour under the name that it has in the sandbox."""
    specification = importlib.util.spec_from_file_location("mode_shift_steps", FOLDER / "steps.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    before = sys.modules.get("algorithm")
    sys.modules["algorithm"] = algorithm
    specification.loader.exec_module(module)
    del sys.modules["algorithm"]
    if before is not None:
        sys.modules["algorithm"] = before
    return module


@pytest.fixture(scope="module")
def people(steps: ModuleType) -> dict[str, np.ndarray]:
    """The invented people, each with a way that is open to her."""
    table = {name: np.asarray(values, np.float64) for name, values in steps.invented().items()}
    draw = np.random.default_rng(5)
    opened = np.stack([table[f"open_{mode}"] for mode in range(1, 7)], axis=1)
    chances = opened * np.array([0.7, 0.1, 0.04, 0.1, 0.02, 0.04])
    chances /= chances.sum(axis=1, keepdims=True)
    table["mode"] = np.array([1 + draw.choice(6, p=row) for row in chances])
    table["persons"] = np.ones(len(table["mode"]), np.int64)
    return table


def one(people: Mapping[str, np.ndarray], number: int) -> dict[str, dict[str, np.ndarray]]:
    return {"commute": {name: values[number : number + 1] for name, values in people.items()}}


def state(seed: int = 3) -> dict[str, Any]:
    moved = 0.4 * np.random.default_rng(seed).normal(size=WEIGHTS)
    return {**SETTINGS, "state": {"moved": moved}}


def losses(algorithm: Any, weights: np.ndarray, people: Mapping[str, np.ndarray]) -> np.ndarray:
    chances = algorithm.probabilities(weights, people)
    mode = np.asarray(people["mode"]).astype(int) - 1
    return -np.log(chances[np.arange(len(mode)), mode])


def test_the_chosen_ways_own_time_and_cost_are_not_among_the_columns() -> None:
    columns = set(MANIFEST.needs.tables["commute"])
    ways = {f"{kind}_{mode}" for kind in ("open", *learning_data.WAYS) for mode in range(1, 7)}
    assert columns == {*learning_data.PERSONAL, *ways, "mode", "persons"}
    assert not {"ivtt", "ovtt", "tottime", "totcost", "time", "cost"} & columns


def test_what_the_network_reads_does_not_depend_on_the_choice(algorithm: Any, people: Any) -> None:
    without = {name: values for name, values in people.items() if name not in {"mode", "persons"}}
    read, again = algorithm.graph_of(people), algorithm.graph_of(without)
    assert all(torch.equal(read[name], again[name]) for name in read)


def test_the_answer_is_the_gradient_of_her_loss(algorithm: Any, people: Any) -> None:
    parameters_ = state()
    weights = algorithm.start(1) + parameters_["state"]["moved"]
    for number in (0, 7, 42):
        person = one(people, number)
        found = algorithm.contribute(person, parameters_)["update"]
        slopes = np.array(
            [
                losses(algorithm, weights + nudge, person["commute"])[0]
                - losses(algorithm, weights - nudge, person["commute"])[0]
                for nudge in 1e-5 * np.eye(WEIGHTS)
            ]
        )
        slopes /= 2e-5
        length = np.linalg.norm(slopes)
        expected = slopes * min(1.0, algorithm.LENGTH / length)
        assert found == pytest.approx(expected, abs=1e-6)


def test_people_side_by_side_do_not_hear_each_other(algorithm: Any, people: Any) -> None:
    weights = algorithm.start(1) + state()["state"]["moved"]
    together = algorithm.probabilities(weights, people)
    for number in (0, 11, 399):
        alone = algorithm.probabilities(weights, one(people, number)["commute"])
        assert alone[0] == pytest.approx(together[number], abs=1e-12)


def test_only_open_ways_have_a_chance(algorithm: Any, people: Any) -> None:
    chances = algorithm.probabilities(algorithm.start(1), people)
    opened = np.stack([people[f"open_{mode}"] > 0 for mode in range(1, 7)], axis=1)
    assert (chances[~opened] == 0).all()
    assert chances.sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize("mode", [0, 7, -3, 1])
def test_a_choice_that_cannot_be_is_nobodys(algorithm: Any, people: Any, mode: int) -> None:
    person = one(people, 0)["commute"] | {"mode": np.array([mode]), "open_1": np.array([0])}
    answer = algorithm.contribute({"commute": person}, state())
    assert not answer["update"].any()
    assert not answer["progress"].any()


@pytest.mark.parametrize("value", [-1e9, 0.0, 1e9])
def test_absurd_records_give_finite_and_short_answers(
    algorithm: Any, people: Any, value: float
) -> None:
    person = one(people, 0)["commute"]
    for name in set(person) - {"mode", "persons", *(f"open_{mode}" for mode in range(1, 7))}:
        person[name] = np.array([value])
    answer = algorithm.contribute({"commute": person}, state())
    frame = np.concatenate([answer["update"], answer["progress"]]).tobytes()
    assert guard.judge(MANIFEST.rules(), frame).verdict is Verdict.ACCEPTED


def test_the_guard_shortens_who_sends_a_hundred_times_her_answer(
    algorithm: Any, people: Any
) -> None:
    answer = algorithm.contribute(one(people, 3), state())
    frame = np.concatenate([100 * answer["update"], answer["progress"]]).tobytes()
    found = guard.judge(MANIFEST.rules(), frame)
    assert found.verdict is Verdict.CLIPPED
    assert np.linalg.norm(found.vectors["update"] * 0.01) <= 2.0


def aggregate(
    update: np.ndarray, persons: float = 1000.0, having: np.ndarray | float = 0.9
) -> dict[str, np.ndarray]:
    """The sums that conclude reads; of the persons, the part `having` has each edge type."""
    parts = np.array([1.0, 0.7, 0.2, *np.broadcast_to(having, 4)])
    return {
        "update": update,
        "update.variance": np.full(WEIGHTS, 53.0),
        "progress": persons * parts,
        "progress.variance": np.full(7, 840.0),
    }


def test_conclude_follows_the_gradient_divided_by_the_curvature(
    algorithm: Any, steps: ModuleType
) -> None:
    told = state()
    before = algorithm.start(1) + told["state"]["moved"]
    update = np.random.default_rng(1).normal(size=WEIGHTS)
    # As many have each type as among the invented people: a mean over everybody is as good.
    having = algorithm.edges_of(steps.invented()).mean(axis=0)
    answer = steps.conclude(aggregate(update, having=having), told)
    curved = steps.curvature(before)
    assert np.linalg.eigvalsh(curved).min() > -1e-9
    moved = (before - answer["weights"]) @ (curved + 0.02 * np.eye(WEIGHTS))
    assert moved == pytest.approx(update / 1000.0, abs=1e-9)
    assert answer["weights"] == pytest.approx(algorithm.start(1) + answer["moved"], abs=1e-12)
    assert (answer["accuracy"][0], answer["loss"][0]) == pytest.approx((0.7, 0.8))
    assert answer["edges"] == pytest.approx(1000.0 * having)
    again = steps.conclude(aggregate(update, having=having), told)
    assert all(np.array_equal(answer[name], again[name]) for name in answer)


def test_weights_belong_to_the_edge_types_that_their_labels_name(algorithm: Any) -> None:
    labels = tomllib.loads((FOLDER / "bundle.toml").read_text())["report"]["weights"]["labels"][0]
    types = {"alone": 0, "shared": 1, "two": 1, "three": 1, "transport": 2, "muscle": 3,
             "bicycle": 3, "foot": 3, "miles": 3}  # fmt: skip
    named = [types.get(label.split()[-1], -1) for label in labels]
    assert named == algorithm.OWNERS.tolist()
    assert [label for label, kind in zip(labels, named, strict=True) if kind < 0] == [
        "ride, half hours", "wait, twenty minutes", "cost",
    ]  # fmt: skip


def summed(algorithm: Any, employers: list[Any], told: dict[str, Any]) -> dict[str, np.ndarray]:
    """What the employers' people answer together, without noise."""
    found = [
        algorithm.contribute(one(staff, number), told)
        for staff in employers
        for number in range(len(staff["mode"]))
    ]
    sums = {name: sum(answer[name] for answer in found) for name in ("update", "progress")}
    return {**sums, "progress.variance": np.zeros(7), "update.variance": np.zeros(WEIGHTS)}


@pytest.fixture(scope="module")
def two_employers(people: Any) -> list[dict[str, np.ndarray]]:
    """One that everybody could reach by a line too, and one three times larger without lines."""
    drivers = np.flatnonzero((people["open_1"] > 0) & (people["mode"] == 1))[:80]
    near, far = ({name: values[part] for name, values in people.items()}
                 for part in (drivers[:20], drivers[20:]))  # fmt: skip
    near |= {"open_4": np.ones(20), "mode": np.where(np.arange(20) % 2, 1.0, 4.0)}
    near |= {"ride_4": np.full(20, 20.0), "wait_4": np.full(20, 10.0)}
    far |= {"open_4": np.zeros(60)}
    return [near, far]


def test_an_employer_without_an_edge_type_takes_part_and_does_not_dilute_it(
    algorithm: Any, steps: ModuleType, two_employers: list[Any]
) -> None:
    told = state()
    near, far = (summed(algorithm, [staff], told) for staff in two_employers)
    both = summed(algorithm, two_employers, told)
    lines, everybody = algorithm.OWNERS == 2, algorithm.OWNERS == -1
    assert not far["update"][lines].any()
    assert far["update"][everybody].all()
    mean = both["update"] / steps.spoke(both)
    # What is said of lines is the mean of those who have some; of the rest, of all of them.
    assert mean[lines] == pytest.approx(near["update"][lines] / 20)
    whole = (near["update"] + far["update"]) / 80
    assert mean[everybody] == pytest.approx(whole[everybody])
    moved = steps.conclude(both, told)["moved"] - told["state"]["moved"]
    assert moved[lines].all()


@pytest.mark.parametrize("count", [0.0, -40.0, 50.0])
def test_an_edge_type_that_may_be_nobodys_stands_still(
    algorithm: Any, steps: ModuleType, count: float
) -> None:
    update = np.random.default_rng(1).normal(size=WEIGHTS)
    having = np.array([0.9, 0.9, count / 1000.0, 0.9])
    answer = steps.conclude(aggregate(update, having=having), state())
    moved = answer["moved"] - state()["state"]["moved"]
    assert not moved[algorithm.OWNERS == 2].any()
    assert moved[algorithm.OWNERS != 2].all()


@pytest.mark.parametrize(("size", "persons"), [(1e15, 1000.0), (1e6, -50.0), (0.0, 0.0)])
def test_no_sum_moves_the_model_far(steps: ModuleType, size: float, persons: float) -> None:
    answer = steps.conclude(aggregate(np.full(WEIGHTS, size), persons), state())
    length = np.linalg.norm(answer["moved"] - state()["state"]["moved"])
    assert length <= steps.LONGEST * (1 + 1e-9)
    assert all(np.isfinite(values).all() for values in answer.values())


def test_later_steps_are_shorter(steps: ModuleType) -> None:
    update = np.random.default_rng(1).normal(size=WEIGHTS)
    first, last = (
        np.linalg.norm(
            steps.conclude(aggregate(update), {**state(), "round": number})["moved"]
            - state()["state"]["moved"]
        )
        for number in (1, 6)
    )
    assert first == pytest.approx(2.5 * last)


def test_every_weight_has_a_label_in_the_networks_order(algorithm: Any) -> None:
    labels = tomllib.loads((FOLDER / "bundle.toml").read_text())["report"]["weights"]["labels"][0]
    assert len(set(labels)) == len(labels) == WEIGHTS
    kinds, order = ("shared", "public transport", "muscle"), []
    for name, values in algorithm.ChoiceNetwork().named_parameters():
        rows = values.shape[0] if values.ndim == 2 and values.shape[0] == 3 else 0
        where = {"lives.lin_l.weight": "home", "works.lin_l.weight": "work"}.get(name, "")
        for row in range(rows):
            for label in labels[len(order) : len(order) + values.shape[1]]:
                assert label.endswith(f", {kinds[row]}")
                assert label.startswith(where)
                order.append(label)
        order += labels[len(order) : len(order) + (0 if rows else values.numel())]
    assert order == labels


def survey() -> list[dict[str, str]]:
    """A table like the survey's: 240 invented cases in 60 work zones, three ways each."""
    draw = np.random.default_rng(2)
    rows = []
    for case in range(1, 241):
        fixed = {"casenum": str(case), "wkzone": str(1 + case % 60)}
        fixed |= {name: f"{draw.uniform(1, 9):.2f}" for name in learning_data.PERSONAL.values()}
        for mode in (1, 2, 4):
            ways = {name: f"{draw.uniform(5, 50):.2f}" for name in learning_data.WAYS.values()}
            chose = str(int(mode == (1, 1, 4, 2)[case % 4]))
            rows.append({**fixed, **ways, "altnum": str(mode), "chose": chose})
    return rows


def test_employers_are_whole_zones_and_hold_nobody_who_judges() -> None:
    rows = survey()
    staff = learning_data.Staff(rows)
    sizes = np.bincount(staff.employer, minlength=24)
    assert sizes.min() >= 8
    zones = np.array([int(row["wkzone"]) for row in rows[::3]])
    assert all(len(set(staff.employer[zones == zone])) == 1 for zone in set(zones))
    held = sum(len(capsule["commute"]["mode"]) for capsule in staff.capsules())
    assert held + len(staff.judged_by()["mode"]) == 240
    assert np.flatnonzero(staff.held_out).tolist() == list(range(4, 240, 5))
    again = learning_data.Staff(rows).capsules()
    assert all(
        np.array_equal(found["commute"][name], same["commute"][name])
        for found, same in zip(staff.capsules(), again, strict=True)
        for name in MANIFEST.needs.tables["commute"]
    )


def test_the_mapping_fills_every_column_that_the_bundle_reads(tmp_path: Path) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(learning_data.mapping())
    (table,) = read_mapping(path).tables
    assert {column.name for column in table.columns} == set(MANIFEST.needs.tables["commute"])
    learning_data.write(learning_data.Staff(survey()).trained_on(0), tmp_path / "rows.csv")
    heading, first, *_ = (tmp_path / "rows.csv").read_text().splitlines()
    assert set(heading.split(",")) == set(MANIFEST.needs.tables["commute"])
    whole = dict(zip(heading.split(","), first.split(","), strict=True))
    assert whole["persons"] == "1"
    assert whole["mode"] in {"1", "2", "4"}


def test_scores_are_what_they_say() -> None:
    chances = np.array([[0.5, 0.5, 0.0], [0.25, 0.75, 0.0], [0.6, 0.4, 0.0], [0.9, 0.1, 0.0]])
    found = mode_shift.score(chances, {"mode": np.array([1.0, 2.0, 2.0, 1.0])})
    assert found.accuracy == 0.75
    assert found.loss == pytest.approx(-np.log([0.5, 0.75, 0.4, 0.9]).mean())
    assert found.macro_f1 == pytest.approx((4 / 5 + 2 / 3 + 0) / 3)


def test_training_in_one_place_learns_more_than_the_majority(algorithm: Any, people: Any) -> None:
    # Whoever goes far takes a line where there is one: a rule that shares alone cannot tell.
    mode = np.where((people["distance"] > 8) & (people["open_4"] > 0), 4.0, 2.0)
    told = {**people, "mode": mode}
    half = np.arange(len(mode)) % 2 == 0
    parts = [{name: values[side] for name, values in told.items()} for side in (half, ~half)]
    found = mode_shift.baselines(algorithm, parts[:1], parts[1:])
    assert found.central.loss < 0.7 * found.majority.loss
    assert found.logistic.loss < 0.7 * found.majority.loss
    assert found.central.macro_f1 > found.majority.macro_f1


def shortened(rounds: int, draw: str) -> Program:
    """The bundle with fewer rounds and persons, and a cohort that so few can make."""
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.is_file()}
    for old, new in (
        (b"maximum = 6\n", b"maximum = %d\n" % rounds),
        (b'draw = "0.334"', b'draw = "%s"' % draw.encode()),
        (b"minimum_contributors = 50", b"minimum_contributors = 20"),
    ):
        assert old in files["bundle.toml"]
        files["bundle.toml"] = files["bundle.toml"].replace(old, new)
    return read_program(archive.pack(files), MANIFEST.needs.libraries)


def test_a_campaign_without_sandbox_gives_a_model_that_can_be_judged() -> None:
    staff, heard = learning_data.Staff(survey()), []
    weights = learning_rehearsal.trained(
        staff, 2, seeded(b"here"), lambda number, _: heard.append(number)
    )
    assert heard == [1, 2, 3, 4, 5, 6]
    found = learning_model.judged(weights, staff)
    assert 0 < found.loss < 20
    assert 0 <= found.macro_f1 <= 1


def test_what_noise_costs_is_measured_with_nothing_else_changed() -> None:
    ours, without = (learning_rehearsal.program_of(noise=noise) for noise in (True, False))
    assert {rule.mechanism for rule in ours.rules} == {Mechanism.DISCRETE_GAUSSIAN}
    assert without.rules == tuple(
        dataclasses.replace(rule, mechanism=Mechanism.NONE, rho="0") for rule in ours.rules
    )
    assert (without.draw, without.rounds) == (ours.draw, ours.rounds)


@pytest.mark.sandbox
def test_two_rounds_in_the_sandbox_and_the_model_in_the_report() -> None:
    program = shortened(2, "0.9")
    told = program.bundle_file.manifest
    bounds = told.bounds()
    blob = parameters.encode(parameters.from_texts(description.defaults(told), bounds), bounds)
    capsules: list[Tables] = mock.invented(told, 24, 3)
    seen: list[np.ndarray] = []
    with trial.sandbox(told.needs.libraries) as zygote:
        found = rehearse(
            *(zygote, program, blob, capsules, seeded(b"mode")),
            progress=lambda _, report: seen.append(report["weights"]),
        )
    assert found.well, found.complaints
    assert 70 <= found.facts["runs"] < 96
    assert len(seen) == 2
    assert not np.array_equal(*seen)
    assert found.report is not None
    cells = json.loads(found.report)["arrays"]["weights"]["cells"]
    assert len(cells) == WEIGHTS


def test_the_ledger_is_charged_for_model_and_progress() -> None:
    assert description.privacy(MANIFEST)["ledger charge (rho, zCDP)"] == "0.5"
    assert description.privacy(MANIFEST)["epsilon at delta 1e-6"] == pytest.approx(5.22, abs=0.01)
    assert {rule.unit.value for rule in MANIFEST.rules()} == {"person"}


def test_voters_see_what_every_round_leaves_with_the_scheduler() -> None:
    shown = description.carried(MANIFEST)
    assert shown["states kept by the scheduler, MiB at most"] == pytest.approx(
        MANIFEST.rounds.maximum * 8 * 49 / 2**20, abs=0.05
    )
    one_round = MANIFEST.model_copy(update={"state": {}})
    assert description.carried(one_round) == {}
