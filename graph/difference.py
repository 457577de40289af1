"""What changed between two dated graphs of one territory.

Edges are matched by what recurs (their source's series, not the edition), so that next year's
campaign is compared with this year's. A change is `clear` when the two bands do not overlap: what
lies within them may be noise. So may an edge that appears or goes near its source's minimum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

from graph import rows
from graph.errors import GraphInvalid
from graph.invariants import PERSONS
from graph.model import Factor, Flow, Link, TerritoryGraph

Key = tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One row before and after; None where it was not there."""

    table: str
    key: Key
    before: Any | None
    after: Any | None
    floor: int = 0  # persons under which the graph without this flow would not show it either

    @property
    def kind(self) -> str:
        """`added`, `removed` or `changed`."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"

    @property
    def clear(self) -> bool:
        """Whether more than noise explains a change of a flow; true for every other row."""
        match self.before, self.after:
            case Flow() as one, Flow() as other:
                first, second = _band(one), _band(other)
                return first[1] < second[0] or second[1] < first[0]
            case (Flow() as flow, None) | (None, Flow() as flow):
                return _above(flow, self.floor)
            case _:
                return True

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that differ."""
        if self.before is None or self.after is None:
            return ()
        return tuple(
            field.name
            for field in fields(self.before)
            if getattr(self.before, field.name) != getattr(self.after, field.name)
        )


def between(before: TerritoryGraph, after: TerritoryGraph) -> list[Change]:
    """Every difference, table after table, keys sorted. Raises GraphInvalid across territories."""
    if before.territory != after.territory:
        raise GraphInvalid(
            f"the graphs are of {before.territory} and {after.territory}",
            remedy="compare two dated graphs of one territory",
        )
    found = []
    for table in rows.tables():
        old, new = _keyed(before, table), _keyed(after, table)
        found += [
            Change(
                *(table, key, old.get(key), new.get(key)),
                floor=_floor(after if key in old else before, table, key),
            )
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]
    return found


def _keyed(graph: TerritoryGraph, table: str) -> Mapping[Key, Any]:
    series = {source.id: source.series for source in graph.sources}
    return {_key(row, series): row for row in getattr(graph, table)}


def _key(row: Any, series: Mapping[str, str]) -> Key:
    match row:
        case Flow():
            ends = (row.origin, row.target, row.resource)
            return (series[row.source], row.relation.value, *ends)
        case Link():
            return (row.relation.value, row.origin, row.target)
        case Factor():
            return (row.resource,)
        case _:
            return (str(row.id),)


def _floor(graph: TerritoryGraph, table: str, key: Key) -> int:
    """Under how many persons `graph` leaves a flow of this series out; 0 without the series."""
    if table != "flows":
        return 0
    return max((one.minimum for one in graph.sources if one.series == key[0]), default=0)


def _above(flow: Flow, floor: int) -> bool:
    """Whether `flow` would have been there, with as much noise, had its persons not changed."""
    lower, upper = _band(flow)
    if floor == 0 or lower == upper:
        return True  # nothing is left out there, or nothing is noised
    # Beside another unit the band is the quantity's: how far the count is off, it does not say.
    return flow.unit == PERSONS and lower - (upper - lower) / 2 > floor


def _band(flow: Flow) -> tuple[Decimal, Decimal]:
    if flow.lower is None or flow.upper is None:
        return Decimal(flow.quantity), Decimal(flow.quantity)
    return Decimal(flow.lower), Decimal(flow.upper)
