"""Cora over a whole grid: five workers, one that concludes, every program a process of its own.

What `benchmarks.federations` plays in one process happens here between programs, over mutual TLS,
under signatures, ledgers, helper and log. Nothing is noised, so the accuracy is the same.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from safetensors.numpy import load_file

from benchmarks import federations, town
from benchmarks.errors import MeasurementFailed
from benchmarks.federations import Federation
from graph.learning import partitions
from graph.learning.citations import Citations
from jobs import description
from loopback.territory import Site, Territory
from terminal import exits

SITES = [
    Site("mairie", "salle-serveurs"),
    Site("universite", "campus"),
    Site("observatoire", "bureau"),
    Site("departement", "college"),
    Site("association", "maison"),
    Site("ville", "mediatheque", concludes=True),  # holds no capsule
]
CAMPAIGN_SECONDS = 900.0  # forty rounds take two minutes of two cores
PROOF_SECONDS = 60.0  # a release is told before the witness has cosigned the log that holds it


def trained(graph: Citations, seed: int) -> dict[str, float]:
    """One model of the setting of FederatedScope's table, and how it does on the whole graph.

    Raises MeasurementFailed when the campaign released none.
    """
    clients = Federation.of_table(graph, seed)
    with town.founded(SITES) as grid:
        folders = partitions.write(grid.home / "cora", clients.capsules)
        mapping = grid.home / "cora" / "mapping.toml"
        owners = [
            town.host(grid, number, folder, mapping, folder.name)
            for number, folder in enumerate(folders)
        ]
        grid.start_workers()
        bundle = town.admit(grid, federations.BUNDLE, owners, library="torch_geometric")
        began = time.monotonic()
        campaign = _start(grid, bundle, seed)
        _follow(grid, campaign)
        lasted = time.monotonic() - began
        # While the territory's folder is there, which goes with its processes.
        model = _export(grid, campaign)
        kept = load_file(model / "model.safetensors")["kept"]
        rounds = json.loads((model / "provenance.json").read_text("utf-8"))["rounds"]
    if short := [one["number"] for one in rounds if one["workers"] < len(clients.capsules)]:
        # On a machine that is too busy a worker may run out of its time: that is another setting.
        raise MeasurementFailed(f"clients were lost in the rounds {short}")
    judged = clients.judged(federations.settings(seed=seed), kept)
    return {"test": judged.test, "rounds": len(rounds), "campaign_seconds": round(lasted, 1)}


def _start(grid: Territory, bundle: str, seed: int) -> str:
    manifest = federations.program().bundle_file.manifest
    values = {**description.defaults(manifest), "seed": str(seed)}
    chosen = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    started = grid.processes.run("campaign", "start", bundle, *chosen, "--as", grid.operator)
    return str(started["campaign"])


def _follow(grid: Territory, campaign: str) -> None:
    deadline = time.monotonic() + CAMPAIGN_SECONDS
    while time.monotonic() < deadline:
        try:
            ended = grid.processes.attempt("campaign", "watch", campaign, "--as", grid.operator)
        except subprocess.TimeoutExpired:
            continue  # one command has less time than forty rounds may take
        if ended.returncode != exits.OK:
            raise MeasurementFailed(f"no model came out: {ended.stderr.strip()[-400:]}")
        return
    raise MeasurementFailed(f"{campaign} was not over after {CAMPAIGN_SECONDS:.0f} s")


def _export(grid: Territory, campaign: str) -> Path:
    """The released model's folder; the command verifies every round of it."""
    out = grid.home / "model"
    deadline = time.monotonic() + PROOF_SECONDS
    while True:
        ended = grid.processes.attempt(
            "model", "export", campaign, "--out", out, "--as", grid.operator
        )
        if ended.returncode == exits.OK:
            return out
        if ended.returncode != exits.NOT_READY or time.monotonic() > deadline:
            raise MeasurementFailed(f"the model cannot be exported: {ended.stderr.strip()[-400:]}")
        time.sleep(1)
