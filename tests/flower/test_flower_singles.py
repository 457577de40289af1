"""Public capsules one by one: strategies of single replies, a node that is missing, one that lies.

The figures of docs/threat-model.md about a lying station are made here; a run with `-rP` prints
them.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from flower_campaigns import Played, adopted, play, under_flower

from capsule_runtime.broker.program import Program
from protection.columns import Tables
from trust.entropy import seeded

pytestmark = pytest.mark.sandbox
CLOSE = 1e-6
STATIONS = 6
ODD_ONE = 4  # the station that is missing, or lies
CONFIG = {"num-server-rounds": 2}


def rows_of(number: int) -> int:
    return 8 + 3 * number


def station(number: int) -> Tables:
    generator = np.random.default_rng(number)
    x, z = generator.uniform(-1, 1, (2, rows_of(number)))
    y = 1.5 * x - 0.5 * z + 0.2 + generator.normal(0, 0.1, len(x))
    return {"points": {"x": x, "z": z, "y": y}}


COHORT = [station(number) for number in range(STATIONS)]


@functools.cache
def program_of(folder: Path, strategy: str) -> Program:
    mock = {"rows": 1, "columns": {"station": {"minimum": "0", "maximum": "0"}}}
    changes = {
        "data": {"node": "station"},
        "run": {"nodes": STATIONS},
        "run_config": {**CONFIG, "strategy": strategy},
        "mock": mock,
    }
    return adopted(folder, changes)


@functools.cache
def played(folder: Path, strategy: str, *, liar: float = 1.0, absent: int | None = None) -> Played:
    """What all stations but `absent` teach; one says `liar` times what it measured."""
    capsules = []
    for number, capsule in enumerate(COHORT):
        points = {**capsule["points"], "station": np.full(rows_of(number), number, np.int64)}
        if number == ODD_ONE:
            points["y"] = liar * points["y"]
        if number != absent:
            capsules.append({"points": points})
    found = play(program_of(folder, strategy), capsules, seeded(b"single"))
    assert found.found.report is not None, found.found.complaints
    return found


@pytest.mark.parametrize("strategy", ["FedMedian", "FedTrimmedAvg", "FedAvg"])
def test_single_replies_of_public_capsules_reach_strategies_that_need_them(
    apps: Path, tmp_path: Path, strategy: str
) -> None:
    config = {**CONFIG, "strategy": strategy}
    expected = under_flower(apps / "line_numpy", tmp_path, "points", COHORT, config)
    found = played(apps / "line_numpy", strategy)
    assert found.found.well
    with np.load(tmp_path / "line.npz") as saved:
        assert np.abs(saved["arr_0"] - found.model).max() < CLOSE
    last = found.told[-1]["metrics"]
    assert expected["evaluate eval_loss"] == pytest.approx(last[1], abs=CLOSE)
    assert found.told[-1]["examples"] == sum(map(rows_of, range(STATIONS)))
    assert found.told[-1]["replies"] == STATIONS


def test_a_node_whose_capsule_is_not_there_is_an_error_reply_and_the_strategy_goes_on_without_it(
    apps: Path, tmp_path: Path
) -> None:
    # Of the five others the ServerApp gets what Flower gives of five stations. How a capsule comes
    # to be left out is in test_flower_consent.py.
    there = [capsule for number, capsule in enumerate(COHORT) if number != ODD_ONE]
    found = played(apps / "line_numpy", "FedMedian", absent=ODD_ONE)
    assert found.found.well
    config = {**CONFIG, "strategy": "FedMedian"}
    under_flower(apps / "line_numpy", tmp_path, "points", there, config)
    with np.load(tmp_path / "line.npz") as saved:
        assert np.abs(saved["arr_0"] - found.model).max() < CLOSE
    assert [told["replies"].tolist() for told in found.told] == 4 * [[STATIONS - 1]]


@pytest.mark.parametrize(
    ("lie", "moves"),  # as docs/threat-model.md says; the trimmed mean's are in no document
    [
        (-1.0, {"FedAvg": 0.58, "FedMedian": 0.09}),  # flipped labels
        pytest.param(-1.0, {"FedTrimmedAvg": None}, marks=pytest.mark.soak),
        pytest.param(
            100.0, {"FedAvg": 29, "FedMedian": 0.09, "FedTrimmedAvg": None}, marks=pytest.mark.soak
        ),
    ],
)
def test_one_liar_of_six_moves_an_average_and_no_median(
    apps: Path, lie: float, moves: dict[str, float | None]
) -> None:
    for strategy, told in moves.items():
        honest = played(apps / "line_numpy", strategy).model
        lied = played(apps / "line_numpy", strategy, liar=lie).model
        moved = float(np.linalg.norm(lied - honest))
        print(
            f"{strategy}: one of six says {lie} times what it measured, the line moves {moved:.2f}"
        )
        if told is None:
            assert moved < 0.2
        else:
            assert moved == pytest.approx(told, rel=0.05, abs=0.005)
