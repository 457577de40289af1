"""What `bundle from-flower` found out about the app, as the bundle carries it (flower_plan.py)."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field
from typing import Any

MODULE, NAME = "flower_plan", "PLAN"


@dataclass(frozen=True)
class Kind:
    """One type of message, and how every client answers it."""

    message_type: str
    reply: list[Any]  # the layout, as records.flatten makes it


@dataclass(frozen=True)
class Plan:
    """References are `module:name`; sizes are numbers of cells. `kinds` are filled by probing."""

    server: str
    client: str
    config: dict[str, Any]
    nodes: int
    weight_key: str
    weight_cap: float
    table: str
    columns: list[str]
    file: str
    node_column: str = ""  # where single replies are wanted: the column with a capsule's node
    kinds: list[Kind] = field(default_factory=list)
    server_metrics: list[str] = field(default_factory=list)
    heading_cells: int = 0
    message_cells: int = 0
    journal_cells: int = 0
    counts_replies: bool = False  # whether each round tells how many replies counted

    @property
    def singles(self) -> bool:
        """Whether each node's reply is released by itself: on public data alone."""
        return bool(self.node_column)

    @property
    def rows(self) -> int:
        """How many replies a round releases."""
        return self.nodes if self.singles else 1

    @property
    def weights(self) -> int:
        """The cells of the release `weight`: one a reply, and one in which replies are counted."""
        return self.rows + self.counts_replies

    @property
    def data_path(self) -> str:
        """Where the ClientApp finds the capsule's table."""
        return f"/capsule/{self.file}"

    def encode(self) -> str:
        """A Python module that `read` reads."""
        fields = {**vars(self), "kinds": [vars(kind) for kind in self.kinds]}
        text = json.dumps(fields, indent=1, sort_keys=True)
        return (
            '"""Made by `cadastre bundle from-flower`: what it found out about the app."""\n\n'
            f"{NAME} = {json.dumps(text)}\n"
        )


def parse(text: str) -> Plan:
    """The plan in the JSON text that `Plan.encode` put into its module."""
    fields = json.loads(text)
    return Plan(**{**fields, "kinds": [Kind(**kind) for kind in fields["kinds"]]})


def read() -> Plan:
    """The plan that this bundle was made with."""
    return parse(getattr(importlib.import_module(MODULE), NAME))
