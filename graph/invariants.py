"""What holds in every graph, checked before one is signed and again by whoever reads it.

These checks need nothing but the document. The SHACL shapes say in RDF what concerns one
statement: its fields, their forms and ranges, the kinds of node that a relation joins. The minimum
cohort is checked here alone, and so is what a shape cannot see or would have to list: the order of
rows, one edition of a series, fields that stand together or not at all, ids that tell their kind,
known codes and units, the letters of a text, the digest of what a source was read from.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import Any

from graph import concepts, decimals, factors, nomenclatures
from graph.errors import CohortBroken, GraphInvalid
from graph.model import (
    ENDS,
    FORMAT,
    MOVING,
    Action,
    Actor,
    Factor,
    Flow,
    Link,
    Node,
    Objective,
    Place,
    Relation,
    Resource,
    ResourceKind,
    Source,
    SourceKind,
    TerritoryGraph,
    flow_key,
    kind_of,
    link_key,
)

# An open table that counts persons has the same floor as the built-in bundles' releases.
LEAST_PERSONS = 20
PERSONS = "persons"
MAXIMUM_TEXT = 300  # letters of a name or a title
_ID = re.compile(r"[a-z]+:[A-Za-z0-9][A-Za-z0-9._-]{0,119}", re.ASCII)


def check(graph: TerritoryGraph) -> None:
    """Return when `graph` is sound. Raises GraphInvalid or CohortBroken naming the first fault."""
    if graph.format != FORMAT:
        raise GraphInvalid(
            f"the graph's format is {graph.format[:40]!r}, this release reads {FORMAT}"
        )
    sources = {source.id: source for source in graph.sources}
    _ordered(graph.sources, lambda source: source.id, "sources")
    for source in graph.sources:
        _source(source)
    series = [source.series for source in graph.sources]
    if len(set(series)) != len(series):
        raise GraphInvalid("two sources are editions of one series: a dated graph holds one")
    nodes = _nodes(graph, sources)
    _ordered(graph.links, link_key, "links")
    for link in graph.links:
        _relation(link, nodes, sources)
        if link.relation in MOVING:
            raise GraphInvalid(f"{_name(link)} moves something: it needs a quantity")
        source = sources[link.source]
        if source.kind is SourceKind.RELEASE or source.minimum > 0:
            # A link carries no count: nobody could tell how many stand behind it.
            raise _uncounted(link, source)
    _ordered(graph.flows, flow_key, "flows")
    for flow in graph.flows:
        _relation(flow, nodes, sources)
        _flow(flow, nodes)
        cohort(flow, sources[flow.source])
    _ordered(graph.factors, lambda factor: factor.resource, "factors")
    for factor in graph.factors:
        _factor(factor, nodes, sources)


def cohort(flow: Flow, source: Source) -> None:
    """Raise CohortBroken when fewer persons stand behind `flow` than its source demands.

    A flow that does not say how many is as one of too few. Only an open table whose source states
    a minimum of 0 counts nobody: then the build plan said so (`minimum = 0`).
    """
    counted = flow.quantity if flow.unit == PERSONS else flow.count
    if counted is None:
        if source.kind is SourceKind.RELEASE or source.minimum > 0:
            raise _uncounted(flow, source)
        return
    least = max(source.minimum, 0 if source.kind is SourceKind.RELEASE else LEAST_PERSONS)
    if decimals.require(counted, _name(flow)) < least:
        raise CohortBroken(f"{_name(flow)} counts {counted} persons, under the minimum of {least}")


def _uncounted(edge: Link | Flow, source: Source) -> CohortBroken:
    if source.kind is SourceKind.RELEASE:
        return CohortBroken(f"{_name(edge)} comes from contributed data without a count")
    return CohortBroken(
        f"{_name(edge)} comes without a count from {source.id}, where at least {source.minimum} "
        "persons stand behind an edge"
    )


def _nodes(graph: TerritoryGraph, sources: dict[str, Source]) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for table in ("territories", "places", "actors", "resources", "actions", "objectives"):
        rows: tuple[Node, ...] = getattr(graph, table)
        _ordered(rows, lambda row: row.id, table)
        for row in rows:
            _identifier(row.id, row.KIND)
            for field in ("name", "name_fr", "name_en"):
                _text(getattr(row, field, None), row.id)
            if row.source not in sources:
                raise GraphInvalid(f"{row.id}: its source {row.source[:60]!r} is not in the graph")
            found[row.id] = row
            _own_fields(row)
    return found


def _own_fields(node: Node) -> None:
    match node:
        case Place():
            _located(node.id, node.longitude, node.latitude)
            if node.population is not None and node.population < 0:
                raise GraphInvalid(f"{node.id} has a negative population")
        case Actor():
            _concept(node.id, node.activity, "naf")
        case Resource():
            _concept(node.id, node.concept, "mode", "ewc", "naf")
        case Action():
            _concept(node.id, node.operation, "rd")
        case Objective():
            if (node.limit is None) != (node.unit is None):
                raise GraphInvalid(f"{node.id}: a limit and its unit stand together")
            if node.limit is not None and node.unit is not None:
                decimals.require(node.limit, node.id)
                _unit(node.unit, node.id, concepts.UNITS.keys() | concepts.RATES)


def _source(source: Source) -> None:
    _identifier(source.id, source.KIND)
    for text in (source.series, source.title, source.attribution, source.licence):
        _text(text, source.id)
    if source.minimum < 0 or source.withheld < 0:
        raise GraphInvalid(f"{source.id} counts below nothing")
    if source.kind is not SourceKind.REFERENCE and source.digest is None:
        raise GraphInvalid(f"{source.id} does not say which bytes it was read from")


def _relation(edge: Link | Flow, nodes: dict[str, Node], sources: dict[str, Source]) -> None:
    origins, targets = ENDS[edge.relation]
    for end, kinds in ((edge.origin, origins), (edge.target, targets)):
        if end not in nodes:
            raise GraphInvalid(f"{_name(edge)}: {end[:60]!r} is no node of the graph")
        if kind_of(end) not in kinds:
            raise GraphInvalid(
                f"{_name(edge)}: {edge.relation.value} joins no {kind_of(end)} on that side"
            )
    if edge.origin == edge.target and edge.relation is not Relation.COMMUTING:
        raise GraphInvalid(f"{_name(edge)} joins a node with itself")
    if edge.source not in sources:
        raise GraphInvalid(f"{_name(edge)}: its source {edge.source[:60]!r} is not in the graph")


def _flow(flow: Flow, nodes: dict[str, Node]) -> None:
    if flow.relation not in MOVING:
        raise GraphInvalid(f"{_name(flow)} is a relation that moves nothing")
    if flow.resource not in nodes or kind_of(flow.resource) != "resource":
        raise GraphInvalid(f"{_name(flow)}: {flow.resource[:60]!r} is no resource of the graph")
    if kind_of(flow.target) == "resource" and flow.target != flow.resource:
        raise GraphInvalid(f"{_name(flow)} consumes or produces another resource than it names")
    _unit(flow.unit, _name(flow), concepts.UNITS.keys())
    quantity = decimals.require(flow.quantity, _name(flow))
    if quantity < 0:
        raise GraphInvalid(f"{_name(flow)} moves less than nothing")
    if (flow.lower is None) != (flow.upper is None):
        raise GraphInvalid(f"{_name(flow)} has half a band")
    if flow.lower is not None and flow.upper is not None:
        lower, upper = (decimals.require(end, _name(flow)) for end in (flow.lower, flow.upper))
        if not lower <= quantity <= upper:
            raise GraphInvalid(f"{_name(flow)} lies outside its own band")
    if _day(flow.begins, flow) > _day(flow.ends, flow):
        raise GraphInvalid(f"{_name(flow)} ends before it begins")


def _factor(factor: Factor, nodes: dict[str, Node], sources: dict[str, Source]) -> None:
    where = f"factor of {factor.resource[:60]}"
    if factor.resource not in nodes or factor.source not in sources:
        raise GraphInvalid(f"{where}: its resource or source is not in the graph")
    _unit(factor.unit, where, concepts.FACTOR_UNITS)
    node = nodes[factor.resource]
    people = isinstance(node, Resource) and node.kind is ResourceKind.PEOPLE
    if people and factor.unit != factors.UNIT:
        raise GraphInvalid(f"{where}: a way of travel is counted in {factors.UNIT}")
    low, value, high = (
        decimals.require(text, where) for text in (factor.low, factor.value, factor.high)
    )
    if not Decimal(0) <= low <= value <= high:
        raise GraphInvalid(f"{where}: its range does not hold its value")


def _ordered(rows: Iterable[Any], key: Callable[[Any], object], table: str) -> None:
    keys: list[Any] = [key(row) for row in rows]
    if any(first >= second for first, second in itertools.pairwise(keys)):
        raise GraphInvalid(f"the {table} are not sorted, or one stands there twice")


def _identifier(text: str, kind: str) -> None:
    if not _ID.fullmatch(text) or kind_of(text) != kind:
        raise GraphInvalid(
            f"{text[:60]!r} is no id of a {kind}", remedy=f"write {kind}: and letters or digits"
        )


def _text(text: str | None, where: str) -> None:
    if text is not None and not (0 < len(text) <= MAXIMUM_TEXT and all(map(_seen, text))):
        raise GraphInvalid(
            f"{where}: a text has 1 to {MAXIMUM_TEXT} printable letters, not {text[:40]!r}"
        )


def _seen(letter: str) -> bool:
    # Spaces of every width are letters here: French needs the narrow ones.
    return letter.isprintable() or unicodedata.category(letter) == "Zs"


def _located(place: str, longitude: str | None, latitude: str | None) -> None:
    if (longitude is None) != (latitude is None):
        raise GraphInvalid(f"{place} has half a position")
    if longitude is not None and latitude is not None:
        east, north = decimals.require(longitude, place), decimals.require(latitude, place)
        if not (abs(east) <= 180 and abs(north) <= 90):
            raise GraphInvalid(f"{place} lies nowhere on Earth")


def _concept(node: str, concept: str | None, *schemes: str) -> None:
    if concept is not None and not nomenclatures.is_concept(concept, *schemes):
        raise GraphInvalid(
            f"{node}: {concept[:40]!r} is no code of {' or '.join(schemes)}",
            remedy="correct the code where the node is stated; docs/ontology.md says which "
            "nomenclatures are known, in which edition",
        )


def _unit(unit: str, where: str, known: Iterable[str]) -> None:
    if unit not in set(known):
        raise GraphInvalid(f"{where}: {unit[:40]!r} is no unit here")


def _day(text: str, flow: Flow) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise GraphInvalid(f"{_name(flow)}: {text[:40]!r} is no day") from error
    if day.isoformat() != text:
        raise GraphInvalid(f"{_name(flow)}: {text[:40]!r} is not written as 2026-11-22")
    return day


def _name(edge: Link | Flow) -> str:
    return f"{edge.relation.value} {edge.origin[:60]} -> {edge.target[:60]}"
