"""Unmodified apps on Flower's own deployment, a SuperLink and SuperNodes, and here: one result.

The other tests compare with Flower's strategy over nodes in one process (`plain_flower.py`), which
takes a second. That it stands for Flower is found out here: the same app is packed, sent and run by
Flower's programs, every node a process of its own that knows one file of data.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flower_campaigns import SAVED, adopted, node_files, play, saved_by, under_flower

from benchmarks import deployment
from protection.columns import Tables
from trust.entropy import seeded

pytestmark = [pytest.mark.processes, pytest.mark.sandbox, pytest.mark.soak]
CLOSE = 1e-6
ROWS = (10, 26)  # unlike, so that an average without its weights would be another
COLUMNS = {"line_numpy": ("x", "z", "y"), "net_torch": ("x", "z", "label")}


def capsule(app: str, seed: int, rows: int) -> Tables:
    generator = np.random.default_rng(seed)
    x, z = generator.uniform(-1, 1, (2, rows))
    told = {
        "x": x,
        "z": z,
        "y": 1.5 * x - 0.5 * z + 0.2 + generator.normal(0, 0.1, rows),
        "label": (x > 0).astype(np.int64) + (z > 0).astype(np.int64),
    }
    return {"points": {name: told[name] for name in COLUMNS[app]}}


@pytest.mark.parametrize("app", ["line_numpy", "net_torch"])
def test_an_app_gives_here_what_flowers_deployment_gives(
    apps: Path, tmp_path: Path, app: str
) -> None:
    if app == "net_torch":
        pytest.importorskip("torch", reason="no torch: pip install 'cadastre[learning]'")
    programs = deployment.find()
    if programs is None:
        pytest.skip("no programs of Flower's: .ci/flower installs them")
    assert len(ROWS) == deployment.NODES
    capsules = [capsule(app, seed, rows) for seed, rows in enumerate(ROWS, start=1)]
    played = play(adopted(apps / app), capsules, seeded(b"deployed"))
    assert played.found.well, played.found.complaints
    under_flower(apps / app, tmp_path, "points", capsules, {})
    home = tmp_path / "deployment"
    home.mkdir()
    told = [
        f'data-path="{path}" partition-id={number} num-partitions={len(capsules)}'
        for number, path in enumerate(node_files(home, "points", capsules))
    ]
    with deployment.deployed(programs, home, apps / app, told) as flower:
        flower.run("", home / SAVED[app])
    deployed = saved_by(app, home)
    ours = np.abs(deployed - played.model).max()
    plain = np.abs(deployed - saved_by(app, tmp_path)).max()
    print(f"{app}: {deployed.size} numbers, at most {ours:.1e} between Flower's deployment and us")
    print(f"{app}: at most {plain:.1e} between Flower's deployment and Flower in one process")
    assert np.abs(deployed).max() > 0.1
    assert max(ours, plain) < CLOSE
