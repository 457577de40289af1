"""`python -m benchmarks.learning`: federated learning beside the published figures, ten seeds.

Every trained model is written down before the next one starts, so a run that was interrupted goes
on where it was. Models are chosen by validation nodes alone (docs/learning.md tells how).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import federations
from benchmarks.federations import Federation
from capsule_runtime.sandbox import Zygote
from durable.files import write_atomic
from graph.learning import citations, partitions
from graph.learning.citations import Citations
from terminal.output import Output

SEEDS = range(1, 11)
FEWER = range(1, 6)  # for what the issue sets no bar to
ROUNDS = 40
ALONE_ROUNDS = 120  # 960 epochs: a client alone converges more slowly than all together
RECORD = Path("build/bench-learning.json")
DOCUMENT_MODE = 0o644
# FedGCN gives 20 nodes of each class to seven clients: about 20 each.
FEDGCN = {"clients": 7, "full_weight": 40}
Numbers = dict[str, float]


@dataclass(frozen=True)
class Setting:
    """One line of the table."""

    name: str
    what: str
    published: str  # mean +- standard deviation, and whose
    asked: tuple[float, float]  # where the mean is to be, in percent
    seeds: range
    run: Callable[[Zygote, Citations, int], Numbers]


def _federated(**chosen: object) -> Callable[[Zygote, Citations, int], Numbers]:
    def run(zygote: Zygote, graph: Citations, seed: int) -> Numbers:
        clients = Federation.of_table(graph, seed)
        return _trained(zygote, clients, federations.settings(seed=seed, **chosen))

    return run


def _public_split(hops: int) -> Callable[[Zygote, Citations, int], Numbers]:
    def run(zygote: Zygote, graph: Citations, seed: int) -> Numbers:
        parts = partitions.at_random(graph, FEDGCN["clients"], seed)
        clients = Federation.divided(graph, graph.split, parts, hops)
        blob = federations.settings(seed=seed, full_weight=FEDGCN["full_weight"])
        found = _trained(zygote, clients, blob)
        # FedGCN tests on what each client holds, not on the whole graph.
        return {**found, "test": found["own"], "whole": found["test"]}

    return run


def _trained(zygote: Zygote, clients: Federation, blob: bytes) -> Numbers:
    found = clients.train(zygote, blob)
    assert found.played.state is not None
    return {
        "test": found.score.test,
        "own": float(found.played.state["record"][1]),
        "rounds": found.rounds,
        "clipped": found.played.verdicts.get("clipped", 0),
    }


def _local(_zygote: Zygote, graph: Citations, seed: int) -> Numbers:
    blob = federations.settings(seed=seed)
    return {"test": Federation.of_table(graph, seed).local(blob, ALONE_ROUNDS).test}


def _central(_zygote: Zygote, graph: Citations, seed: int) -> Numbers:
    blob = federations.settings(seed=seed)
    return {"test": Federation.of_table(graph, seed).central(blob, ROUNDS).test}


TABLE = "FederatedScope-GNN, Cora, Louvain, 5 clients"
PROXIMAL = _federated(proximal="0.01")
MOMENTUM = _federated(momentum="0.5", server_rate="0.5")
SAGE = _federated(model="sage", hidden=32)
FREE = (0.0, 100.0)  # nothing is asked
SETTINGS = (
    Setting(
        "cora.fedavg", f"GCN, FedAvg: {TABLE}", "87.32 +- 1.49", (86.5, 100), SEEDS, _federated()
    ),
    Setting(
        "cora.local", "GCN, every client alone", "65.08 +- 2.39", (62.69, 67.47), SEEDS, _local
    ),
    Setting("cora.global", "GCN, the graph undivided", "86.89 +- 1.82", FREE, SEEDS, _central),
    Setting("cora.fedprox", "GCN, FedProx (0.01)", "87.16 +- 1.42", FREE, FEWER, PROXIMAL),
    Setting(
        "cora.momentum",
        "GCN, server momentum 0.5, rate 0.5",
        "87.29 +- 1.65",
        FREE,
        FEWER,
        MOMENTUM,
    ),
    Setting("cora.sage", "GraphSAGE (hidden 32), FedAvg", "87.19 +- 1.28", FREE, FEWER, SAGE),
    Setting(
        "cora.public_0hop",
        "FedGCN: public split, 7 clients, own edges",
        "69.15 +- 2.08",
        FREE,
        SEEDS,
        _public_split(0),
    ),
    Setting(
        "cora.public_1hop",
        "the same, neighbours' features shared before",
        "80.01 +- 0.47",
        FREE,
        SEEDS,
        _public_split(1),
    ),
)


def main() -> int:
    """Measure what is not yet measured; print the table, and write it where asked."""
    parser = argparse.ArgumentParser(prog="benchmarks.learning", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), metavar="DIR")
    parser.add_argument("--record", type=Path, default=RECORD, metavar="FILE")
    parser.add_argument("--write", type=Path, metavar="FILE", help="the table as a page")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    arguments = parser.parse_args()
    graph, output = citations.read(arguments.data / federations.CORA), Output(as_json=False)
    record = _read(arguments.record)
    chosen = [one for one in SETTINGS if not arguments.only or one.name in arguments.only]
    with federations.sandbox() as zygote:
        for setting in chosen:
            done = record.setdefault(setting.name, {})
            for seed in setting.seeds:
                if str(seed) in done:
                    continue
                started = time.monotonic()
                numbers = setting.run(zygote, graph, seed)
                done[str(seed)] = {**numbers, "seconds": round(time.monotonic() - started, 1)}
                # A crash from here on costs the model that was being trained, nothing else.
                arguments.record.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(arguments.record, json.dumps(record, indent=1).encode(), DOCUMENT_MODE)
                output.note(f"{setting.name} seed {seed}: {100 * numbers['test']:.1f} %")
    page = render(record)
    output.line(page)
    if arguments.write is not None:
        write_atomic(arguments.write, page.encode(), DOCUMENT_MODE)
    return 0 if all(_met(one, record) is not False for one in SETTINGS) else 1


def render(record: dict[str, dict[str, Numbers]]) -> str:
    """The table of what is in `record`: test accuracy in percent, mean and standard deviation."""
    lines = [
        "| name | test accuracy, % | n | asked | met | published | what |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in SETTINGS:
        found = [100 * numbers["test"] for numbers in record.get(one.name, {}).values()]
        if not found:
            continue
        spread = statistics.stdev(found) if len(found) > 1 else 0.0
        met = {True: "yes", False: "no", None: "-"}[_met(one, record)]
        asked = "-" if one.asked == FREE else f"{one.asked[0]:g} to {one.asked[1]:g}"
        lines.append(
            f"| `{one.name}` | {statistics.fmean(found):.2f} +- {spread:.2f} | {len(found)} | "
            f"{asked} | {met} | {one.published} | {one.what} |"
        )
    return "\n".join(lines) + "\n"


def _met(one: Setting, record: dict[str, dict[str, Numbers]]) -> bool | None:
    """Whether the mean is where it is asked to be; None where nothing is asked, or known yet."""
    found = [100 * numbers["test"] for numbers in record.get(one.name, {}).values()]
    if one.asked == FREE or len(found) < len(one.seeds):
        return None
    return one.asked[0] <= statistics.fmean(found) <= one.asked[1]


def _read(path: Path) -> dict[str, dict[str, Numbers]]:
    if not path.exists():
        return {}
    found: dict[str, dict[str, Numbers]] = json.loads(path.read_bytes())
    return found


if __name__ == "__main__":
    sys.exit(main())
