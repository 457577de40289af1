"""Apps that crash, wait, loop, or want what a cohort behind noise cannot give: named refusals."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flower_campaigns import adopted, play, warm

from capsule_runtime.adoption import ProbeSandbox, invented
from capsule_runtime.broker.program import Program
from capsule_runtime.sandbox import Zygote
from capsule_runtime.sandbox.model import Limits
from jobs.errors import ManifestRefused
from jobs.flower import app as flower_apps
from jobs.flower import choices as chosen
from jobs.flower.errors import FlowerAppRefused
from jobs.flower.probe import Probed, probe
from protection.columns import Tables
from tests.flower.apps.line_numpy.line_numpy import task
from trust.entropy import seeded

pytestmark = pytest.mark.sandbox
CLOSE = 1e-6
NOISE = "strategy.FedAvg(), noise_multiplier=1.0, clipping_norm=1.0, num_sampled_clients=2"
MAIN = "    config = context.run_config\n"
SEND = """
    from flwr.app import Message, RecordDict
    def say(node, value=1.0, kind="train"):
        arrays = ArrayRecord([np.full(3, value)])
        records = {"arrays": arrays, "config": ConfigRecord({"rate": 0.1})}
        return Message(RecordDict(records), node, kind)
"""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    if importlib.util.find_spec("flwr") is None:
        pytest.skip("no flwr: pip install 'cadastre[flower]' in an environment of its own")
    with warm(("numpy", "flwr")) as started:
        yield started


def changed(apps: Path, where: Path, file: str, old: str, new: str) -> Path:
    folder = where / "line_numpy"
    shutil.copytree(apps / "line_numpy", folder)
    path = folder / "line_numpy" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return folder


def probed(folder: Path, zygote: Zygote, **run: int) -> Probed:
    choices = chosen.read(folder / chosen.FILE)
    choices = choices.model_copy(update={"run": choices.run.model_copy(update=run)})
    limits = Limits(768, choices.run.cpu_seconds, float(choices.run.wall_seconds))
    return probe(flower_apps.read(folder), choices, ProbeSandbox(zygote, limits), invented(choices))


SERVERS = {
    "server-crashed": '    raise ValueError("no such model")\n',
    "server-idle": "    return\n",
    "server-endless": "    while True: pass\n",
    "too-few-nodes": "    while len(list(grid.get_node_ids())) < 5000: pass\n",
    "node-unknown": SEND + "    grid.send_and_receive([say(99)])\n",
    "messages-differ": SEND
    + "    a, b = grid.get_node_ids()\n    grid.send_and_receive([say(a, 1.0), say(b, 2.0)])\n",
    "not-repeatable": "    import time\n"
    + SEND
    + "    a, b = grid.get_node_ids()\n"
    + "    for _ in range(2): grid.send_and_receive([say(a, time.time_ns() % 1000003)])\n",
    "no-time": SEND
    + "    message = say(next(iter(grid.get_node_ids())))\n"
    + "    message.metadata.ttl = 0.0\n    grid.send_and_receive([message])\n",
    "library-forbidden": "",
    "array-type": SEND.replace("np.full(3, value)", "np.full(3, value, complex)")
    + "    a, b = grid.get_node_ids()\n    grid.send_and_receive([say(a)])\n",
    "client-crashed": SEND
    + '    a, b = grid.get_node_ids()\n    grid.send_and_receive([say(a, kind="train.other")])\n',
}


@pytest.mark.parametrize("reason", sorted(SERVERS))
def test_a_server_that_cannot_go_on_is_refused_by_name(
    apps: Path, tmp_path: Path, zygote: Zygote, reason: str
) -> None:
    if reason == "library-forbidden":
        new = "from importlib import import_module\n\nimport numpy as np\nimport_module('pandas')\n"
        folder = changed(apps, tmp_path, "server_app.py", "import numpy as np\n", new)
    else:
        folder = changed(apps, tmp_path, "server_app.py", MAIN, SERVERS[reason] + MAIN)
    with pytest.raises(FlowerAppRefused) as refused:
        probed(folder, zygote, nodes=2, cpu_seconds=2, wall_seconds=6)
    assert refused.value.reason == reason
    if reason == "server-crashed":
        assert "no such model (line_numpy/server_app.py, line 10)" in refused.value.sentence


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ("strategy.FedMedian()", "single-replies"),
        ("strategy.FedTrimmedAvg()", "single-replies"),
        ("strategy.Krum(num_malicious_nodes=0)", "single-replies"),
        ("strategy.MultiKrum(num_malicious_nodes=0, num_nodes_to_select=1)", "single-replies"),
        ("strategy.Bulyan(num_malicious_nodes=0)", "single-replies"),
        ("strategy.QFedAvg(client_learning_rate=0.1)", "single-replies"),
        ("strategy.FedXgbBagging()", "single-replies"),
        ("strategy.FedXgbCyclic()", "single-replies"),
        (f"strategy.DifferentialPrivacyServerSideFixedClipping({NOISE})", "own-noise"),
        ("strategy.FedAvg(min_available_nodes=5000)", "too-few-nodes"),
    ],
)
def test_strategies_that_need_single_replies_are_refused(
    apps: Path, tmp_path: Path, zygote: Zygote, made: str, reason: str
) -> None:
    old = 'chosen(proximal_mu=0.5) if config["strategy"] == "FedProx" else chosen()'
    folder = changed(apps, tmp_path, "server_app.py", old, made)
    with pytest.raises(FlowerAppRefused) as refused:
        probed(folder, zygote)
    assert refused.value.reason == reason


@pytest.mark.parametrize("data_class", ["personal", "company"])
@pytest.mark.parametrize("strategy", ["FedMedian()", "Krum(num_malicious_nodes=0)"])
def test_protected_data_give_no_single_replies_to_any_strategy(
    apps: Path, tmp_path: Path, zygote: Zygote, strategy: str, data_class: str
) -> None:
    old = 'chosen(proximal_mu=0.5) if config["strategy"] == "FedProx" else chosen()'
    folder = changed(apps, tmp_path, "server_app.py", old, f"strategy.{strategy}")
    told = (folder / chosen.FILE).read_text("utf-8").replace('"public"', f'"{data_class}"')
    priced = '[release]\nrho = "1"\nminimum_contributors = 20\n'
    (folder / chosen.FILE).write_text(told.replace("[release]\n", priced), "utf-8")
    with pytest.raises(FlowerAppRefused) as refused:
        probed(folder, zygote)
    assert refused.value.reason == "single-replies"
    # Nor by asking for nodes one by one.
    asked = told.replace("[data]\n", '[data]\nnode = "station"\n')
    (folder / chosen.FILE).write_text(asked.replace("[release]\n", priced), "utf-8")
    with pytest.raises(ManifestRefused, match="single replies are for public data"):
        chosen.read(folder / chosen.FILE)


def test_a_strategy_that_wants_more_nodes_is_shown_more(
    apps: Path, tmp_path: Path, zygote: Zygote
) -> None:
    folder = changed(
        apps, tmp_path, "server_app.py", "else chosen()", "else chosen(min_available_nodes=30)"
    )
    assert probed(folder, zygote).plan.nodes == 100


def test_a_server_that_swallows_its_stop_is_stopped_again(
    apps: Path, tmp_path: Path, zygote: Zygote
) -> None:
    swallowing = (
        "    class Stubborn:\n"
        "        def __getattr__(self, name):\n"
        "            def call(*given, **named):\n"
        "                for _ in range(3):\n"
        "                    try: return getattr(inner, name)(*given, **named)\n"
        "                    except BaseException: pass\n"
        "                return []\n"
        "            return call\n"
        "    inner, grid = grid, Stubborn()\n"
    )
    folder = changed(apps, tmp_path, "server_app.py", MAIN, swallowing + MAIN)
    assert probed(folder, zygote).rounds == 6


def cohort(*lengths: int) -> list[Tables]:
    def points(rows: int) -> Tables:
        x = np.linspace(-1, 1, rows)
        return {"points": {"x": x, "z": x**2, "y": 2 * x}}

    return [points(rows) for rows in lengths]


# What the ClientApp does on a capsule of so many rows, and what its author reads about it. The
# invented client of 12 rows, on which the bundle is made, does nothing wrong.
FAULTS = {
    2: ('del metrics["train_loss"]', "reply-differs", "lacks metrics['train_loss']"),
    3: ('metrics["extra"] = 1.0', "reply-differs", "has metrics['extra'] too many"),
    4: ("fitted = np.append(fitted, 0.0)", "reply-differs", "other shapes or types"),
    5: ('metrics["num-examples"] = -3', "weight-negative", "num-examples is -3"),
    6: ("fitted = fitted * np.nan", "not-finite", "NaN or infinity"),
    8: ("raise KeyError(8)", "client-crashed", "KeyError: 8"),
    10: ('del metrics["num-examples"]', "reply-differs", "lacks metrics['num-examples']"),
    11: ("fitted[1] = -np.inf", "not-finite", "NaN or infinity"),
    13: ('metrics["num-examples"] = float("nan")', "not-finite", "NaN or infinity"),
    14: ('metrics["num-examples"] = float("inf")', "not-finite", "NaN or infinity"),
    15: ('metrics["num-examples"] = 10**400', "not-finite", "beyond any float"),
    18: ('metrics["train_loss"] = float("nan")', "not-finite", "NaN or infinity"),
}
# Weights that are no fault: they count as the cap.
HEAVY = {16: 'metrics["num-examples"] = 10**18', 17: 'metrics["num-examples"] = 1e308'}
CAP = 100.0  # the app's weight_cap
SHOWN = 3  # complaints that one rehearsal tells


@pytest.fixture(scope="module")
def faulty(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The numpy app of one round of training, whose ClientApp goes wrong on some capsules."""
    old = '    return Message(\n        RecordDict({"arrays"'
    done = {**{rows: line for rows, (line, _, _) in FAULTS.items()}, **HEAVY}
    lines = [f"    if len(targets) == {rows}: {line}\n" for rows, line in done.items()]
    here = Path(__file__).with_name("apps")
    where = tmp_path_factory.mktemp("faulty")
    folder = changed(here, where, "client_app.py", old, "".join(lines) + old)
    path = folder / "line_numpy" / "client_app.py"
    path.write_text("import numpy as np\n" + path.read_text())
    return adopted(folder, {"run_config": {"num-server-rounds": 1}})


def test_bad_clients_are_dropped_with_a_reason_and_the_round_goes_on(faulty: Program) -> None:
    without = play(faulty, cohort(7, 9), seeded(b"x"))
    assert without.told[0]["replies"].tolist() == [2]
    for first in range(0, len(FAULTS), SHOWN):
        some = list(FAULTS)[first : first + SHOWN]
        played = play(faulty, cohort(7, *some, 9), seeded(b"x"))
        assert played.found.report is not None, some
        both = {"accepted": 2 + 2 + len(some), "no-frame": len(some)}
        assert played.found.verdicts == both, some
        for rows, complaint in zip(some, played.found.complaints, strict=True):
            _, reason, sentence = FAULTS[rows]
            assert f"flower-refused[{reason}]" in complaint
            assert sentence in complaint
        # All were asked, two counted, in the round of evaluation all of them.
        told = [told["replies"].tolist() for told in played.told]
        assert told == [[2], [2 + len(some)]], some
        assert np.abs(played.model - without.model).max() < 1e-9, some


def test_a_heavy_client_counts_as_much_as_the_cap(faulty: Program) -> None:
    played = play(faulty, cohort(7, *HEAVY), seeded(b"x"))
    assert played.found.well
    weights = [7.0, CAP, CAP]
    assert played.told[0]["examples"].tolist() == [sum(weights)]
    fitted = []
    for capsule in cohort(7, *HEAVY):
        x, z, y = (capsule["points"][name] for name in "xzy")
        inputs = np.column_stack([x, z, np.ones(len(x))])
        fitted.append(task.fit(np.zeros(3), inputs, y, steps=20, rate=0.1))
    assert played.model == pytest.approx(np.average(fitted, axis=0, weights=weights), abs=CLOSE)
