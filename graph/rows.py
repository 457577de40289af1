"""The graph as flat tables: one row per node, edge, factor and source.

Every exported form is written from these rows, and read back into them. A cell is a text, a
whole number or nothing, so that no form can round a quantity.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from graph.errors import GraphInvalid
from graph.model import TerritoryGraph
from trust import clock
from trust.ids import Digest

Cell = str | int | None
Row = dict[str, Cell]


@cache
def tables() -> dict[str, type[Any]]:
    """The class of each table's rows, by the table's name."""
    hints = typing.get_type_hints(TerritoryGraph)
    return {
        name: typing.get_args(hint)[0]
        for name, hint in hints.items()
        if typing.get_origin(hint) is tuple
    }


def columns(row: type[Any]) -> dict[str, tuple[type[Any], bool]]:
    """Each column's type, and whether it may be empty."""
    return _columns()[row.__name__]


@cache
def _columns() -> dict[str, dict[str, tuple[type[Any], bool]]]:
    return {kind.__name__: _columns_of(kind) for kind in tables().values()}


def _columns_of(kind: type[Any]) -> dict[str, tuple[type[Any], bool]]:
    found: dict[str, tuple[type[Any], bool]] = {}
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        kinds = [choice for choice in choices if choice is not type(None)]
        found[field.name] = (kinds[0], len(kinds) < len(choices))
    return found


def head_of(graph: TerritoryGraph) -> dict[str, str]:
    """What is said about the graph as a whole, as texts."""
    return {
        "format": graph.format,
        "territory": graph.territory,
        "name_fr": graph.name_fr,
        "name_en": graph.name_en,
        "dated": clock.to_text(graph.dated),
        "ontology": str(graph.ontology),
    }


def row_of(item: Any) -> Row:
    """One dataclass as cells."""
    return {name: _cell(getattr(item, name)) for name in columns(type(item))}


def rows_of(graph: TerritoryGraph) -> dict[str, list[Row]]:
    """Every table."""
    return {name: [row_of(item) for item in getattr(graph, name)] for name in tables()}


def item_of(kind: type[Any], row: Mapping[str, Any]) -> Any:
    """The dataclass in `row`; texts stand for numbers too. Raises GraphInvalid."""
    values: dict[str, Any] = {}
    for name, (column, optional) in columns(kind).items():
        cell = row.get(name)
        if cell is None:
            if not optional:
                raise GraphInvalid(f"a {kind.__name__} without {name}")
            values[name] = None
            continue
        values[name] = _value(column, cell, f"{kind.__name__}.{name}")
    return kind(**values)


def graph_of(
    head: Mapping[str, str], rows: Mapping[str, Sequence[Mapping[str, Any]]]
) -> TerritoryGraph:
    """The graph that was written as `head` and `rows`. Raises GraphInvalid, Malformed."""
    try:
        dated: datetime = clock.from_text(head["dated"])
        return TerritoryGraph(
            format=head["format"],
            territory=head["territory"],
            name_fr=head["name_fr"],
            name_en=head["name_en"],
            dated=dated,
            ontology=Digest.parse(head["ontology"]),
            **{
                name: tuple(item_of(kind, row) for row in rows.get(name, ()))
                for name, kind in tables().items()
            },
        )
    except (KeyError, ValueError) as error:
        raise GraphInvalid(
            f"what is said about the graph as a whole is damaged: {error}"
        ) from error


def _cell(value: Any) -> Cell:
    match value:
        case None | int():
            return typing.cast("Cell", value)
        case enum.Enum():
            return str(value.value)
        case _:
            return str(value)


def _value(column: type[Any], cell: Any, where: str) -> Any:
    try:
        if column is int:
            return int(cell)
        if column is Digest:
            return Digest.parse(str(cell))
        return column(str(cell))
    except ValueError as error:
        raise GraphInvalid(f"{where}: {str(cell)[:60]!r} cannot stand there") from error
