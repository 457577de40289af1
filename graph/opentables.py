"""Open data tables in CSV, read as their build plan says."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from graph import decimals, invariants
from graph.errors import PlanRefused, TableRefused
from graph.model import (
    ENDS,
    MOVING,
    Action,
    Actor,
    ActorKind,
    Flow,
    Link,
    Node,
    Place,
    Relation,
    Territory,
)
from graph.plan import Table

MAXIMUM_ROWS = 1_000_000
_NODES: dict[str, type[Any]] = {
    "territory": Territory,
    "place": Place,
    "actor": Actor,
    "action": Action,
}
_RELATIONS = {relation.value: relation for relation in Relation}


def nodes(table: Table, data: bytes, source: str) -> Iterator[Node]:
    """The nodes that the rows of `table` state. Raises TableRefused, PlanRefused."""
    kind = _NODES[table.holds]
    wanted = {"territory": ("code",), "actor": ("kind", "activity"), "action": ("operation",)}
    optional = wanted.get(table.holds, ("code", "longitude", "latitude", "population"))
    _require_columns(table, ("id", "name"), optional)
    for row in _rows(table, data):
        code = row["id"]
        fields: dict[str, Any] = {name: row.get(name) or None for name in optional}
        if table.holds in {"place", "territory"} and "code" not in table.columns:
            fields["code"] = code
        if table.holds == "actor":
            try:
                fields["kind"] = ActorKind(fields["kind"] or "organisation")
            except ValueError as error:
                raise _refused(table, row, f"{fields['kind']!r} is no kind of actor") from error
        if table.holds == "place":
            for name in ("longitude", "latitude"):
                if fields[name] is not None:
                    fields[name] = decimals.canonical(fields[name])
            fields["population"] = _whole(table, row, fields["population"])
        identifier = code if ":" in code else f"{table.holds}:{code}"
        yield kind(id=identifier, name=row["name"], source=source, **fields)


def minimum(table: Table) -> int:
    """Persons behind each edge of `table`, at least; 0 where its edges count nobody.

    Raises PlanRefused when the plan does not tell which of the two it is.
    """
    if holds_nodes(table) or _RELATIONS[table.holds] not in MOVING:
        if table.minimum:
            raise PlanRefused(
                f"{table.file}: rows of {table.holds} count nobody, a minimum says nothing of them",
                remedy="leave `minimum` out: it is of flows",
            )
        return 0
    unit, counts = _unit(table), "count" in table.columns
    in_persons = unit == invariants.PERSONS
    if in_persons and counts:
        raise PlanRefused(
            f"{table.file}: the quantity itself counts persons, a count beside it is one too many",
            remedy="leave the column `count` out",
        )
    if in_persons or counts:
        least = invariants.LEAST_PERSONS
        if table.minimum is not None and table.minimum < least:
            raise PlanRefused(
                f"{table.file}: a minimum of {table.minimum} is under {least} persons",
                remedy=f"leave it out, or give {least} or more",
            )
        return least if table.minimum is None else table.minimum
    if table.minimum != 0:
        # Who stands behind a kilowatt-hour cannot be seen in it: the plan's author answers for it.
        raise PlanRefused(
            f"{table.file}: rows in {unit[:40]} do not say how many persons stand behind them",
            remedy="name its column of persons as `count`; or, if they need no floor, say so: "
            "write `minimum = 0`",
        )
    return 0


def edges(table: Table, data: bytes, source: str) -> tuple[list[Link], list[Flow]]:
    """The edges that the rows of `table` state; rows of one edge are added up.

    An edge has a count when each of its rows has one; `graph.invariants.cohort` tells what becomes
    of the others.
    """
    relation = _RELATIONS[table.holds]
    if relation not in MOVING:
        _require_columns(table, ("origin", "target"), ())
        links = {
            (_node(table, row, "origin"), _node(table, row, "target")) for row in _rows(table, data)
        }
        return [Link(relation, *ends, source) for ends in links], []
    gate = relation in {Relation.CONSUMPTION, Relation.PRODUCTION}
    needed = ("origin", "resource", "quantity") + (() if gate else ("target",))
    _require_columns(table, needed, ("count",))
    unit = _unit(table)
    sums: dict[tuple[str, str, str], tuple[Decimal, Decimal | None]] = {}
    for row in _rows(table, data):
        resource = _node(table, row, "resource")
        key = (
            _node(table, row, "origin"),
            resource if gate else _node(table, row, "target"),
            resource,
        )
        quantity, count = sums.get(key, (Decimal(0), Decimal(0)))
        more = _number(table, row, "count") if row.get("count") else None
        sums[key] = (
            quantity + _number(table, row, "quantity"),
            count + more if count is not None and more is not None else None,
        )
    begins, ends = table.period
    flows = [
        Flow(
            relation=relation,
            origin=origin,
            target=target,
            resource=resource,
            quantity=decimals.canonical(quantity),
            unit=unit,
            begins=begins,
            ends=ends,
            source=source,
            lower=None,
            upper=None,
            count=None if count is None else decimals.canonical(count),
        )
        for (origin, target, resource), (quantity, count) in sums.items()
    ]
    return [], flows


def holds_nodes(table: Table) -> bool:
    """Whether its rows are nodes, not edges. Raises PlanRefused for neither."""
    if table.holds in _NODES:
        return True
    if table.holds in _RELATIONS:
        return False
    known = ", ".join([*_NODES, *_RELATIONS])
    raise PlanRefused(f"{table.file} holds {table.holds[:40]!r}; known are {known}")


def _unit(table: Table) -> str:
    if table.unit is None or len(table.period) != 2:
        raise PlanRefused(f"{table.file}: flows need a unit and a period of two days")
    return table.unit


def _rows(table: Table, data: bytes) -> Iterator[dict[str, str]]:
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        present = reader.fieldnames or []
        missing = sorted(set(table.columns.values()) - set(present))
        if missing:
            raise TableRefused(f"{table.file} has no column {', '.join(missing)}")
        for number, row in enumerate(reader):
            if number >= MAXIMUM_ROWS:
                raise TableRefused(f"{table.file} has over {MAXIMUM_ROWS} rows")
            if None in row or None in row.values():
                raise TableRefused(f"{table.file}: row {number + 2} has not as many cells")
            yield {ours: row[theirs].strip() for ours, theirs in table.columns.items()}
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableRefused(f"{table.file} is not CSV in UTF-8: {error}") from error


def _node(table: Table, row: dict[str, str], column: str) -> str:
    cell = row[column]
    codes = table.codes.get(column)
    if codes is not None:
        if cell not in codes:
            raise _refused(table, row, f"{column} {cell!r} is not among the plan's codes")
        cell = codes[cell]
    if ":" in cell:
        return cell
    if column == "resource":
        return f"resource:{cell}"
    kinds = ENDS[_RELATIONS[table.holds]][0 if column == "origin" else 1]
    if len(kinds) != 1:
        raise _refused(table, row, f"{column} {cell!r} may be of several kinds: write kind:code")
    return f"{next(iter(kinds))}:{cell}"


def _number(table: Table, row: dict[str, str], column: str) -> Decimal:
    try:
        number = Decimal(row[column])
    except ArithmeticError as error:
        raise _refused(table, row, f"{column} {row[column]!r} is no number") from error
    if not number.is_finite() or number < 0:
        raise _refused(table, row, f"{column} {row[column]!r} is no amount")
    return number


def _whole(table: Table, row: dict[str, str], cell: str | None) -> int | None:
    if cell is None:
        return None
    if not cell.isascii() or not cell.isdigit() or len(cell) > 12:
        raise _refused(table, row, f"population {cell[:40]!r} is no whole number")
    return int(cell)


def _require_columns(table: Table, needed: tuple[str, ...], optional: tuple[str, ...]) -> None:
    missing = sorted(set(needed) - set(table.columns))
    unknown = sorted(set(table.columns) - set(needed) - set(optional))
    if missing or unknown:
        raise PlanRefused(f"{table.file}: columns lack {missing}, do not know {unknown}")


def _refused(table: Table, row: dict[str, str], what: str) -> TableRefused:
    shown = ", ".join(f"{name} {cell[:30]!r}" for name, cell in list(row.items())[:4])
    return TableRefused(f"{table.file}: {what} (row with {shown})")
