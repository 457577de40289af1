"""The ontology's typed view: the nodes, relations and sources of a territory's graph.

Every class is flat (texts, whole numbers, nothing), so that one row of a table, one element of
GraphML and one subject in Turtle say the same thing. Names and their meanings are those of
`graph/ontology/cadastre.ttl`; a test compares the two. Quantities are decimal texts
(`graph.decimals`), dates ISO 8601 days.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from trust.ids import Digest

FORMAT = "cadastre-graph-v1"


class Relation(enum.StrEnum):
    """How two nodes are related; the last four move a quantity."""

    BELONGING = "belonging"
    PARTICIPATION = "participation"
    INTEREST = "interest"
    TRANSACTION = "transaction"
    CONSUMPTION = "consumption"
    PRODUCTION = "production"
    COMMUTING = "commuting"


MOVING = frozenset(
    {Relation.TRANSACTION, Relation.CONSUMPTION, Relation.PRODUCTION, Relation.COMMUTING}
)


class ActorKind(enum.StrEnum):
    """Who acts. A person is never a node: residents are groups."""

    GROUP = "group"
    ORGANISATION = "organisation"
    AUTHORITY = "authority"


class ResourceKind(enum.StrEnum):
    """What flows."""

    PEOPLE = "people"
    MATTER = "matter"
    ENERGY = "energy"
    WATER = "water"
    GOODS = "goods"
    SERVICE = "service"


class Side(enum.StrEnum):
    """On which side of the doughnut an objective stands."""

    FLOOR = "floor"
    CEILING = "ceiling"


class SourceKind(enum.StrEnum):
    """Where a statement comes from."""

    RELEASE = "release"  # contributed data: noised, voted, signed
    TABLE = "table"  # open data
    REFERENCE = "reference"  # figures that are cited: factors, limits, nomenclatures


@dataclass(frozen=True)
class Territory:
    """An administrative or functional area."""

    KIND: ClassVar[str] = "territory"

    id: str
    name: str
    code: str | None
    source: str


@dataclass(frozen=True)
class Place:
    """Somewhere in or around a territory; without coordinates it is no single point."""

    KIND: ClassVar[str] = "place"

    id: str
    name: str
    code: str | None  # of the official geographic code
    longitude: str | None  # of a central point, degrees in WGS 84
    latitude: str | None
    population: int | None
    source: str


@dataclass(frozen=True)
class Actor:
    """Who acts in a territory: a group of residents, an organisation, an authority."""

    KIND: ClassVar[str] = "actor"

    id: str
    name: str
    kind: ActorKind
    activity: str | None  # a NAF code, as in naf:38.32Z
    source: str


@dataclass(frozen=True)
class Resource:
    """A category of what flows: people by mode, a kind of waste, a form of energy."""

    KIND: ClassVar[str] = "resource"

    id: str
    name_fr: str
    name_en: str
    kind: ResourceKind
    concept: str | None  # of a nomenclature, as in mode:car or ewc:200108
    source: str


@dataclass(frozen=True)
class Action:
    """What actors undertake for the ecology of the territory: a synergy, a project."""

    KIND: ClassVar[str] = "action"

    id: str
    name: str
    operation: str | None  # recovery or disposal, as in rd:R3
    source: str


@dataclass(frozen=True)
class Objective:
    """A dimension of the doughnut, with the limit that the territory set itself, if any."""

    KIND: ClassVar[str] = "objective"

    id: str
    name_fr: str
    name_en: str
    side: Side
    limit: str | None
    unit: str | None  # of the limit: that of the indicator it is compared with
    source: str  # of the limit, or of the list of dimensions


@dataclass(frozen=True)
class Link:
    """A relation that moves nothing: belonging, participation, interest."""

    relation: Relation
    origin: str
    target: str
    source: str


@dataclass(frozen=True)
class Flow:
    """A quantity of a resource that moved from `origin` to `target` within a period."""

    relation: Relation
    origin: str
    target: str  # the resource itself for consumption and production
    resource: str
    quantity: str
    unit: str
    begins: str  # first and last day of the period
    ends: str
    source: str
    lower: str | None  # the release's 95 % band; None where the source states none
    upper: str | None
    count: str | None  # how many persons stand behind it, as far as the source says


@dataclass(frozen=True)
class Factor:
    """Greenhouse gases per unit of use of a resource, with the range of what it covers."""

    resource: str
    value: str
    low: str
    high: str
    unit: str
    source: str


@dataclass(frozen=True)
class Source:
    """Where statements come from, and what was left out of them."""

    KIND: ClassVar[str] = "source"

    id: str
    kind: SourceKind
    series: str  # what recurs from one edition to the next
    title: str
    attribution: str
    licence: str
    digest: Digest | None  # of the release's envelope or the table's bytes
    minimum: int  # persons behind an edge, at least; 0 where no persons are counted
    withheld: int  # edges left out because they were below it, or did not say


Node = Territory | Place | Actor | Resource | Action | Objective


@dataclass(frozen=True)
class TerritoryGraph:
    """Everything, as of one moment; every tuple is sorted and free of repetitions."""

    format: str
    territory: str  # the name in the territory root
    name_fr: str
    name_en: str
    dated: datetime
    ontology: Digest
    territories: tuple[Territory, ...]
    places: tuple[Place, ...]
    actors: tuple[Actor, ...]
    resources: tuple[Resource, ...]
    actions: tuple[Action, ...]
    objectives: tuple[Objective, ...]
    links: tuple[Link, ...]
    flows: tuple[Flow, ...]
    factors: tuple[Factor, ...]
    sources: tuple[Source, ...]

    def nodes(self) -> Iterator[Node]:
        """Every node, kind after kind."""
        yield from self.territories
        yield from self.places
        yield from self.actors
        yield from self.resources
        yield from self.actions
        yield from self.objectives


# Which kinds of node each relation may join.
ENDS: dict[Relation, tuple[frozenset[str], frozenset[str]]] = {
    Relation.BELONGING: (
        frozenset({"territory", "place", "actor"}),
        frozenset({"territory", "place", "actor"}),
    ),
    Relation.PARTICIPATION: (frozenset({"actor"}), frozenset({"action"})),
    Relation.INTEREST: (frozenset({"actor", "action"}), frozenset({"objective", "resource"})),
    Relation.TRANSACTION: (frozenset({"actor"}), frozenset({"actor"})),
    Relation.CONSUMPTION: (frozenset({"actor", "place"}), frozenset({"resource"})),
    Relation.PRODUCTION: (frozenset({"actor", "place"}), frozenset({"resource"})),
    Relation.COMMUTING: (frozenset({"place"}), frozenset({"place"})),
}


def kind_of(node: str) -> str:
    """The kind in a node's id: `place` of `place:93066`."""
    return node.partition(":")[0]


def flow_key(flow: Flow) -> tuple[str, str, str, str, str]:
    """What makes a flow this one and no other within its graph."""
    return (flow.source, flow.relation.value, flow.origin, flow.target, flow.resource)


def link_key(link: Link) -> tuple[str, str, str]:
    """What makes a link this one and no other within its graph."""
    return (link.relation.value, link.origin, link.target)
