"""Reading a Flower app's folder, screening its imports, and the choices made beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobs.errors import BundleMissing, ManifestRefused
from jobs.flower import app as flower_apps
from jobs.flower import choices as chosen
from jobs.flower.adapter.plan import Kind, Plan, parse
from jobs.flower.errors import FlowerAppRefused
from jobs.flower.screening import screen

HERE = Path(__file__).with_name("apps")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("import requests", "library-forbidden"),
        ("def late():\n    from pandas import DataFrame", "library-forbidden"),
        ("import torch_geometric.nn", "library-forbidden"),
        ("import socket", "library-forbidden"),
        ("from urllib.request import urlopen", "library-forbidden"),
        ("import subprocess", "library-forbidden"),
        ("import pickle", "library-forbidden"),
        ("from flwr.client.mod import secaggplus_mod", "secure-aggregation"),
        ("from flwr.server.workflow import SecAggPlusWorkflow", "secure-aggregation"),
        ("from flwr.server import ServerConfig", "old-interface"),
        ("import flwr.client", "old-interface"),
        ("from flwr import server", "old-interface"),
        ("from flwr.simulation import run_simulation", "old-interface"),
        ("this is no python", "source-unfit"),
        ("x = " + 5000 * "(" + 5000 * ")", "source-unfit"),
        (f"x = {'-' * 100_000}1", "source-unfit"),
    ],
)
def test_an_import_that_cannot_work_is_refused_with_its_line(line: str, reason: str) -> None:
    with pytest.raises(FlowerAppRefused) as refused:
        screen({"net/task.py": line.encode()})
    assert refused.value.reason == reason
    assert "net/task.py" in refused.value.sentence


def test_what_an_app_may_import_is_found_and_its_own_modules_are_its_own() -> None:
    text = b"import csv, numpy as np\nfrom torch import nn\nfrom net.task import x\nfrom . import y"
    assert screen({"net/server.py": text, "net/task.py": b"import flwr.app"}) == {
        *("numpy", "torch", "flwr")
    }


def test_an_apps_folder_is_read() -> None:
    app = flower_apps.read(HERE / "line_numpy")
    assert (app.name, app.version) == ("line_numpy", "1.0.0")
    assert app.server == "line_numpy.server_app:app"
    assert app.config["local-steps"] == 20
    assert min(app.sources) == "line_numpy/__init__.py"
    assert app.left_out == ()


def test_nested_run_configuration_is_flat_as_in_flower() -> None:
    assert flower_apps.flattened({"a": {"b": 1, "c": {"d": "x"}}, "e": True}) == {
        "a.b": 1,
        "a.c.d": "x",
        "e": True,
    }
    with pytest.raises(FlowerAppRefused, match="config-unfit"):
        flower_apps.flattened({"a": [1]})


def test_a_folder_without_an_app_or_with_a_half_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleMissing):
        flower_apps.read(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project\n")
    with pytest.raises(FlowerAppRefused, match="project-unreadable"):
        flower_apps.read(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    with pytest.raises(FlowerAppRefused, match="serverapp"):
        flower_apps.read(tmp_path)


def test_personal_data_has_a_price(tmp_path: Path) -> None:
    path = HERE / "line_numpy" / chosen.FILE
    assert chosen.read(path).protection.value == "clear"
    with pytest.raises(ManifestRefused, match="rho"):
        chosen.read(path, classes="personal")
    priced = chosen.read(path, classes="personal, company", rho="1", clip="0.5")
    assert priced.protection.value == "shared"
    assert priced.release.clip == "0.5"
    lone = tmp_path / "lone.toml"
    lone.write_text(path.read_text().replace("[release]", 'node = "station"\n[release]', 1))
    with pytest.raises(ManifestRefused, match=r"run\.nodes"):
        chosen.read(lone)
    with pytest.raises(ManifestRefused, match="single replies are for public data"):
        chosen.read(lone, classes="company", rho="1")
    wrong = tmp_path / chosen.FILE
    wrong.write_text(path.read_text().replace("clip =", "clips =", 1))
    with pytest.raises(ManifestRefused, match="clips: unknown key; did you mean clip"):
        chosen.read(wrong)


def test_a_plan_is_read_back_as_it_was_written() -> None:
    plan = Plan(
        "a:b", "a:c", {"x": 'say "é"\n', "y": 0.1}, 2, "n", 10.0, "t", ["p"], "data.csv", "",
        [Kind("train", [["arrays", "arrays", [["0", "float64", [3]]]]])],
    )  # fmt: skip
    names: dict[str, str] = {}
    exec(compile(plan.encode(), "flower_plan", "exec"), names)
    assert parse(names["PLAN"]) == plan


def test_the_guide_names_every_refusal_and_its_example_is_right(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    guide = (root / "docs" / "authors.md").read_text().split("## Flower apps")[1]
    said = set(re.findall(r"`([a-z]+-[a-z-]+)`", guide.split("Refusals begin with a name")[1]))
    code = "".join(path.read_text() for path in (root / "jobs" / "flower").rglob("*.py"))
    raised = set(re.findall(r'(?:Refused|Stopped)\(\s*"([a-z]+-[a-z-]+)"', code))
    assert raised | {"server-endless", "client-endless"} == said
    example = tmp_path / chosen.FILE
    example.write_text(re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)[0])
    assert chosen.read(example).protection.value == "shared"
