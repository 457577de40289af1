"""The build plan: which tables and releases become which nodes and edges (`plan.toml`).

A plan is data of the authority, kept beside its tables; its digest stands in the graph's
sources. What a plan does not say is not built, and a word that it should not say is refused.
"""

from __future__ import annotations

import dataclasses
import enum
import tomllib
import types
import typing
from dataclasses import dataclass, field
from typing import Any

from graph.errors import PlanRefused
from graph.model import MOVING, ActorKind, Relation, ResourceKind

# A plan names tables and codes; their rows are elsewhere.
MAXIMUM_PLAN_BYTES = 1 << 20


@dataclass(frozen=True)
class Words:
    """One text in the two languages of the screens."""

    fr: str
    en: str


@dataclass(frozen=True)
class About:
    """What the graph is called, and where its own statements come from."""

    name: Words
    attribution: str
    licence: str


@dataclass(frozen=True)
class InlineNode:
    """A node that the plan itself states; the fields are those of its kind."""

    id: str
    name: str
    code: str | None = None
    longitude: str | None = None
    latitude: str | None = None
    population: int | None = None
    kind: ActorKind | None = None
    activity: str | None = None
    operation: str | None = None


@dataclass(frozen=True)
class InlineResource:
    """A resource beyond the ways to work, which every graph knows."""

    id: str
    name: Words
    kind: ResourceKind
    concept: str | None = None
    factor: str | None = None  # of those that graph/factors.py cites, as in electricity-fr


@dataclass(frozen=True)
class InlineLink:
    """A relation that the plan itself states."""

    relation: Relation
    origin: str
    target: str


@dataclass(frozen=True)
class Reference:
    """Where a figure of the plan was published."""

    title: str
    attribution: str
    licence: str


@dataclass(frozen=True)
class InlineFactor:
    """Greenhouse gases per unit of a resource, in place of a cited factor if there is one."""

    resource: str
    value: str
    low: str
    high: str
    unit: str  # as in kgCO2e/kWh: one of concepts.FACTOR_UNITS
    reference: Reference


@dataclass(frozen=True)
class Limit:
    """The limit that the territory set itself for a dimension of the doughnut."""

    objective: str
    limit: str
    unit: str
    reference: Reference


@dataclass(frozen=True)
class Table:
    """An open data table in CSV; `holds` is a kind of node or a relation."""

    file: str
    holds: str
    series: str
    title: str
    attribution: str
    licence: str
    columns: dict[str, str]  # our column -> the table's
    codes: dict[str, dict[str, str]] = field(default_factory=dict)  # our column -> cell -> id
    within: str | None = None  # a node that every row of nodes belongs to
    unit: str | None = None
    period: tuple[str, ...] = ()
    minimum: int | None = None  # persons behind a flow, at least; 0 where its rows count nobody


@dataclass(frozen=True)
class ReleasePlan:
    """One array of a bundle's released reports, read as edges."""

    bundle: str  # its name
    array: str
    relation: Relation
    axes: tuple[str, ...]  # of `origin`, `target`, `resource`, in the array's order
    labels: dict[str, tuple[str, ...]]  # per axis the node of each label, in order
    period: tuple[str, ...]
    unit: str = "persons"
    fixed: dict[str, str] = field(default_factory=dict)  # ends that no axis tells
    counts: str | None = None  # the array of persons behind each cell, where cells are no persons
    licence: str = "Licence Ouverte 2.0"


@dataclass(frozen=True)
class Plan:
    """Everything that one graph is built from."""

    graph: About
    nodes: tuple[InlineNode, ...] = ()
    resources: tuple[InlineResource, ...] = ()
    links: tuple[InlineLink, ...] = ()
    factors: tuple[InlineFactor, ...] = ()
    limits: tuple[Limit, ...] = ()
    tables: tuple[Table, ...] = ()
    releases: tuple[ReleasePlan, ...] = ()


def read(raw: bytes) -> Plan:
    """The plan in `raw` (TOML). Raises PlanRefused naming the place and what was expected."""
    if len(raw) > MAXIMUM_PLAN_BYTES:
        raise PlanRefused(f"the plan has over {MAXIMUM_PLAN_BYTES} bytes")
    try:
        fields = tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise PlanRefused(f"the plan is not TOML in UTF-8: {error}") from error
    plan: Plan = _build(Plan, fields, "plan")
    for number, release in enumerate(plan.releases):
        _check_axes(release, f"plan.releases[{number}]")
    return plan


def _check_axes(release: ReleasePlan, where: str) -> None:
    if release.relation not in MOVING:
        raise PlanRefused(f"{where}: a release is a quantity, {release.relation.value} moves none")
    gate = release.relation in {Relation.CONSUMPTION, Relation.PRODUCTION}
    ends = {"origin", "resource"} | (set() if gate else {"target"})
    told = (*release.axes, *release.fixed)
    if len(set(told)) != len(told) or set(told) != ends:
        raise PlanRefused(
            f"{where}: axes and fixed tell {', '.join(sorted(ends))} once each, no other"
        )
    if set(release.labels) != set(release.axes):
        raise PlanRefused(f"{where}: labels names the nodes of exactly the axes")
    if len(release.period) != 2:
        raise PlanRefused(f"{where}: period is a first and a last day")
    if release.unit != "persons" and release.counts is None:
        raise PlanRefused(
            f"{where}: cells in {release.unit[:40]} do not say how many persons stand behind them",
            remedy="name the report's array of persons in `counts`",
        )


def _build(kind: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in {typing.Union, types.UnionType}:
        return _build(typing.get_args(kind)[0], value, where)
    if origin is tuple:
        _expect(isinstance(value, list), where, "a list")
        item = typing.get_args(kind)[0]
        return tuple(_build(item, entry, f"{where}[{i}]") for i, entry in enumerate(value))
    if origin is dict:
        _expect(isinstance(value, dict), where, "a table")
        item = typing.get_args(kind)[1]
        return {name: _build(item, entry, f"{where}.{name}") for name, entry in value.items()}
    if dataclasses.is_dataclass(kind):
        return _section(kind, value, where)
    if kind is int:
        _expect(isinstance(value, int) and not isinstance(value, bool), where, "a whole number")
        return value
    _expect(isinstance(value, str) and bool(value), where, "a text")
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        choices = [str(member.value) for member in kind]
        _expect(value in choices, where, f"one of {', '.join(choices)}")
        return kind(value)
    return value


def _section(kind: Any, value: Any, where: str) -> Any:
    _expect(isinstance(value, dict), where, "a table")
    hints = typing.get_type_hints(kind)
    required = {
        entry.name
        for entry in dataclasses.fields(kind)
        if entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
    }
    missing, unknown = sorted(required - set(value)), sorted(set(value) - set(hints))
    if missing or unknown:
        raise PlanRefused(f"{where}: missing {missing}, unknown {unknown[:5]}")
    return kind(
        **{name: _build(hints[name], entry, f"{where}.{name}") for name, entry in value.items()}
    )


def _expect(condition: bool, where: str, what: str) -> None:  # noqa: FBT001
    if not condition:
        raise PlanRefused(f"{where}: expected {what}")
