"""The small territory's graph, built from its plan and some releases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from graph import building, releases
from graph import plan as plans
from graph.model import TerritoryGraph
from tests.graph.graph_territory import CELLS, NAME, NOW, PLACES, PLAN, Town, a_report


def built(
    town: Town,
    folders: list[Path] | None = None,
    *,
    plan: str = PLAN,
    places: str = PLACES,
    more: Mapping[str, bytes] = MappingProxyType({}),
) -> TerritoryGraph:
    given = [town.publish(a_report(CELLS))] if folders is None else folders
    found = releases.verified(releases.gather(given), town.trusted())
    return building.build(
        plans.read(plan.encode()), plan.encode(), {"places.csv": places.encode(), **more}, found,
        territory=NAME, dated=NOW,
    )  # fmt: skip
