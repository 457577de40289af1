"""What is measured on Cora: each line of the table, and how one of its models is trained.

Two published tables are compared with, each in its own setting: FederatedScope-GNN's (five clients
by Louvain, a split drawn per seed) and FedGCN's logged runs (seven clients, the public split).
Models are chosen by validation nodes alone; docs/learning.md tells how the settings were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import cora_grid, federations
from benchmarks.errors import MeasurementFailed
from benchmarks.federations import Federation
from capsule_runtime.sandbox import Zygote
from graph.learning import partitions
from graph.learning.citations import Citations, Whole

SEEDS = range(1, 11)
FEWER = range(1, 6)  # for what the issue sets no bar to
ROUNDS = 40
ALONE_ROUNDS = 120  # 960 epochs: a client alone converges more slowly than all together
# The published table searched each line's own settings. Of three rates and two decays this one did
# best on the validation nodes of two other seeds; FedAvg's own decay gave 60.8 on these ten.
ALONE_DECAY = "0.0005"
SAGE_ROOM = 184391  # GraphSAGE with 64 hidden units: 2 x 1433 x 64 + 64 + 2 x 64 x 7 + 7
DEALT_CLIENTS = 7
# FedGCN's own numbers (its rate and its dropout are the bundle's), but 40 rounds of 8 steps instead
# of 300 of 3: longer ones start with clipped updates. 140 nodes train, so nobody has more.
FEDGCN = {"hidden": 16, "decay": "0.0005", "full_weight": 140}
Numbers = dict[str, float]
Run = Callable[[Zygote, Citations, int], Numbers]


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    name: str
    what: str
    published: str  # mean +- standard deviation in percent
    asked: tuple[float, float] | None  # where the mean is to be, in percent
    seeds: range
    run: Run
    beside: bool = False  # measured although nothing is asked of it: what others are read beside
    whole_machine: bool = False  # by programs that need every core: one model at a time

    @property
    def usual(self) -> bool:
        """Whether `make bench-learning` measures it without being told to measure everything."""
        return self.asked is not None or self.beside


def _louvain(*, room: int | None = None, **chosen: object) -> Run:
    def run(zygote: Zygote, graph: Citations, seed: int) -> Numbers:
        clients = Federation.of_table(graph, seed)
        return _trained(zygote, clients, federations.settings(seed=seed, **chosen), room)

    return run


def _grid(_zygote: Zygote, graph: Citations, seed: int) -> Numbers:
    return cora_grid.trained(graph, seed)


def _local(_zygote: Zygote, graph: Citations, seed: int) -> Numbers:
    blob = federations.settings(seed=seed, decay=ALONE_DECAY)
    return {"test": Federation.of_table(graph, seed).local(blob, ALONE_ROUNDS).test}


def _central(_zygote: Zygote, graph: Citations, seed: int) -> Numbers:
    blob = federations.settings(seed=seed)
    return {"test": Federation.of_table(graph, seed).central(blob, ROUNDS).test}


def _by_number(hops: int) -> Run:
    def run(zygote: Zygote, graph: Citations, seed: int) -> Numbers:
        return _fedgcn(zygote, graph, partitions.by_number(graph), hops, seed)

    return run


def _dealt(hops: int) -> Run:
    def run(zygote: Zygote, graph: Citations, seed: int) -> Numbers:
        parts = partitions.at_random(graph, DEALT_CLIENTS, seed)
        found = _fedgcn(zygote, graph, parts, hops, seed)
        # FedGraph tests on what each client holds, not on the whole graph.
        return {**found, "test": found["own"], "whole": found["test"]}

    return run


def _fedgcn(
    zygote: Zygote, graph: Citations, parts: Sequence[Whole], hops: int, seed: int
) -> Numbers:
    clients = Federation.divided(graph, graph.split, parts, hops)
    return _trained(zygote, clients, federations.settings(seed=seed, **FEDGCN))


def _trained(zygote: Zygote, clients: Federation, blob: bytes, room: int | None = None) -> Numbers:
    using = federations.program() if room is None else federations.altered(room=room)
    found = clients.train(zygote, blob, using=using)
    assert found.played.state is not None
    if lost := set(found.played.verdicts) - {"accepted", "clipped"}:
        # On a machine that is too busy a client may run out of its time: that is another setting.
        raise MeasurementFailed(f"clients were lost: {', '.join(sorted(lost))}")
    return {
        "test": found.score.test,
        "last": clients.judged(blob, found.played.state["model"]).test,
        "own": float(found.played.state["record"][1]),
        "rounds": found.rounds,
        "clipped": found.played.verdicts.get("clipped", 0),
    }


LINES = (
    Line(
        "cora.grid",
        "GCN, FedAvg: 5 clients by Louvain, hidden 64; a whole grid, every program a process",
        "87.32 +- 1.49",
        (86.5, 100),
        SEEDS,
        _grid,
        whole_machine=True,
    ),
    Line(
        "cora.fedavg",
        "the same rounds played in one process",
        "87.32 +- 1.49",
        None,
        SEEDS,
        _louvain(),
    ),
    Line("cora.local", "the same, each alone", "65.08 +- 2.39", (62.69, 67.47), SEEDS, _local),
    Line(
        "cora.global",
        "the same, the graph undivided",
        "86.89 +- 1.82",
        None,
        SEEDS,
        _central,
        beside=True,
    ),
    Line(
        "cora.fedprox",
        "FedProx (0.01)",
        "87.16 +- 1.51",
        None,
        FEWER,
        _louvain(proximal="0.01"),
    ),
    Line(
        "cora.momentum",
        "server momentum 0.5, rate 0.5 (published: FedOpt)",
        "87.29 +- 1.65",
        None,
        FEWER,
        _louvain(momentum="0.5", server_rate="0.5"),
    ),
    Line(
        "cora.sage",
        "GraphSAGE, FedAvg, hidden 64",
        "87.19 +- 1.28",
        None,
        FEWER,
        _louvain(room=SAGE_ROOM, model="sage"),
    ),
    Line(
        "cora.public_0hop",
        "FedGCN's logged runs: public split, 7 clients by number, own edges",
        "69.15 +- 2.08",
        (69, 100),
        SEEDS,
        _by_number(0),
    ),
    Line(
        "cora.public_1hop",
        "the same, neighbours' features shared before",
        "80.01 +- 0.47",
        (80, 100),
        SEEDS,
        _by_number(1),
    ),
    Line(
        "cora.dealt_0hop",
        "public split, 7 clients at random, own edges, tested on own edges",
        "66.6 with 5 clients, 58 to 62 with 10",
        None,
        FEWER,
        _dealt(0),
    ),
    Line(
        "cora.dealt_1hop",
        "the same, neighbours' features shared before",
        "78 to 79 with 10 clients",
        None,
        FEWER,
        _dealt(1),
    ),
)
