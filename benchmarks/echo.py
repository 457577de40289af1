"""Bundles that send back what they were sent: what a round costs when nothing is computed.

Public data without noise, under `clear` unless said otherwise: the least protection there is,
because what it is compared with has none. Sandbox, signatures, mutual TLS, ledger, log and witness
are all there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# The longest state there is (jobs/admission.py): 8 MiB to every worker.
STATE_CELLS = 1 << 20
# 12 MiB from every worker, in outputs of at most 8 MiB each: with its state each of them moves the
# 20 MiB that Flower's node moves, which is sent 10 and sends 10.
VALUE_CELLS = (1 << 20, 1 << 19)
BOUND = 1000
MOST = 100_000

_ALGORITHM = """\
import numpy as np


def contribute(capsule, parameters):
    model = parameters["state"]["model"]
    return {{name: np.resize(model, size) for name, size in {outputs}.items()}}


def conclude(aggregate, parameters):
    return {{
        "mean": aggregate["first"][:1] / {workers},
        "model": np.resize(aggregate["first"], {state}) / {workers} + 1.0,
        "stop": np.array([0]),
    }}
"""
_MANIFEST = """\
[bundle]
name = "{name}"
version = "1.0.0"
title.fr = "Echo"
title.en = "Echo"
purpose = "measuring what a round costs"
licence = "GPL-2.0-or-later"
authors = ["Cadastre contributors"]
[entry]
contribute = "algorithm:contribute"
conclude = "algorithm:conclude"
runtime = "python"
profile = "min"
[needs]
tables.{table} = ["number"]
classes = ["public"]
libraries = ["numpy"]
memory_mib = 1024
cpu_seconds = 20
wall_seconds = 30
{releases}
[report.mean]
shape = [1]
dtype = "float64"
unit = "echoes"
labels = [["mean"]]
[state.model]
shape = [{state}]
[rounds]
maximum = {rounds}
quorum = 2
deadline_seconds = 600
[mock.{table}]
rows = 1
columns.number = {{ minimum = 0, maximum = 9 }}
"""
_RELEASE = """\
[release.{name}]
shape = [{cells}]
dtype = "float64"
step = "0.5"
clip = {{ norm = "linf", bound = {bound} }}
unit = "owner"
protection = "{protection}"
noise = {{ mechanism = "none" }}
minimum_contributors = 1
maximum_contributors = {most}
minimum_workers = 2
"""


@dataclass(frozen=True)
class Echo:
    """One bundle: how many numbers go each way, how often, and whose data it reads."""

    name: str
    table: str
    rounds: int
    state: int = 1  # float64 numbers to every worker
    values: tuple[int, ...] = (1,)  # numbers from every worker, by output
    protection: str = "clear"  # under `shared` a number is 32 bits of a share, else a float64

    @property
    def bytes_down(self) -> int:
        """What one worker is sent of numbers."""
        return 8 * self.state

    @property
    def bytes_up(self) -> int:
        """What one worker sends of numbers under `clear`."""
        return 8 * sum(self.values)

    def write(self, folder: Path, workers: int) -> None:
        """The bundle's source folder, for `workers` that each host as many capsules."""
        outputs = dict(zip(("first", "second"), self.values, strict=False))
        releases = "".join(
            _RELEASE.format(
                name=name, cells=cells, bound=BOUND, most=MOST, protection=self.protection
            )
            for name, cells in outputs.items()
        )
        folder.mkdir(parents=True)
        manifest = _MANIFEST.format(
            name=self.name,
            table=self.table,
            releases=releases,
            state=self.state,
            rounds=self.rounds,
        )
        algorithm = _ALGORITHM.format(outputs=outputs, workers=workers, state=self.state)
        (folder / "bundle.toml").write_text(manifest)
        (folder / "algorithm.py").write_text(algorithm)
