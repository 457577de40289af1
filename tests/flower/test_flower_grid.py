"""A Flower app on a real grid: `bundle from-flower`, a vote, consents, workers; Flower's own model.

Scheduler, helper, witness and workers are programs of the environment that flwr is installed in;
the app is unmodified, its ServerApp runs in the sandbox of the worker that concludes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flower_campaigns import under_flower
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
ROUNDS = 6  # three of training, each followed by one of evaluation
SECONDS = 240.0
MAPPING = """\
[capsule]
data_class = "public"
unit = "owner"
one_per = "station"
[tables.points]
columns.x = { type = "real", from = "x" }
columns.z = { type = "real", from = "z" }
columns.y = { type = "real", from = "y" }
"""


def points(seed: int, rows: int) -> Tables:
    generator = np.random.default_rng(seed)
    x, z = generator.uniform(-1, 1, (2, rows))
    y = 1.5 * x - 0.5 * z + 0.2 + generator.normal(0, 0.1, rows)
    return {"points": {"x": x, "z": z, "y": y}}


# Capsules of unlike sizes, two on each worker: an average without its weights would be another.
COHORT = [points(seed, rows) for seed, rows in ((1, 10), (2, 26), (3, 40), (4, 20))]


@pytest.fixture
def place(apps: Path) -> Iterator[Standing]:
    with standing(SITES) as made:
        yield made


def host_stations(place: Standing, host: int) -> None:
    """Every second station's points, in one file of which each station becomes a capsule."""
    mapping, source = place.home / "mapping.toml", place.home / f"stations-{host}.csv"
    mapping.write_text(MAPPING)
    with source.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["station", "x", "z", "y"])
        for station in range(host, len(COHORT), HOSTS):
            columns = COHORT[station]["points"]
            for row in zip(*(column.tolist() for column in columns.values()), strict=True):
                writer.writerow([station, *row])
    place.host(host, source, mapping)


def test_an_app_gives_on_real_workers_what_flower_gives(
    apps: Path, tmp_path: Path, place: Standing
) -> None:
    from safetensors.numpy import load_file

    folder = apps / "line_numpy"
    expected = under_flower(folder, tmp_path, "points", COHORT, {})
    bundle = place.home / "line"
    made = place.run("bundle", "from-flower", folder, "--out", bundle)
    assert made["rounds"] == ROUNDS
    for host in range(HOSTS):
        host_stations(place, host)
    place.work()
    campaign = place.launch(place.admit(bundle, library="flwr"))
    view = place.require_released(campaign, SECONDS)
    assert view["rounds"].startswith(f"{ROUNDS} of")
    state = load_file(place.export(campaign) / "model.safetensors")
    with np.load(tmp_path / "line.npz") as saved:
        flowers = saved["arr_0"]
    released = np.asarray(state["message"], np.float64)
    assert released.shape == flowers.shape
    assert np.abs(flowers - released).max() < CLOSE
    # Three rounds come near the plane that the points were drawn around.
    assert np.abs(released - [1.5, -0.5, 0.2]).max() < 0.3
    report = place.run("campaign", "report", campaign, "--as", place.grid.operator)
    told = report["arrays"]["metrics"]
    (labels,) = told["labels"]
    last = dict(zip(labels, told["cells"], strict=True))
    for name, value in expected.items():
        assert last[name] == pytest.approx(value, abs=CLOSE), (name, last)
    place.mortals.require_alive()
    place.require_evidence()
