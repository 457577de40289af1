"""Flower apps made bundles and played on capsules, for the tests of this room."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from capsule_runtime import rehearsal, trial
from capsule_runtime.adoption import adopt
from capsule_runtime.broker.program import Program, read_program
from capsule_runtime.sandbox import Zygote
from jobs import archive
from jobs.flower import choices as chosen
from protection.columns import Tables
from trust.entropy import Entropy

_WARM: dict[tuple[str, ...], Zygote] = {}
PLAIN = Path(__file__).with_name("plain_flower.py")
SAVED = {"line_numpy": "line.npz", "net_torch": "net.pt"}  # where the apps leave their models


@dataclass
class Played:
    found: rehearsal.Rehearsal
    told: list[dict[str, Any]] = field(default_factory=list)

    @property
    def model(self) -> np.ndarray:
        assert self.found.state is not None, self.found.complaints
        return self.found.state["message"]


@contextlib.contextmanager
def warm(libraries: tuple[str, ...]) -> Iterator[Zygote]:
    """A sandbox for all tests that need these libraries: to load flwr takes a second, torch two."""
    if libraries not in _WARM:
        _WARM[libraries] = trial.sandbox(libraries)
    yield _WARM[libraries]


def cool_down() -> None:
    while _WARM:
        _WARM.popitem()[1].close()


def adopted(folder: Path, changes: dict[str, Any] | None = None) -> Program:
    """The program of a Flower app, its choices changed table by table."""
    plain = chosen.read(folder / chosen.FILE).model_dump(mode="json")
    for table, values in (changes or {}).items():
        plain[table] = {**plain[table], **values}
    files, _ = adopt(folder, chosen.Choices.model_validate(plain), warm)
    raw = archive.pack(files)
    return read_program(raw, archive.read(raw).manifest.needs.libraries)


def play(program: Program, capsules: list[Tables], entropy: Entropy) -> Played:
    manifest = program.bundle_file.manifest
    told: list[dict[str, Any]] = []
    with warm(manifest.needs.libraries) as zygote:
        found = rehearsal.rehearse(
            zygote, program, b"{}", capsules, entropy, progress=lambda _, each: told.append(each)
        )
    return Played(found, told)


def under_flower(
    folder: Path, where: Path, table: str, capsules: list[Tables], config: dict[str, Any]
) -> dict[str, float]:
    """Run the app under Flower in `where`; what it measured."""
    paths = node_files(where, table, capsules)
    shutil.copytree(folder, where / "app")
    words = [sys.executable, PLAIN, where / "app", json.dumps(config), *paths]
    subprocess.run(words, cwd=where, check=True, timeout=120)
    told: dict[str, float] = json.loads((where / "told.json").read_text())
    return told


def node_files(where: Path, table: str, capsules: list[Tables]) -> list[Path]:
    """Every capsule's table as the file that a node of Flower's reads."""
    paths = []
    for number, capsule in enumerate(capsules):
        paths.append(where / f"node{number}.csv")
        with paths[-1].open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(capsule[table])
            writer.writerows(zip(*(c.tolist() for c in capsule[table].values()), strict=True))
    return paths


def saved_by(app: str, where: Path) -> np.ndarray:
    """The model that the app left under Flower, flat."""
    if app == "line_numpy":
        with np.load(where / SAVED[app]) as saved:
            return np.asarray(saved["arr_0"])
    import torch

    state = torch.load(where / SAVED[app], weights_only=True)
    return np.concatenate([tensor.double().numpy().ravel() for tensor in state.values()])
