"""What changed between two dated graphs of one territory.

Edges are matched by what recurs (their source's series, not the edition), so that next year's
campaign is compared with this year's. A change is `clear` when the two bands do not overlap:
what lies within them may be noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

from graph import rows
from graph.errors import GraphInvalid
from graph.model import Factor, Flow, Link, TerritoryGraph

Key = tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One row before and after; None where it was not there."""

    table: str
    key: Key
    before: Any | None
    after: Any | None

    @property
    def kind(self) -> str:
        """`added`, `removed` or `changed`."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"

    @property
    def clear(self) -> bool:
        """Whether more than noise explains a changed flow; true for every other change."""
        if not isinstance(self.before, Flow) or not isinstance(self.after, Flow):
            return True
        first, second = _band(self.before), _band(self.after)
        return first[1] < second[0] or second[1] < first[0]

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
            Change(table, key, old.get(key), new.get(key))
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


def _band(flow: Flow) -> tuple[Decimal, Decimal]:
    if flow.lower is None or flow.upper is None:
        return Decimal(flow.quantity), Decimal(flow.quantity)
    return Decimal(flow.lower), Decimal(flow.upper)
