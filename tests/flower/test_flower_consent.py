"""Consent withdrawn between two rounds of a Flower campaign: the capsule is left, the round stays.

Every unit is real: sealed capsules, signed consents, the ledger, the sandbox, Flower's strategy.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from flower_campaigns import adopted, warm
from flower_worker import StationWorker

from capsule_runtime.broker.program import Program
from protection.columns import Tables
from tests.flower.apps.line_numpy.line_numpy import task

pytestmark = pytest.mark.sandbox
CLOSE = 1e-6
NODES = 6
SPOILT, AWAY = 1, 5  # one that answers NaN in every round; one that no worker hosts
LEAVER, UNHEARD = 4, 2  # who withdraw, the second one where this worker does not hear it itself
# Flower's median, and how its ServerApp sees its nodes.
SERVER = """\
import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedMedian

app = ServerApp()


class Watching(FedMedian):
    failed, said = 0, set()

    def aggregate_train(self, server_round, replies):
        replies = list(replies)
        errors = [reply for reply in replies if reply.has_error()]
        self.failed = sum(1 << self.nodes.index(e.metadata.src_node_id) for e in errors)
        self.said = self.said | {(e.error.code, e.error.reason) for e in errors}
        return super().aggregate_train(server_round, replies)


@app.main()
def main(grid: Grid, context: Context) -> None:
    plan = Watching(fraction_evaluate=0.0)
    plan.nodes = sorted(grid.get_node_ids())
    plan.start(
        grid=grid,
        initial_arrays=ArrayRecord([np.zeros(3)]),
        num_rounds=3,
        train_config=ConfigRecord({"rate": 0.1}),
        evaluate_fn=lambda number, arrays: MetricRecord(
            {"failed": plan.failed, "words": len(plan.said)}
        ),
    )
"""


def station(number: int) -> Tables:
    generator = np.random.default_rng(number)
    x, z = generator.uniform(-1, 1, (2, 8 + number))
    y = 1.5 * x - 0.5 * z + 0.2 + generator.normal(0, 0.1, len(x))
    if number == SPOILT:
        y[0] = np.nan
    return {"points": {"x": x, "z": z, "y": y, "station": np.full(len(x), number, np.int64)}}


def watched(apps: Path, where: Path) -> Program:
    """The numpy app with a ServerApp that looks at its nodes; every node answers for itself."""
    folder = where / "line_numpy"
    shutil.copytree(apps / "line_numpy", folder)
    (folder / "line_numpy" / "server_app.py").write_text(SERVER)
    changes = {
        "data": {"node": "station"},
        "run": {"nodes": NODES},
        "mock": {"rows": 1, "columns": {"station": {"minimum": "0", "maximum": "0"}}},
    }
    return adopted(folder, changes)


def taught(model: np.ndarray, stations: set[int]) -> np.ndarray:
    """The median of what these stations make of `model`, as Flower computes it."""
    fitted = []
    for number in stations:
        x, z, y = (station(number)["points"][name] for name in "xzy")
        inputs = np.column_stack([x, z, np.ones(len(x))])
        fitted.append(task.fit(model, inputs, y, steps=20, rate=0.1))
    return np.median(fitted, axis=0)


def test_who_withdraws_between_rounds_is_not_opened_and_is_an_error_reply_like_any_other(
    apps: Path, tmp_path: Path
) -> None:
    program = watched(apps, tmp_path)
    hosted = set(range(NODES)) - {AWAY}
    worker = StationWorker(tmp_path, program, [station(number) for number in sorted(hosted)])
    model = np.zeros(3)
    try:
        with warm(program.libraries) as zygote:
            for number in range(3):
                if number == 1:
                    worker.withdraw(LEAVER)
                    hosted.remove(LEAVER)
                if number == 2:
                    worker.withdraw_elsewhere(UNHEARD)
                    hosted.remove(UNHEARD)
                told = worker.play(zygote)
                # Neither opened, and so not run, nor charged.
                assert worker.opened == worker.charged == hosted
                counted = hosted - {SPOILT}
                assert told.report["replies"].tolist() == [len(counted)]
                failed, words = told.report["metrics"][-2:]
                assert failed == sum(1 << node for node in set(range(NODES)) - counted)
                # Dropped, absent and unconsented nodes are told in the same words.
                assert words == 1
                model = taught(model, counted)
    finally:
        worker.close()
    assert told.stop
    assert told.report["finished"].tolist() == [1]
    assert told.state is not None
    assert told.state["message"] == pytest.approx(model, abs=CLOSE)
