"""Flower apps on a real grid: `bundle from-flower`, a vote, consents, workers; Flower's own model.

Scheduler, helper, witness and workers are programs of the environment that flwr is installed in;
the apps are unmodified, their ServerApp runs in the sandbox of the worker that concludes. One
territory plays them all: to found one takes longer than a campaign.
"""

from __future__ import annotations

import csv
import importlib.util
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flower_campaigns import saved_by, under_flower
from standing import Standing, standing

from loopback.territory import Site
from protection.columns import Tables

pytestmark = [pytest.mark.processes, pytest.mark.sandbox]
SITES = [
    Site("mairie", "salle-serveurs"),
    Site("departement", "college"),
    Site("ville", "mediatheque", concludes=True),  # holds no capsule
]
HOSTS = 2
CLOSE = 1e-6
SECONDS = 600.0  # a limit: a campaign of six rounds takes a tenth of it where nothing else runs
MAPPING = """\
[capsule]
data_class = "{data_class}"
unit = "owner"
one_per = "station"
[tables.points]
"""
COLUMN = 'columns.{name} = {{ type = "{type}", from = "{name}" }}\n'
COLUMNS = {"x": "real", "z": "real", "y": "real", "label": "integer"}
NODE = {"station": "integer"}  # which capsule it is, in every row


def points(seed: int, rows: int) -> Tables:
    generator = np.random.default_rng(seed)
    x, z = generator.uniform(-1, 1, (2, rows))
    y = 1.5 * x - 0.5 * z + 0.2 + generator.normal(0, 0.1, rows)
    label = (x > 0).astype(np.int64) + (z > 0).astype(np.int64)
    return {"points": {"x": x, "z": z, "y": y, "label": label}}


# Capsules of unlike sizes, two on each worker: an average without its weights would be another.
COHORT = [points(seed, rows) for seed, rows in ((1, 10), (2, 26), (3, 40), (4, 20))]
PERSONS, ROWS = 40, 15
PEOPLE = [points(100 + seed, ROWS) for seed in range(PERSONS)]
# A round of training and one of evaluation, under the 0.5 zCDP that the voters allow.
PRICED = """\
[data]
classes = ["personal"]
table = "points"
columns = ["x", "z", "y"]
[release]
clip = "1"
weight_cap = "15"
rho = "0.5"
minimum_contributors = 10
minimum_workers = 2
minimum_operators = 2
[run_config]
strategy = "FedProx"
num-server-rounds = 1
[mock]
rows = 12
"""
# A round may begin before the last worker has shown itself, with fewer capsules, as in Flower; here
# it would be compared with a round of all.
BOTH = f"[run]\nquorum = {HOSTS}\n"
# What the numpy app's choices end with where every capsule is a node of its own.
SINGLE = f"""\
columns.station = {{ minimum = 0, maximum = 0 }}
{BOTH}nodes = 4
[run_config]
strategy = "FedMedian"
num-server-rounds = 2
"""


def host(place: Standing, data_class: str, cohort: Sequence[Tables]) -> list[Path]:
    """Every worker gets every second capsule, all in one file; where their owners' keys are."""
    known = len(place.owners)
    mapping = place.home / f"{data_class}.toml"
    every = {**COLUMNS, **NODE}
    named = "".join(COLUMN.format(name=name, type=kind) for name, kind in every.items())
    mapping.write_text(MAPPING.format(data_class=data_class) + named)
    for worker in range(HOSTS):
        source = place.home / f"{data_class}-{worker}.csv"
        with source.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow([*NODE, *COLUMNS])
            for number in range(worker, len(cohort), HOSTS):
                columns = [cohort[number]["points"][name].tolist() for name in COLUMNS]
                writer.writerows([number, *row] for row in zip(*columns, strict=True))
        place.host(worker, source, mapping)
    return place.owners[known:]


@pytest.fixture(scope="module")
def place() -> Iterator[Standing]:
    if importlib.util.find_spec("flwr") is None:
        pytest.skip("no flwr: pip install 'cadastre[flower]' in an environment of its own")
    with standing(SITES) as made:
        yield made


@pytest.fixture(scope="module")
def owners(place: Standing) -> dict[str, list[Path]]:
    """Whose capsules the workers hold, by data class; the workers run from here on."""
    hosted = {"public": host(place, "public", COHORT), "personal": host(place, "personal", PEOPLE)}
    place.work()
    return hosted


def released(place: Standing, folder: Path, owners: list[Path], library: str) -> dict[str, Any]:
    """Vote the app in `folder` in, let it run on these owners' capsules; what came of it."""
    from safetensors.numpy import load_file

    bundle = place.home / folder.name
    made = place.run("bundle", "from-flower", folder, "--out", bundle)
    campaign = place.launch(place.admit(bundle, library=library, owners=owners, campaigns=1))
    view = place.require_released(campaign, SECONDS)
    report = place.run("campaign", "report", campaign, "--as", place.grid.operator)
    told = report["arrays"]["metrics"]
    (labels,) = told["labels"]
    return {
        "rounds": made["rounds"],
        "ran": view["rounds"],
        "model": np.asarray(
            load_file(place.export(campaign) / "model.safetensors")["message"], np.float64
        ),
        "metrics": dict(zip(labels, told["cells"], strict=True)),
        "replies": report["arrays"].get("replies", {}).get("cells"),  # not told of people
    }


@pytest.mark.parametrize(
    ("app", "library", "rounds"), [("line_numpy", "flwr", 3), ("net_torch", "flwr_torch", 1)]
)
def test_an_app_gives_on_real_workers_what_flower_gives(
    apps: Path,
    tmp_path: Path,
    place: Standing,
    owners: dict[str, list[Path]],
    app: str,
    library: str,
    rounds: int,
) -> None:
    if app == "net_torch":
        pytest.importorskip("torch", reason="no torch: pip install 'cadastre[learning]'")
    config = {"num-server-rounds": rounds}
    folder = tmp_path / app
    shutil.copytree(apps / app, folder)
    with (folder / "cadastre.toml").open("a") as choices:
        choices.write(f"{BOTH}[run_config]\nnum-server-rounds = {rounds}\n")
    expected = under_flower(apps / app, tmp_path, "points", columns_of(app), config)
    found = released(place, folder, owners["public"], library)
    # Each round of training is followed by one of evaluation.
    assert found["rounds"] == 2 * rounds
    assert found["ran"].startswith(f"{2 * rounds} of")
    flowers = saved_by(app, tmp_path)
    assert found["model"].shape == flowers.shape
    assert np.abs(flowers - found["model"]).max() < CLOSE
    if app == "line_numpy":
        # Three rounds come near the plane that the points were drawn around.
        assert np.abs(found["model"] - [1.5, -0.5, 0.2]).max() < 0.3
    for name, value in expected.items():
        assert found["metrics"][name] == pytest.approx(value, abs=CLOSE), (name, found["metrics"])
    place.mortals.require_alive()
    place.require_evidence()


def test_an_app_learns_from_personal_capsules_through_both_aggregators(
    apps: Path, tmp_path: Path, place: Standing, owners: dict[str, list[Path]]
) -> None:
    folder = tmp_path / "personal_line"
    shutil.copytree(apps / "line_numpy", folder)
    (folder / "cadastre.toml").write_text(PRICED)
    project = folder / "pyproject.toml"  # another name: it is another bundle of the same app
    project.write_text(project.read_text().replace("line-numpy", "line-of-people", 1))
    config = {"strategy": "FedProx", "num-server-rounds": 1}
    people = [{"points": columns(person, "x", "z", "y")} for person in PEOPLE]
    under_flower(apps / "line_numpy", tmp_path, "points", people, config)
    found = released(place, folder, owners["personal"], "flwr")
    distance = np.abs(saved_by("line_numpy", tmp_path) - found["model"]).max()
    # Noise of two aggregators on the sum of 40: 2.2 a number, 0.06 in the mean; never none.
    assert CLOSE < distance < 0.4
    place.require_evidence()


@pytest.mark.soak
def test_single_replies_reach_flowers_median_over_a_real_grid(
    apps: Path, tmp_path: Path, place: Standing, owners: dict[str, list[Path]]
) -> None:
    folder = tmp_path / "median_line"
    shutil.copytree(apps / "line_numpy", folder)
    choices = folder / "cadastre.toml"
    single = choices.read_text().replace("[release]", 'node = "station"\n[release]', 1)
    choices.write_text(single + SINGLE)
    project = folder / "pyproject.toml"
    project.write_text(project.read_text().replace("line-numpy", "line-of-medians", 1))
    config = {"strategy": "FedMedian", "num-server-rounds": 2}
    expected = under_flower(
        apps / "line_numpy", tmp_path, "points", columns_of("line_numpy"), config
    )
    found = released(place, folder, owners["public"], "flwr")
    distance = np.abs(saved_by("line_numpy", tmp_path) - found["model"]).max()
    print(f"{found['ran']}: the median is {distance:.1e} from the one under Flower")
    assert distance < CLOSE
    for name, value in expected.items():
        assert found["metrics"][name] == pytest.approx(value, abs=CLOSE), (name, found["metrics"])
    assert found["replies"] == [len(COHORT)]
    place.require_evidence()


def columns_of(app: str) -> list[Tables]:
    """The public cohort as this app's cadastre.toml names its columns."""
    names = ("x", "z", "y") if app == "line_numpy" else ("x", "z", "label")
    return [{"points": columns(capsule, *names)} for capsule in COHORT]


def columns(capsule: Tables, *names: str) -> dict[str, np.ndarray]:
    return {name: capsule["points"][name] for name in names}
