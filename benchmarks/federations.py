"""A public graph divided among clients, learnt by the bundle `federated_gnn` on the real path.

Sandbox, guard, shares and aggregation are those of a campaign (`capsule_runtime.rehearsal`), in
one process; what is not in it is the network and the signatures between the programs.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.errors import MeasurementFailed
from benchmarks.ordinary import BARE_UID
from capsule_runtime.broker.program import Program, read_program
from capsule_runtime.rehearsal import Rehearsal, rehearse
from capsule_runtime.sandbox import Zygote
from capsule_runtime.sandbox.staging import stage_runtime
from graph.learning import baselines, partitions
from graph.learning.baselines import Score
from graph.learning.citations import Citations, Whole
from jobs import archive, description, opening, parameters
from protection.columns import Column, Tables
from trust.entropy import seeded

BUNDLE = Path(__file__).resolve().parents[1] / "jobs" / "bundles" / "federated_gnn"
CORA = "graph_planetoid_cora/cora.npz"
CLIENTS = 5  # of FederatedScope's table
STAGED = Path("/var/lib/cadastre/runtime")  # where root stages a runtime from a private home


@cache
def algorithm() -> Any:
    """The bundle's own code as a module of this process, for baselines and for judging models."""
    specification = importlib.util.spec_from_file_location(
        "federated_gnn_algorithm", BUNDLE / "algorithm.py"
    )
    assert specification is not None and specification.loader is not None  # noqa: PT018
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@cache
def program(path: Path = BUNDLE) -> Program:
    """The bundle as the broker reads it."""
    bundle = opening.open_bundle(path)
    return read_program(bundle.raw, bundle.manifest.needs.libraries)


@cache
def altered(*, suffix: str = "", rounds: int | None = None, room: int | None = None) -> Program:
    """The bundle with `suffix` after its algorithm (a lying owner's), fewer `rounds`, or `room`.

    `room` is how many numbers a model may have: all that a bundle for larger models changes.
    """
    bundle = program().bundle_file
    files, honest = dict(bundle.files), bundle.manifest
    files["algorithm.py"] += suffix.encode()
    told = files["bundle.toml"].decode()
    if rounds is not None:
        told = _replaced(told, f"[rounds]\nmaximum = {honest.rounds.maximum}\n", str(rounds), 1)
    if room is not None:
        told = _replaced(told, f"shape = [{honest.state['model'].shape[0]}]\n", str(room), 4)
    files["bundle.toml"] = told.encode()
    return read_program(archive.pack(files), honest.needs.libraries)


def _replaced(told: str, line: str, number: str, times: int) -> str:
    """`told` with another `number` in `line`, which is in it so many `times`."""
    assert told.count(line) == times
    return told.replace(line, re.sub(r"\d+", number, line))


def settings(**chosen: object) -> bytes:
    """The parameter blob of the bundle's defaults with `chosen` in their place."""
    manifest = program().bundle_file.manifest
    texts = {name: str(value) for name, value in chosen.items()}
    values = {**description.defaults(manifest), **texts}
    bounds = manifest.bounds()
    return parameters.encode(parameters.from_texts(values, bounds), bounds)


def plain(blob: bytes) -> dict[str, Any]:
    """What an entry point is told of `settings`."""
    return dict(parameters.decode(blob, program().bundle_file.manifest.bounds()))


@contextmanager
def sandbox() -> Iterator[Zygote]:
    """A warm sandbox with the learning libraries, as a user without privileges."""
    libraries = tuple(program().bundle_file.manifest.needs.libraries)
    if os.geteuid() != 0:
        with Zygote.start(libraries, keep_stderr=True) as zygote:
            yield zygote
        return
    layout = stage_runtime(STAGED, libraries)
    account = (BARE_UID, BARE_UID)
    with Zygote.start(libraries, keep_stderr=True, run_as=account, layout=layout) as zygote:
        yield zygote


@dataclass(frozen=True)
class Outcome:
    """One trained model: how well it does on the whole graph, and how it came about."""

    score: Score
    rounds: int
    played: Rehearsal


@dataclass(frozen=True)
class Federation:
    """Clients' capsules, and the whole graph by which a model is judged."""

    capsules: tuple[Tables, ...]
    whole: Tables

    @classmethod
    def divided(
        cls, graph: Citations, split: Whole, parts: Sequence[Whole], hops: int = 0
    ) -> Federation:
        """The graph divided into `parts`, each with its own nodes' labels only."""
        capsules = tuple(partitions.tables_of(graph, split, nodes, hops=hops) for nodes in parts)
        return cls(capsules, partitions.whole(graph, split))

    @classmethod
    def of_table(cls, graph: Citations, seed: int) -> Federation:
        """The setting of FederatedScope-GNN's table: five clients by Louvain, a drawn split."""
        split = partitions.drawn_split(graph, seed)
        return cls.divided(graph, split, partitions.by_communities(graph, CLIENTS, seed))

    def train(
        self,
        zygote: Zygote,
        blob: bytes,
        *,
        using: Program | None = None,
        progress: Callable[[int, Mapping[str, Column]], None] = lambda _number, _told: None,
    ) -> Outcome:
        """The model that the clients train together under the settings `blob`.

        The kept model, chosen by the clients' own validation nodes, is judged on the whole graph.
        """
        played = rehearse(
            zygote, using or program(), blob, self.capsules, seeded(blob), progress=progress
        )
        if played.state is None:
            raise MeasurementFailed("no model came out: " + "; ".join(played.complaints))
        judged = self.judged(blob, played.state["kept"])
        return Outcome(judged, int(played.facts["rounds"]), played)

    def judged(self, blob: bytes, row: Column) -> Score:
        """How well the model `row` does on the whole graph."""
        return baselines.score(algorithm(), self.whole, np.asarray(row, np.float64), plain(blob))

    def local(self, blob: bytes, rounds: int) -> Score:
        """The mean of clients that each train alone, judged on the whole graph."""
        return baselines.local(algorithm(), self.capsules, self.whole, plain(blob), rounds)

    def central(self, blob: bytes, rounds: int) -> Score:
        """One client that holds the whole graph."""
        return baselines.alone(algorithm(), self.whole, self.whole, plain(blob), rounds)[1]
