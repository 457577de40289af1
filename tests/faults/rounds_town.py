"""A town whose campaigns have six rounds, each resting on the one before.

`cells` says who was in a round, `push` moves the model, and both depend on nothing but the seed,
the round and the model before it: whoever knows who took part can compute the model to the last
bit. The state keeps the roll of every round, so that a contribution that was lost, doubled or made
of an older model shows in what is released.
"""

from __future__ import annotations

import functools
import sqlite3
from contextlib import closing
from typing import Any

import numpy as np
from town import CAPSULES, CELLS, HOSTS, MANIFEST, RHO, Town

ROUNDS = 6
LEAST = 2  # workers of a round that asks a share of them
Numbers = np.ndarray[Any, np.dtype[np.float64]]

ALGORITHM = f'''\
import numpy as np


def contribute(capsule, parameters):
    """A one and a push in the capsule's own cell; they take their time, so that a kill hits."""
    own = int(capsule["numbers"]["number"][0])
    cells, push = np.zeros({CELLS}, np.int64), np.zeros({CELLS})
    cells[own] = 1
    push[own] = pushed(own, parameters["seed"], parameters["round"], parameters["state"]["model"])
    for _ in range(8):
        np.linalg.svd(np.ones((120, 120)))
    return {{"cells": cells, "push": push, "paid": np.ones(1, np.int64)}}


def pushed(own, seed, number, model):
    """A multiple of 1/16 below 4; whole numbers and halves only, so nothing is rounded."""
    return ((own * seed + 7 * number + int(np.floor(64 * model[own]))) % 61) / 16


def conclude(aggregate, parameters):
    """The next model; `paid` is noise and moves nothing."""
    state, number = parameters["state"], parameters["round"]
    roll = state["roll"].copy()
    roll[number - 1] = aggregate["cells"]
    return {{
        "cells": aggregate["cells"],
        "model": moved(state["model"], aggregate["push"]),
        "roll": roll,
        "stop": np.zeros(1, np.int64),
    }}


def moved(model, push):
    """Each cell keeps half of itself and a quarter of its neighbour."""
    return model / 2 + np.roll(model, 1) / 4 + push
'''


def _manifest() -> str:
    head, _, rest = MANIFEST.partition("[release.marks]")
    paid = rest[rest.index("[release.paid]") : rest.index("[report.cells]")]
    report = rest[rest.index("[report.cells]") : rest.index("[report.marks]")]
    mock = rest[rest.index("[mock.numbers]") :]
    between = f"""\
[release.push]
shape = [{CELLS}]
dtype = "float64"
step = "0.0625"
clip = {{ norm = "l1", bound = 4 }}
unit = "owner"
protection = "clear"
noise = {{ mechanism = "none" }}
minimum_contributors = {CAPSULES}
maximum_contributors = 1000
"""
    state = f"""\
[state.model]
shape = [{CELLS}]
[state.roll]
shape = [{ROUNDS}, {CELLS}]
[rounds]
maximum = {ROUNDS}
quorum = {HOSTS}
deadline_seconds = 600
"""
    settings = '[parameters]\nseed = { type = "integer", minimum = 1, maximum = 1000000 }\n'
    # What a round costs is a sixth of what the campaign was voted to cost.
    paid = paid.replace(RHO, f"0.00{ROUNDS}")
    assert f"0.00{ROUNDS}" in paid
    needs, release, cells = head.partition("[release.cells]")
    return needs + settings + release + cells + between + paid + report + state + mock


WHOLE = _manifest()
# Two of three hosts are drawn for each round; with a spare one all are asked and two are enough.
DRAWN = (
    WHOLE.replace(f"quorum = {HOSTS}", f'quorum = {LEAST}\nshare = "0.6"')
    .replace(f"minimum_workers = {HOSTS}", f"minimum_workers = {LEAST}")
    .replace(f"minimum_operators = {HOSTS}", f"minimum_operators = {LEAST}")
    .replace('name = "roll_call"', 'name = "drawn_call"')
)
SPARE = DRAWN.replace('share = "0.6"', 'share = "0.6"\nspare = 1').replace("drawn_", "spare_")


@functools.cache
def _steps() -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(ALGORITHM, "algorithm", "exec"), names)
    return names


def replay(seed: int, roll: Numbers) -> Numbers:
    """The model after the rounds of `roll`, [rounds, CELLS] of zeros and ones."""
    model = np.zeros(CELLS)
    for number, present in enumerate(roll, start=1):
        pushes = [_steps()["pushed"](own, seed, number, model) for own in range(CELLS)]
        model = _steps()["moved"](model, present * np.array(pushes))
    return model


class RoundsTown(Town):
    """Processes of a territory that learns."""

    manifest, algorithm, rounds = WHOLE, ALGORITHM, ROUNDS

    def begin(self, bundle: str, seed: int) -> str:
        """Start a campaign of `bundle`; its id."""
        self.campaigns.append(self.launch(bundle, seed=seed))
        return self.campaigns[-1]

    def round_of(self, campaign: str) -> tuple[int, str]:
        """(number, state) of a campaign's newest round, from the scheduler's own database.

        (0, "") before the first. The command line would be too slow to aim with.
        """
        with closing(sqlite3.connect(self.home / "scheduler" / "scheduler.db")) as connection:
            query = (
                "SELECT number, state FROM round WHERE campaign = ? ORDER BY number DESC LIMIT 1"
            )
            found: tuple[int, str] | None = connection.execute(query, [campaign]).fetchone()
        return found or (0, "")

    def released(self, campaign: str) -> tuple[Numbers, Numbers]:
        """(model, roll) of a campaign that ended well after all its rounds, every round verified.

        Whoever is in a round is in it once, with all capsules of her host.
        """
        from safetensors.numpy import load_file

        view = self.require_released(campaign)
        assert view["rounds"] == f"{ROUNDS} of at most {ROUNDS}"
        state = load_file(self.export(campaign) / "model.safetensors")
        roll = np.asarray(state["roll"], np.float64)
        assert set(np.unique(roll)) <= {0.0, 1.0}
        by_host = roll.reshape(ROUNDS, HOSTS, CAPSULES)
        assert (by_host == by_host[:, :, :1]).all()
        return np.asarray(state["model"], np.float64), roll
