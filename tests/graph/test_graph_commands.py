from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cadastre
from graph import document
from tests.graph.graph_territory import CELLS, NOW, PLAN, Town, a_plan, a_report
from trust.documents.root import Duty
from trust.ids import Digest

Run = Callable[..., tuple[int, Any]]
ENERGY = """
[[resources]]
id = "resource:power"
name = { fr = "électricité", en = "electricity" }
kind = "energy"
factor = "electricity-fr"

[[tables]]
file = "energy.csv"
holds = "consumption"
series = "energy"
title = "Électricité"
attribution = "essai"
licence = "Licence Ouverte 2.0"
unit = "MWh"
minimum = 0
period = ["2026-01-01", "2026-12-31"]
columns = { origin = "place", resource = "what", quantity = "mwh" }
"""


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str | Path) -> tuple[int, Any]:
        code = cadastre.main(["graph", *map(str, words)])
        said = capsys.readouterr()
        return code, (json.loads(said.out) if "--json" in words and code == 0 else said)

    return run


def build(
    run: Run, town: Town, name: str = "a.graph", cells: Any = CELLS, plan: str = PLAN
) -> Path:
    out = town.folder / name
    code, said = run(
        "build", a_plan(town.folder, plan), "--releases", town.publish(a_report(cells)),
        "--root", town.root(), "--key", town.key_file(), "--out", out,
    )  # fmt: skip
    assert code == 0, said.err
    return out


def test_build_verify_show_measure_export_draw(town: Town, run: Run) -> None:
    (town.folder / "energy.csv").write_text("place,what,mwh\nplace:a,power,30\nplace:b,power,12\n")
    graph, root = build(run, town, plan=PLAN + ENERGY), ("--root", town.folder / "root.json")
    code, about = run("verify", graph, *root, "--json")
    assert (code, about["territory"], about["edges"]) == (0, "test.cadastre.example", 17)
    assert about["digest"] == Digest.of(graph.read_bytes())
    code, about = run("show", graph, *root, "--json")
    assert (about["places"], about["flows"], about["objectives"]) == (3, 15, 21)
    assert {source["kind"] for source in about["sources"]} == {"release", "table", "reference"}
    assert all(source["licence"] for source in about["sources"])
    code, numbers = run("indicators", graph, *root, "--json")
    assert len(numbers["doughnut"]) == 21
    assert all(number["sources"] for number in numbers["indicators"])
    said = {number["indicator"]: number for number in numbers["indicators"]}
    assert (said["consumption"]["value"], said["consumption"]["unit"]) == (42, "MWh")
    emitted = said["consumption-emissions"]
    assert (emitted["value"], emitted["unit"]) == (42_000 * 0.052, "kgCO2e")
    assert emitted["sources"] == "source:energy source:factors.energy"
    for form in ("graphml", "parquet", "turtle"):
        code, files = run("export", graph, "--to", form, "--out", town.folder / form, *root,
                          "--json")  # fmt: skip
        assert code == 0
        assert all(Path(path).is_file() for path in files["files"])
    for picture in ("map", "flows"):
        out = town.folder / f"{picture}.svg"
        assert run("draw", picture, graph, "--out", out, "--language", "en", *root)[0] == 0
        assert out.read_bytes().startswith(b"<?xml")
    for verb in ("show", "indicators", "verify"):
        code, said = run(verb, graph, *root)
        assert code == 0
        assert said.out
        assert ("consumption-emissions" in said.out) == (verb == "indicators")


def test_diff_of_two_dated_graphs(town: Town, run: Run) -> None:
    before = build(run, town)
    after = build(run, town, "b.graph", [100, 840, *CELLS[2:]])
    _code, rows = run("diff", before, after, "--root", town.folder / "root.json", "--json")
    changed = [row for row in rows if row["table"] == "flows"]
    assert [(row["before"], row["after"], row["clear"]) for row in changed] == [("40", "840", True)]
    assert run("diff", before, after, "--root", town.folder / "root.json")[0] == 0


@pytest.mark.parametrize("verb", ["verify", "show", "indicators"])
def test_a_tampered_graph_is_refused_everywhere(town: Town, run: Run, verb: str) -> None:
    graph = build(run, town)
    graph.write_bytes(graph.read_bytes().replace(b'"quantity":"500"', b'"quantity":"501"'))
    code, said = run(verb, graph, "--root", town.folder / "root.json")
    assert code == 3
    assert "graph-unverified" in said.err
    assert not said.out


def test_another_keys_signature_is_refused(town: Town, run: Run) -> None:
    graph = build(run, town)
    town.keys[Duty.GRAPH] = town.keys[Duty.STATUS]
    del town.keys[Duty.STATUS]
    code, _said = run("verify", graph, "--root", town.root())
    assert code == 3


def test_only_the_authority_builds(town: Town, run: Run) -> None:
    root = town.root()
    out = town.folder / "a.graph"
    code, said = run(
        "build", a_plan(town.folder), "--releases", town.publish(a_report(CELLS)),
        "--root", root, "--key", town.key_file(Duty.ORDERS), "--out", out,
    )  # fmt: skip
    assert code == 1
    assert "not-the-authority" in said.err
    assert not out.exists()


def test_the_pinned_root_is_the_one(town: Town, run: Run) -> None:
    graph, root = build(run, town), town.folder / "root.json"
    pin = str(Digest.of(root.read_bytes()))
    assert run("verify", graph, "--root", root, "--pin", pin)[0] == 0
    assert run("verify", graph, "--root", root, "--pin", str(Digest.of(b"x")))[0] == 3


def test_a_plan_reads_nothing_outside_its_folder(town: Town, run: Run) -> None:
    plan = a_plan(town.folder, PLAN.replace('file = "places.csv"', 'file = "../places.csv"'))
    code, said = run(
        "build", plan, "--root", town.root(), "--key", town.key_file(), "--out",
        town.folder / "a.graph",
    )  # fmt: skip
    assert code == 1
    assert "outside" in said.err


def test_what_is_missing_is_named(town: Town, run: Run) -> None:
    root = town.root()
    assert run("verify", town.folder / "none.graph", "--root", root)[0] == 4
    graph = build(run, town)
    (town.folder / "a.graph.sig").unlink()
    code, said = run("show", graph, "--root", root)
    assert code == 4
    assert "a.graph.sig" in said.err


def test_a_graph_has_the_name_of_one(town: Town, run: Run) -> None:
    code, said = run(
        "build", a_plan(town.folder), "--root", town.root(), "--key", town.key_file(), "--out",
        town.folder / "a.json",
    )  # fmt: skip
    assert code == 1
    assert ".graph" in said.err


def test_anybody_can_build_it_again(town: Town, run: Run) -> None:
    path = build(run, town)
    sources = ("--plan", town.folder / "plan.toml", "--releases", town.folder / "released")
    anchor = ("--root", town.folder / "root.json")
    code, about = run("verify", path, *sources, *anchor, "--json")
    assert (code, about["rebuilt"]) == (0, True)
    # The authority itself changes an edge, or pretends that a lower minimum was voted.
    whole = document.decode(path.read_bytes())
    first = whole.flows[0]
    flows = (replace(first, quantity=str(int(first.quantity) + 1)), *whole.flows[1:])
    lower = tuple(replace(source, minimum=min(source.minimum, 5)) for source in whole.sources)
    for lie in (replace(whole, flows=flows), replace(whole, sources=lower)):
        signed = document.sign(lie, town.keys[Duty.GRAPH], town.trusted(), NOW)
        path.write_bytes(signed.raw)
        path.with_name("a.graph.sig").write_bytes(signed.statement.envelope.raw)
        assert run("verify", path, *anchor)[0] == 0
        code, said = run("verify", path, *sources, *anchor)
        assert code == 3
        assert "graph-unverified" in said.err
