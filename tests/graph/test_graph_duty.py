"""The authority's duty, from the root ceremony to a verified graph, by the command line alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import cadastre
from tests.governance import territory
from tests.graph.graph_territory import PLAN, a_plan


def graph(*words: str | Path) -> int:
    return cadastre.main(["graph", *map(str, words)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    territory.set_up(tmp_path)
    return tmp_path


def signed_root(folder: Path, *more: str | Path) -> Path:
    assert territory.draft(folder, "graph-root.json", *more) == 0
    root = folder / "graph-root.json"
    for name in "ab":
        assert territory.run("root", "sign", root, "--key", folder / name) == 0
    return root


def test_the_ceremony_names_who_makes_the_graph(folder: Path) -> None:
    territory.keys(folder, ["authority"])
    root = signed_root(folder, "--graph-key", folder / "authority.pub")
    plan = a_plan(folder, PLAN[: PLAN.index("[[releases]]")])
    made = ("build", plan, "--key", folder / "authority", "--out", folder / "a.graph")
    assert graph(*made, "--root", root) == 0
    assert graph("verify", folder / "a.graph", "--root", root) == 0
    # The territory's other root gives nobody the duty: there no graph is anybody's.
    assert graph("verify", folder / "a.graph", "--root", folder / "root.json") == 3
    other = ("build", plan, "--key", folder / "authority", "--out", folder / "b.graph")
    assert graph(*other, "--root", folder / "root.json") == 3
    assert not (folder / "b.graph").exists()


def test_one_key_has_one_duty(folder: Path) -> None:
    assert territory.draft(folder, "twice.json", "--graph-key", folder / "s.pub") == 1
