"""`cadastre graph potential` on a signed graph of eight villages."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cadastre
from tests.graph.graph_links import VILLAGE_PLAN, village_tables
from tests.graph.graph_territory import Town

Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str | Path) -> tuple[int, Any]:
        code = cadastre.main(["graph", *map(str, words)])
        return code, capsys.readouterr()

    return run


@pytest.fixture
def signed(tmp_path: Path, run: Run) -> tuple[Path, Path]:
    """A graph and its root."""
    town = Town(tmp_path)
    for name, data in village_tables().items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "plan.toml").write_text(VILLAGE_PLAN, encoding="utf-8")
    graph, root = tmp_path / "v.graph", town.root()
    code, said = run(
        "build", tmp_path / "plan.toml", "--root", root, "--key", town.key_file(), "--out", graph
    )
    assert code == 0, said.err
    return graph, root


def test_tables_sentences_and_map(signed: tuple[Path, Path], run: Run, tmp_path: Path) -> None:
    graph, root = signed
    words = ("potential", graph, "--root", root, "--scorer", "gravity", "--top", "3")
    code, french = run(*words, "--draw", tmp_path / "maps" / "links.svg")
    assert code == 0
    assert "Part plausible" in french.out
    assert "à renforcer" in french.out
    assert (tmp_path / "maps" / "links.svg").read_bytes().startswith(b"<?xml")
    code, english = run(*words, "--language", "en")
    assert "Plausible share" in english.out
    assert "avoided per year" in english.out
    assert run(*words)[1].out == french.out


def test_json(signed: tuple[Path, Path], run: Run) -> None:
    graph, root = signed
    words = ("potential", graph, "--root", root, "--scorer", "gravity", "--json")
    told = json.loads(run(*words, "--top", "2")[1].out)
    assert told["scorer"] == "gravity"
    assert set(told["held out"]) == {"gravity"}
    assert told["gain"] is None
    assert len(told["links"]) == 2
    first, second = told["links"]
    assert first["avoided kgCO2e/year"]["value"] >= second["avoided kgCO2e/year"]["value"] > 0
    product = first["shift persons"]["value"] * 2 * first["km"] * 218
    product *= first["saved kgCO2e/km"]["value"]
    assert product == pytest.approx(first["avoided kgCO2e/year"]["value"], rel=1e-4)
    assert first["sources"]
    assert len(first["reason"]) == 5
    half = json.loads(run(*words, "--top", "1", "--days", "109")[1].out)["links"][0]
    assert half["avoided kgCO2e/year"]["value"] == pytest.approx(
        first["avoided kgCO2e/year"]["value"] / 2, rel=1e-4
    )


def test_a_tampered_graph_is_not_ranked(signed: tuple[Path, Path], run: Run) -> None:
    graph, root = signed
    graph.write_bytes(graph.read_bytes().replace(b'"name_fr":"Huit', b'"name_fr":"Neuf'))
    code, said = run("potential", graph, "--root", root, "--scorer", "gravity")
    assert code == 3
    assert said.out == ""


def test_what_makes_no_sense_is_refused(signed: tuple[Path, Path], run: Run) -> None:
    graph, root = signed
    for wrong in (("--top", "0"), ("--days", "0"), ("--days", "400"), ("--seed", "-1")):
        code, said = run("potential", graph, "--root", root, "--scorer", "gravity", *wrong)
        assert code == 1
        assert "potential-refused" in said.err


def test_without_torch_gravity_is_offered(
    signed: tuple[Path, Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, root = signed
    monkeypatch.delitem(sys.modules, "graph.learning.potential", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    code, said = run("potential", graph, "--root", root)
    assert code != 0
    assert "learning-unavailable" in said.err
    assert "--scorer gravity" in said.err
    assert run("potential", graph, "--root", root, "--scorer", "gravity")[0] == 0
