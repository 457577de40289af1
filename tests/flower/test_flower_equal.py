"""Two apps in Flower's public interface: the same result under Flower and under the grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flower_campaigns import adopted, play, under_flower

from protection.columns import Tables
from trust.entropy import seeded

pytestmark = pytest.mark.sandbox
CLOSE = 1e-6


def points(seed: int, rows: int) -> Tables:
    generator = np.random.default_rng(seed)
    x, z = generator.uniform(-1, 1, (2, rows))
    return {
        "points": {
            "x": x,
            "z": z,
            "y": 1.5 * x - 0.5 * z + 0.2 + generator.normal(0, 0.1, rows),
            "label": (x > 0).astype(np.int64) + (z > 0).astype(np.int64),
        }
    }


COHORT = [points(seed, rows) for seed, rows in ((1, 10), (2, 26), (3, 40), (4, 20))]


def test_a_line_in_numpy_is_the_same_under_flower_and_here(apps: Path, tmp_path: Path) -> None:
    folder = apps / "line_numpy"
    expected = under_flower(folder, tmp_path, "points", COHORT, {})
    played = play(adopted(folder), COHORT, seeded(b"line"))
    assert played.found.well, played.found.complaints
    with np.load(tmp_path / "line.npz") as saved:
        assert np.abs(saved["arr_0"] - played.model).max() < CLOSE
    names = ("train train_loss", "evaluate eval_loss", "server steepness")
    last = dict(zip(names, played.told[-1]["metrics"], strict=True))
    assert expected == pytest.approx(last, abs=CLOSE)


def test_a_net_in_torch_is_the_same_under_flower_and_here(apps: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="no torch: pip install 'cadastre[learning]'")
    folder = apps / "net_torch"
    expected = under_flower(folder, tmp_path, "points", COHORT, {})
    played = play(adopted(folder), COHORT, seeded(b"net"))
    assert played.found.well, played.found.complaints
    saved = torch.load(tmp_path / "net.pt", weights_only=True)
    flat = np.concatenate([tensor.double().numpy().ravel() for tensor in saved.values()])
    assert np.abs(flat - played.model).max() < CLOSE
    names = ("train train_loss", "evaluate eval_loss", "evaluate accuracy")
    last = dict(zip(names, played.told[-1]["metrics"], strict=True))
    assert expected == pytest.approx(last, abs=CLOSE)
