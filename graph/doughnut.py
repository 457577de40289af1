"""The doughnut's dimensions beside what the graph can tell about them.

Most are unknown, and say so. An indicator stands in for its dimension, never for the whole of
it; without a limit that the territory declared it is `measured` and judged by nobody.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from graph.indicator import Indicator
from graph.indicators import headline
from graph.model import Objective, Side, TerritoryGraph


class Status(enum.StrEnum):
    """Where a dimension stands."""

    UNKNOWN = "unknown"  # no data of the graph tell anything about it
    MEASURED = "measured"  # a number, and no declared limit
    WITHIN = "within"  # on the safe and just side, range included
    BEYOND = "beyond"  # on the other side, range included
    UNDECIDED = "undecided"  # the limit lies within the number's range


# What stands in for a dimension as far as commuting goes.
STANDS_IN = {
    "objective:climate-change": "emissions-per-commuter",
    "objective:air-pollution": "car-km-per-commuter",
    "objective:income-and-work": "jobs-per-worker",
    "objective:connectivity": "ways-without-car",
}


@dataclass(frozen=True)
class DimensionStatus:
    """One dimension: its limit, the number that stands in for it, and their sources."""

    objective: Objective
    status: Status
    indicator: Indicator | None
    sources: tuple[str, ...]


def doughnut(graph: TerritoryGraph) -> list[DimensionStatus]:
    """Every dimension: floors first, then ceilings."""
    known = headline(graph)
    ordered = sorted(graph.objectives, key=lambda entry: (entry.side is Side.CEILING, entry.id))
    return [_stand(entry, known.get(STANDS_IN.get(entry.id, ""))) for entry in ordered]


def _stand(objective: Objective, indicator: Indicator | None) -> DimensionStatus:
    if indicator is None or indicator.value is None:
        return DimensionStatus(objective, Status.UNKNOWN, None, ())
    status = Status.MEASURED
    sources = indicator.sources
    if objective.limit is not None and objective.unit == indicator.unit:
        status = _judge(objective, indicator)
        sources = (*sources, objective.source)
    return DimensionStatus(objective, status, indicator, sources)


def _judge(objective: Objective, indicator: Indicator) -> Status:
    assert objective.limit is not None
    limit, low, high = float(objective.limit), indicator.low, indicator.high
    assert low is not None
    assert high is not None
    if objective.side is Side.CEILING:
        safe, broken = high <= limit, low > limit
    else:
        safe, broken = low >= limit, high < limit
    if safe:
        return Status.WITHIN
    return Status.BEYOND if broken else Status.UNDECIDED
