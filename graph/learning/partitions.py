"""Dividing a public graph among clients, as the published comparisons do.

By communities (FederatedScope-GNN's "louvain": Louvain's communities, the largest first, dealt to
clients of equal size), by number (FedGCN's logged runs) or at random (what they are said to be). A
client keeps the edges between its own nodes;
with one hop it also gets its neighbours beyond its border with their features, but without their
labels: FedGCN's exchange before training, for public graphs only.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import networkx as nx
import numpy as np

from graph.learning.citations import TEST, TRAINING, VALIDATION, Citations, Whole
from graph.learning.errors import PartitionRefused
from protection.columns import Column, Tables

SLACK = 20  # FederatedScope's: a client may have so many nodes over the mean
UNKNOWN = -1  # the label of a neighbour beyond the border
# How an owner seals one client's folder (`capsule seal FOLDER --mapping mapping.toml`).
MAPPING = """\
[capsule]
data_class = "public"
unit = "owner"

[tables.nodes]
file = "nodes.csv"
columns.label = { type = "integer", from = "label" }
columns.split = { type = "integer", from = "split" }

[tables.edges]
file = "edges.csv"
columns.source = { type = "integer", from = "source" }
columns.target = { type = "integer", from = "target" }

[tables.features]
file = "features.csv"
columns.node = { type = "integer", from = "node" }
columns.feature = { type = "integer", from = "feature" }
"""


def drawn_split(
    graph: Citations, seed: int, *, per_class: int = 232, validation: int = 542
) -> Whole:
    """The column `split` drawn by `seed`; the defaults are FederatedScope's for Cora.

    `per_class` nodes of each class train (all of a smaller class), then `validation` of the others
    validate and the rest tests.
    """
    draw, split = np.random.default_rng(seed), np.full(graph.papers, TEST, np.int64)
    for label in np.unique(graph.labels):
        split[draw.permutation(np.flatnonzero(graph.labels == label))[:per_class]] = TRAINING
    rest = draw.permutation(np.flatnonzero(split == TEST))
    split[rest[:validation]] = VALIDATION
    return split


def by_communities(graph: Citations, clients: int, seed: int) -> list[Whole]:
    """The nodes of each client: Louvain's communities in turns, the largest first.

    A community that is larger than a client is cut; a client that would get SLACK nodes over the
    mean is passed over. Raises PartitionRefused.
    """
    whole = nx.Graph()
    whole.add_nodes_from(range(graph.papers))
    whole.add_edges_from(graph.edges.T.tolist())
    most = graph.papers // clients
    if most <= SLACK:
        raise PartitionRefused(
            f"{graph.papers} nodes are too few for {clients} clients",
            remedy=f"ask for clients of more than {SLACK} nodes",
        )
    parts: list[list[int]] = []
    for community in nx.community.louvain_communities(whole, seed=seed):
        nodes, cut = sorted(community), most - SLACK
        parts += [nodes[start : start + cut] for start in range(0, len(nodes), cut)]
    dealt: list[list[int]] = [[] for _ in range(clients)]
    turn = 0
    for part in sorted(parts, key=len, reverse=True):
        for _ in range(clients):
            if len(part) + len(dealt[turn]) <= most + SLACK:
                break
            turn = (turn + 1) % clients
        else:
            raise PartitionRefused(
                f"a community of {len(part)} nodes fits none of {clients} clients",
                remedy="draw the communities with another seed",
            )
        dealt[turn] += part
        turn = (turn + 1) % clients
    return [np.array(sorted(nodes), np.int64) for nodes in dealt]


def by_number(graph: Citations) -> list[Whole]:
    """The nodes of each client: papers in their order, as many clients as classes.

    Client i gets as many papers as class i has. This is what FedGCN's first code makes of an
    "IID" share of 1: it deals from a sorted list. On Cora the first client holds all 140 training
    nodes of the published split, so it alone learns.
    """
    ends = np.cumsum(np.bincount(graph.labels))[:-1]
    return np.split(np.arange(graph.papers, dtype=np.int64), ends)


def at_random(graph: Citations, clients: int, seed: int) -> list[Whole]:
    """The nodes of each client, dealt at random in equal numbers."""
    order = np.random.default_rng(seed).permutation(graph.papers)
    return [np.sort(nodes) for nodes in np.array_split(order, clients)]


def tables_of(graph: Citations, split: Whole, nodes: Whole, *, hops: int = 0) -> Tables:
    """One client's capsule: the tables `nodes`, `edges`, `features` with nodes numbered from 0.

    With `hops` = 1 neighbours beyond the border follow the client's own nodes, with UNKNOWN label
    and split 0; an edge has at least one end inside.
    """
    if hops not in {0, 1}:
        raise PartitionRefused(f"{hops} hops are not made", remedy="ask for 0 or 1")
    own = np.zeros(graph.papers, bool)
    own[nodes] = True
    ends = own[graph.edges]
    kept = graph.edges[:, ends.any(axis=0) if hops else ends.all(axis=0)]
    border = np.setdiff1d(kept, nodes)
    known = np.concatenate([nodes, border])
    number = np.full(graph.papers, -1, np.int64)
    number[known] = np.arange(len(known))
    words = graph.features[:, number[graph.features[0]] >= 0]
    beyond = np.zeros(len(border), np.int64)
    return {
        "nodes": {
            "label": np.concatenate([graph.labels[nodes], beyond + UNKNOWN]),
            "split": np.concatenate([split[nodes], beyond]),
        },
        "edges": {"source": number[kept[0]], "target": number[kept[1]]},
        "features": {"node": number[words[0]], "feature": words[1]},
    }


def whole(graph: Citations, split: Whole) -> Tables:
    """The graph undivided, in the same tables."""
    return tables_of(graph, split, np.arange(graph.papers))


def write(folder: Path, capsules: Sequence[Mapping[str, Mapping[str, Column]]]) -> list[Path]:
    """One folder of CSV files per capsule, and the `mapping.toml` that seals each of them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    folders = [folder / f"client-{number}" for number in range(1, len(capsules) + 1)]
    for client, tables in zip(folders, capsules, strict=True):
        client.mkdir(exist_ok=True)
        for table, columns in tables.items():
            with (client / f"{table}.csv").open("w", newline="", encoding="utf-8") as stream:
                lines = csv.writer(stream, lineterminator="\n")
                lines.writerow(columns)
                lines.writerows(np.stack(list(columns.values())).T.tolist())
    return folders
