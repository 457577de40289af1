"""A bundle of several rounds, small enough to follow by hand: its state walks to the mean.

Each round moves the state half of the way to the mean of the column; the first round adds nothing
random, public capsules add no noise, so every number can be foretold.
"""

from __future__ import annotations

MANIFEST = b"""
[bundle]
name = "walk"
version = "1.0.0"
title.fr = "Marche vers la moyenne"
title.en = "A walk to the mean"
purpose = "tests of rounds"
licence = "GPL-2.0-or-later"
authors = ["Tests"]

[entry]
contribute = "algorithm:contribute"
conclude = "algorithm:conclude"
runtime = "python"
profile = "min"

[needs]
tables.readings = ["value"]
classes = ["public"]
libraries = ["numpy"]
memory_mib = 512
cpu_seconds = 5
wall_seconds = 10

[parameters]
rate = { type = "decimal", minimum = 0, maximum = 1, default = "0.5" }
enough = { type = "integer", minimum = 1, maximum = 100, default = 100 }

[release.update]
shape = [2]
dtype = "float64"
step = "0.0009765625"
clip = { norm = "linf", bound = 1000 }
unit = "owner"
protection = "shared"
noise = { mechanism = "none" }
minimum_contributors = 2
maximum_contributors = 1000

[report.mean]
shape = [1]
dtype = "float64"
unit = "units"
labels = [["mean"]]

[state.position]
shape = [1]

[rounds]
maximum = 4
quorum = 1
deadline_seconds = 60

[mock.readings]
rows = 1
columns.value = { minimum = 0, maximum = 16 }
"""

ALGORITHM = b"""
import numpy as np

def contribute(capsule, parameters):
    position = parameters["state"]["position"][0]
    value = float(capsule["readings"]["value"][0])
    return {"update": np.array([value - position, 1.0])}

def conclude(aggregate, parameters):
    total, count = aggregate["update"]
    position = parameters["state"]["position"] + float(parameters["rate"]) * total / count
    stop = parameters["round"] >= parameters["enough"]
    return {"mean": position, "position": position, "stop": np.array([int(stop)])}
"""


def files(**changes: bytes) -> dict[str, bytes]:
    """The bundle's files; `conclude=...` replaces that function's body."""
    algorithm = ALGORITHM
    if "conclude" in changes:
        body = b"".join(b"\n    " + line for line in changes["conclude"].splitlines())
        algorithm += b"\n\ndef conclude(aggregate, parameters):" + body + b"\n"
    manifest = changes.get("manifest", MANIFEST)
    return {"bundle.toml": manifest, "algorithm.py": algorithm, "README.md": b"# walk\n"}


def expected(values: list[float], rounds: int, rate: float = 0.5) -> list[float]:
    """The position after each round."""
    mean, position, walked = sum(values) / len(values), 0.0, []
    for _ in range(rounds):
        position += rate * (mean - position)
        walked.append(position)
    return walked
