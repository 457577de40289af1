"""From a build plan, open tables and verified releases to one sound graph.

Pure: what was read goes in, a graph comes out, the same bytes for the same input and moment.
An edge with fewer persons than its source's minimum, or without the count that would tell, is left
out and counted in the source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from graph import concepts, contributed, decimals, factors, invariants, ontology, opentables
from graph.concepts import Dimension
from graph.errors import PlanRefused
from graph.model import (
    FORMAT,
    Action,
    Actor,
    ActorKind,
    Factor,
    Link,
    Node,
    Objective,
    Place,
    Relation,
    Resource,
    ResourceKind,
    Source,
    SourceKind,
    Territory,
    TerritoryGraph,
    flow_key,
    kind_of,
    link_key,
)
from graph.plan import InlineFactor, InlineNode, Limit, Plan, Reference, Table
from graph.releases import VerifiedRelease
from graph.yard import Yard, cited
from trust.ids import Digest

N = TypeVar("N", bound=Node)
_PLAN = "source:plan"
_ONTOLOGY = "source:ontology"
_FACTORS = "source:factors"
_ENERGY = "source:factors.energy"


def build(
    plan: Plan,
    plan_bytes: bytes,
    tables: Mapping[str, bytes],
    releases: Sequence[VerifiedRelease],
    *,
    territory: str,
    dated: datetime,
) -> TerritoryGraph:
    """The graph of `territory` (its name in the root) as of `dated`.

    `tables` are the plan's open tables by file name. Raises PlanRefused, TableRefused,
    ReleaseUnfit, GraphInvalid or CohortBroken.
    """
    yard = Yard()
    _common_knowledge(yard, plan.limits)
    _stated(yard, plan, plan_bytes)
    for table in plan.tables:
        _table(yard, table, tables[table.file])
    for entry in plan.releases:
        contributed.add_release(yard, entry, releases)
    graph = TerritoryGraph(
        format=FORMAT,
        territory=territory,
        name_fr=plan.graph.name.fr,
        name_en=plan.graph.name.en,
        dated=dated.replace(microsecond=0),
        ontology=ontology.digest(),
        territories=_sorted(yard, Territory),
        places=_sorted(yard, Place),
        actors=_sorted(yard, Actor),
        resources=_sorted(yard, Resource),
        actions=_sorted(yard, Action),
        objectives=_sorted(yard, Objective),
        links=tuple(sorted(yard.links.values(), key=link_key)),
        flows=tuple(sorted(yard.flows, key=flow_key)),
        factors=tuple(sorted(yard.factors.values(), key=lambda factor: factor.resource)),
        sources=tuple(sorted(yard.sources.values(), key=lambda source: source.id)),
    )
    invariants.check(graph)
    return graph


def _common_knowledge(yard: Yard, limits: Sequence[Limit]) -> None:
    """What every graph knows: ways to work with their factors, the doughnut's dimensions."""
    nomenclatures = Reference(
        "Dimensions du doughnut et modes du recensement",
        "Raworth; Fanning et Raworth; INSEE",
        "faits",
    )
    figures = Reference(factors.TITLE, factors.ATTRIBUTION, factors.LICENCE)
    yard.add_source(cited(_ONTOLOGY, nomenclatures, ontology.digest()))
    yard.add_source(cited(_FACTORS, figures, None))
    for mode in concepts.MODES:
        words = (mode.name_fr, mode.name_en, ResourceKind.PEOPLE, f"mode:{mode.code}")
        yard.add_node(Resource(f"resource:mode.{mode.code}", *words, _ONTOLOGY))
    for line in factors.MODE_FACTORS:
        resource = f"resource:mode.{line.mode}"
        values = (line.value, line.low, line.high, factors.UNIT)
        yard.factors[resource] = Factor(resource, *values, _FACTORS)
    declared = {limit.objective: limit for limit in limits}
    if len(declared) != len(limits):
        raise PlanRefused("two limits are given for one objective")
    unknown = set(declared) - {dimension.code for dimension in concepts.DIMENSIONS}
    if unknown:
        raise PlanRefused(f"{', '.join(sorted(unknown))[:80]!r} is no dimension of the doughnut")
    for dimension in concepts.DIMENSIONS:
        yard.add_node(_objective(yard, dimension, declared.get(dimension.code)))


def _objective(yard: Yard, dimension: Dimension, limit: Limit | None) -> Objective:
    name = f"objective:{dimension.code}"
    about = (dimension.name_fr, dimension.name_en, dimension.side)
    if limit is None:
        return Objective(name, *about, None, None, _ONTOLOGY)
    source = f"source:limit.{dimension.code}"
    yard.add_source(cited(source, limit.reference, None))
    return Objective(name, *about, decimals.canonical(limit.limit), limit.unit, source)


def _stated(yard: Yard, plan: Plan, plan_bytes: bytes) -> None:
    """What the plan itself says."""
    about = plan.graph
    origin = Reference(about.name.fr, about.attribution, about.licence)
    yard.add_source(cited(_PLAN, origin, Digest.of(plan_bytes)))
    for entry in plan.nodes:
        yard.add_node(_inline(entry))
    for item in plan.resources:
        words = (item.name.fr, item.name.en)
        yard.add_node(Resource(item.id, *words, item.kind, item.concept, _PLAN))
        if item.factor is not None:
            _cited_factor(yard, item.id, item.factor)
    for own in plan.factors:
        _own_factor(yard, own)
    for link in plan.links:
        yard.add_link(Link(link.relation, link.origin, link.target, _PLAN))


def _cited_factor(yard: Yard, resource: str, name: str) -> None:
    line = factors.ENERGY_FACTORS.get(name)
    if line is None:
        raise PlanRefused(
            f"{resource[:60]}: {name[:40]!r} is no factor that is known here",
            remedy=f"name one of {', '.join(factors.ENERGY_FACTORS)}, or declare your own under "
            "[[factors]]",
        )
    if _ENERGY not in yard.sources:
        figures = Reference(factors.ENERGY_TITLE, factors.ATTRIBUTION, factors.LICENCE)
        yard.add_source(cited(_ENERGY, figures, None))
    values = (line.value, line.value, line.value, line.unit)
    yard.factors[resource] = Factor(resource, *values, _ENERGY)


def _own_factor(yard: Yard, own: InlineFactor) -> None:
    if own.unit not in concepts.FACTOR_UNITS:
        raise PlanRefused(
            f"the factor of {own.resource[:60]} is in {own.unit[:40]!r}",
            remedy=f"convert it to one of {', '.join(concepts.FACTOR_UNITS)}",
        )
    source = f"source:factor.{own.resource.partition(':')[2]}"
    yard.add_source(cited(source, own.reference, None))
    value, low, high = map(decimals.canonical, (own.value, own.low, own.high))
    yard.factors[own.resource] = Factor(own.resource, value, low, high, own.unit, source)


def _table(yard: Yard, table: Table, data: bytes) -> None:
    source = Source(
        id=f"source:{table.series}",
        kind=SourceKind.TABLE,
        series=table.series,
        title=table.title,
        attribution=table.attribution,
        licence=table.licence,
        digest=Digest.of(data),
        minimum=opentables.minimum(table),
        withheld=0,
    )
    yard.add_source(source)
    if opentables.holds_nodes(table):
        for node in opentables.nodes(table, data, source.id):
            yard.add_node(node)
            if table.within is not None:
                yard.add_link(Link(Relation.BELONGING, node.id, table.within, source.id))
        return
    links, flows = opentables.edges(table, data, source.id)
    for link in links:
        yard.add_link(link)
    yard.add_flows(flows, source)


def _inline(entry: InlineNode) -> Node:
    match kind_of(entry.id):
        case "territory":
            return Territory(entry.id, entry.name, entry.code, _PLAN)
        case "place":
            east, north = (
                None if text is None else decimals.canonical(text)
                for text in (entry.longitude, entry.latitude)
            )
            return Place(entry.id, entry.name, entry.code, east, north, entry.population, _PLAN)
        case "actor":
            kind = entry.kind or ActorKind.ORGANISATION
            return Actor(entry.id, entry.name, kind, entry.activity, _PLAN)
        case "action":
            return Action(entry.id, entry.name, entry.operation, _PLAN)
        case _:
            raise PlanRefused(
                f"{entry.id[:60]!r} is no territory, place, actor or action",
                remedy="write kind:code; resources stand under [[resources]]",
            )


def _sorted(yard: Yard, kind: type[N]) -> tuple[N, ...]:
    found = [node for node in yard.nodes.values() if isinstance(node, kind)]
    return tuple(sorted(found, key=lambda node: node.id))
