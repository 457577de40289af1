"""Playing an app from beginning to end on invented data, to learn what its bundle must declare.

The app's code runs in a sandbox only; what comes back is text and numbers of fixed sizes.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jobs.flower.adapter.plan import MODULE, Kind, Plan
from jobs.flower.adapter.refusals import SIGN
from jobs.flower.app import FlowerApp
from jobs.flower.choices import Choices
from jobs.flower.errors import FlowerAppRefused
from protection.columns import Column, Tables

PACKAGE = "cadastre_flower"
TEXT_CELLS, NUMBER_CELLS = 1 << 16, 1 << 20  # as adapter/probing.py answers
# How many nodes a ServerApp is shown in turn, until it stops waiting: flwr's own default first.
CENSUSES = (2, 10, 100, 1000)
MAXIMUM_ROUNDS = 1000  # of a manifest
_REFUSAL = re.compile(rf"{SIGN}\[([a-z-]+)\]: (.*)")
_LIMIT = "killed_limit"
# Only an app that writes into the adapter's own words gets there: they share a process.
_SPOILT = ("app-broken", "the app spoils the adapter's answer")
_Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Ran:
    """One sandboxed run: its arrays, or how it ended and its last words."""

    text: NDArray[np.int64] | None
    numbers: _Numbers | None
    ended: str
    words: str


class Sandbox(Protocol):
    """Where probes run; capsule_runtime has the real one."""

    def run(
        self, sources: Mapping[str, bytes], entry: str, state: Mapping[str, Column], tables: Tables
    ) -> Ran:
        """Run `entry` with TEXT_CELLS whole numbers `text` and NUMBER_CELLS `numbers` as output."""
        ...


@dataclass(frozen=True)
class Probed:
    """What a whole run of the app showed; `plan` is complete."""

    plan: Plan
    rounds: int
    update: int
    metrics: int
    labels: tuple[str, ...]
    arrays: tuple[tuple[str, str, tuple[int, ...]], ...]  # the final model: key, dtype, shape
    longest_update: float
    longest_metrics: float
    patience: float  # seconds after which the ServerApp would wait no longer for a message


@dataclass
class _Sizes:
    heading: int = 0
    message: int = 0
    journal: int = 1
    update: int = 1
    metrics: int = 1
    longest_update: float = 0.0
    longest_metrics: float = 0.0
    patience: float = math.inf
    server_metrics: set[str] = field(default_factory=set)


def adapter_sources() -> dict[str, bytes]:
    """The adapter as it is shipped in a bundle."""
    folder = Path(__file__).with_name("adapter")
    return {f"{PACKAGE}/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.py"))}


def probe(app: FlowerApp, choices: Choices, sandbox: Sandbox, capsule: Tables) -> Probed:
    """Play `app` to its end, one mock `capsule` as the cohort. Raises FlowerAppRefused."""
    asked = (choices.run.nodes,) if choices.run.nodes else CENSUSES
    for nodes in asked:
        try:
            return _Probe(app, choices, nodes, sandbox).play(capsule)
        except FlowerAppRefused as refused:
            if refused.reason != "too-few-nodes" or nodes == asked[-1]:
                raise
        except (KeyError, TypeError, ValueError) as error:
            raise FlowerAppRefused(*_SPOILT) from error
    raise AssertionError("one census returns or raises")


class _Probe:
    def __init__(self, app: FlowerApp, choices: Choices, nodes: int, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._sources = {**app.sources, **adapter_sources()}
        self._plan = Plan(
            server=app.server,
            client=app.client,
            config={**app.config, **choices.run_config},
            nodes=nodes,
            weight_key=choices.release.weight_key,
            weight_cap=float(choices.release.weight_cap),
            table=choices.data.table,
            columns=list(choices.data.columns),
            file=choices.data.file,
            node_column=choices.data.node or "",
            counts_replies=choices.counted,
        )
        self._sizes = _Sizes()

    def play(self, capsule: Tables) -> Probed:
        journal: _Numbers = np.zeros(1)
        rounds = 0
        while True:
            told, numbers = self._run("next_message", {"journal": journal}, {})
            heading, message = np.split(
                numbers[: told["heading"] + told["message"]], [told["heading"]]
            )
            self._grow(told)
            if told["finished"]:
                break
            if rounds == MAXIMUM_ROUNDS:
                raise FlowerAppRefused(
                    "too-many-rounds", f"the ServerApp sends more than {rounds} messages"
                )
            rounds += 1
            state = {"heading": heading, "message": _filled(message), "journal": journal}
            told_reply, numbers = self._run("client_reply", state, capsule)
            journal = numbers[: told_reply["journal"]]
            self._grow(told_reply)
            self._learn(Kind(**told_reply["kind"]))
        sizes = self._sizes
        plan = self._plan = dataclasses.replace(
            self._plan,
            server_metrics=sorted(sizes.server_metrics),
            # A configuration may grow by some digits from round to round.
            heading_cells=2 * sizes.heading + 16,
            message_cells=sizes.message or 1,
            # As many rounds as here, each with the largest reply: their kinds may come otherwise.
            journal_cells=1 + rounds * (3 + self._plan.rows * (3 + sizes.update + sizes.metrics)),
        )
        labels, _ = self._run("labels", {"journal": np.zeros(1)}, {})
        return Probed(
            plan,
            rounds,
            max(sizes.update, 1),
            max(sizes.metrics, 1),
            tuple(labels["metrics"]),
            tuple((key, dtype, tuple(shape)) for key, dtype, shape in told["arrays"]),
            sizes.longest_update,
            sizes.longest_metrics,
            sizes.patience,
        )

    def _learn(self, kind: Kind) -> None:
        if all(known.message_type != kind.message_type for known in self._plan.kinds):
            self._plan = dataclasses.replace(self._plan, kinds=[*self._plan.kinds, kind])

    def _grow(self, told: Mapping[str, Any]) -> None:
        sizes = self._sizes
        sizes.heading = max(sizes.heading, told.get("heading", 0))
        sizes.message = max(sizes.message, told.get("message", 0))
        sizes.update = max(sizes.update, told.get("update", 0))
        sizes.metrics = max(sizes.metrics, told.get("metrics", 0))
        sizes.longest_update = max(sizes.longest_update, told.get("length", 0.0))
        sizes.longest_metrics = max(sizes.longest_metrics, told.get("metric_length", 0.0))
        sizes.patience = min(sizes.patience, told.get("patience", math.inf))
        sizes.server_metrics |= set(told.get("server_metrics", ()))

    def _run(
        self, name: str, state: Mapping[str, Column], tables: Tables
    ) -> tuple[dict[str, Any], _Numbers]:
        sources = {**self._sources, f"{MODULE}.py": self._plan.encode().encode()}
        ran = self._sandbox.run(sources, f"{PACKAGE}.probing:{name}", state, tables)
        if ran.text is None or ran.numbers is None:
            raise _refusal(name, ran)
        text = ran.text.astype(np.uint8).tobytes().rstrip(b"\0")
        try:
            told = json.loads(text)
        except ValueError as error:
            raise FlowerAppRefused(*_SPOILT) from error
        return told, ran.numbers


def _filled(numbers: _Numbers) -> _Numbers:
    return numbers if len(numbers) else np.zeros(1)


def _refusal(name: str, ran: Ran) -> FlowerAppRefused:
    found = _REFUSAL.search(ran.words)
    if found is not None:
        return FlowerAppRefused(found[1], found[2])
    who = "ServerApp" if name == "next_message" else "ClientApp"
    if ran.ended == _LIMIT:
        return FlowerAppRefused(
            f"{who[:6].lower()}-endless",
            f"the {who} does not come to an answer within the memory and time of one run",
            remedy="look for an endless loop, or raise [run] cpu_seconds and memory_mib",
        )
    words = " ".join(ran.words.split()) or "no word"
    return FlowerAppRefused(
        f"{who[:6].lower()}-crashed", f"the {who} ended with {ran.ended}: …{words[-400:]}"
    )
