"""Dividing a small graph, writing capsules as files, and baselines, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("networkx", reason="networkx is not installed (the extra `learning`)")

from capsule_runtime.capsules import sealing
from capsule_runtime.capsules.mapping_file import read_mapping
from graph.learning import baselines, citations, partitions
from graph.learning.citations import Citations, Whole
from graph.learning.errors import CitationsRefused, PartitionRefused
from jobs import manifest
from protection.columns import Tables

BUNDLE = Path(__file__).resolve().parents[2] / "jobs" / "bundles" / "federated_gnn"


def a_ring(papers: int = 120, words: int = 5) -> Citations:
    """Papers in a circle, of two subjects, each with one word."""
    order = np.arange(papers)
    ends = np.sort(np.stack([order, (order + 1) % papers]), axis=0)
    labels = (order >= papers // 2).astype(np.int64)
    features = np.stack([order, order % words])
    return Citations(labels, ends, features, words, np.zeros(papers, np.int64))


def test_an_archive_is_read_with_each_edge_once(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "small.npz",
        feature_indptr=[0, 1, 1, 3],
        feature_indices=[4, 0, 1],
        shape=[3, 5],
        labels=[0, 1, 1],
        edge_index=[[0, 1, 2, 2], [1, 0, 2, 0]],
        train=[0],
        validation=[1],
        test=[2],
    )
    graph = citations.read(tmp_path / "small.npz")
    assert graph.edges.tolist() == [[0, 0], [1, 2]]
    assert graph.features.tolist() == [[0, 2, 2], [4, 0, 1]]
    assert graph.split.tolist() == [1, 2, 3]


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"not one")
    with pytest.raises(CitationsRefused) as refused:
        citations.read(tmp_path / "bad.npz")
    assert refused.value.remedy


def test_a_split_has_so_many_of_each_class() -> None:
    graph = a_ring()
    split = partitions.drawn_split(graph, 3, per_class=20, validation=30)
    assert np.bincount(split).tolist() == [0, 40, 30, 50]
    assert np.bincount(graph.labels[split == 1]).tolist() == [20, 20]
    assert (split == partitions.drawn_split(graph, 3, per_class=20, validation=30)).all()


@pytest.mark.parametrize("seed", range(4))
def test_communities_leave_nobody_out(seed: int) -> None:
    graph = a_ring()
    parts = partitions.by_communities(graph, 3, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(120))
    assert max(map(len, parts)) <= 120 // 3 + partitions.SLACK


def test_too_many_clients_are_refused() -> None:
    with pytest.raises(PartitionRefused):
        partitions.by_communities(a_ring(), 6, 1)
    with pytest.raises(PartitionRefused):
        partitions.tables_of(a_ring(), a_ring().split, np.arange(3), hops=2)


def test_a_client_keeps_the_edges_inside() -> None:
    graph = a_ring()
    tables = partitions.tables_of(graph, graph.split, np.array([10, 11, 12, 50]))
    assert tables["edges"]["source"].tolist() == [0, 1]
    assert tables["edges"]["target"].tolist() == [1, 2]
    assert tables["features"]["node"].tolist() == [0, 1, 2, 3]
    wider = partitions.tables_of(graph, graph.split, np.array([10, 11, 12, 50]), hops=1)
    assert len(wider["nodes"]["label"]) == 4 + 4  # 9, 13, 49, 51
    assert len(wider["edges"]["source"]) == 2 + 4


def test_capsules_are_written_for_the_bundles_tables(tmp_path: Path) -> None:
    graph = a_ring()
    capsules = [partitions.tables_of(graph, graph.split, np.arange(k, k + 9)) for k in (0, 40)]
    folders = partitions.write(tmp_path / "clients", capsules)
    assert [folder.name for folder in folders] == ["client-1", "client-2"]
    needs = manifest.read((BUNDLE / "bundle.toml").read_bytes()).needs.tables
    mapping = read_mapping(tmp_path / "clients" / "mapping.toml")
    assert {table.name: {c.name for c in table.columns} for table in mapping.tables} == {
        name: set(columns) for name, columns in needs.items()
    }
    # As the owner's own command reads them.
    for folder, capsule in zip(folders, capsules, strict=True):
        read = sealing._read(folder, mapping).groups[""]
        assert read == {
            table: {name: values.tolist() for name, values in columns.items()}
            for table, columns in capsule.items()
        }


class Guess:
    """An algorithm of one number: how many nodes it has been told of; it answers class 1 then."""

    def initial(self, parameters: Any) -> Any:
        return np.zeros(1)

    def contribute(self, capsule: Tables, parameters: Any) -> Any:
        return {"update": np.array([0.5]), "weight": np.array([0.5])}

    def predictions(self, capsule: Tables, row: Any, parameters: Any) -> Whole:
        right = capsule["nodes"]["label"].astype(np.int64)
        return right if row[0] == parameters["at"] else 1 - right


def test_a_baseline_keeps_the_model_that_validates_best() -> None:
    graph = a_ring()
    split = partitions.drawn_split(graph, 1, per_class=20, validation=30)
    whole = partitions.whole(graph, split)
    row, found = baselines.alone(Guess(), whole, whole, {"at": 5.0}, rounds=12)
    assert (row[0], found.validation, found.test) == (5.0, 1.0, 1.0)
    parts = [partitions.tables_of(graph, split, np.arange(k, k + 60)) for k in (0, 60)]
    assert baselines.local(Guess(), parts, whole, {"at": 9.0}, rounds=4).test == 0.0
