"""The graph in RDF and back: what Turtle exports and what the shapes are held against.

Subjects are IRIs under the territory's own name; each property is the column's, in camel case.
What other vocabularies read directly is said in their words as well: a point's WKT, a unit of
QUDT, the concept that a nomenclature's code stands for (its IRI, notation and scheme).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from rdflib import RDF, SKOS, XSD, Graph, Literal, Namespace, URIRef
from rdflib.term import Node

from graph import concepts, decimals, nomenclatures, ontology, rows
from graph.errors import GraphInvalid
from graph.model import Factor, Flow, Link, Place, TerritoryGraph

CAD = Namespace(ontology.NAMESPACE)
GEO = Namespace("http://www.opengis.net/ont/geosparql#")
QUDT = Namespace("http://qudt.org/schema/qudt/")
_DECIMALS = frozenset(
    {"longitude", "latitude", "quantity", "lower", "upper", "count", "value", "low", "high"}
    | {"limit"}
)
_DAYS = frozenset({"begins", "ends"})
_REFERENCES = frozenset({"origin", "target", "resource", "source"})
_HUMP = re.compile("_([a-z])")


def to_rdf(graph: TerritoryGraph) -> Graph:
    """Every statement of `graph`."""
    store = Graph()
    for prefix, namespace in (("cad", CAD), ("geo", GEO), ("qudt", QUDT), ("skos", SKOS)):
        store.bind(prefix, namespace)
    base = _base(graph.territory)
    store.bind("", base)
    subject = URIRef(base + "graph")
    store.add((subject, RDF.type, CAD.TerritoryGraph))
    for name, text in rows.head_of(graph).items():
        store.add((subject, _property(name), Literal(text)))
    for table in rows.tables():
        for item in getattr(graph, table):
            _describe(store, base, item)
    return store


def turtle(graph: TerritoryGraph) -> bytes:
    """The graph as Turtle in UTF-8; the same graph gives the same bytes."""
    text = to_rdf(graph).serialize(format="turtle", encoding="utf-8")
    return bytes(text)


def from_turtle(data: bytes) -> TerritoryGraph:
    """The graph that `turtle` wrote. Raises GraphInvalid."""
    store = Graph()
    try:
        store.parse(data=data, format="turtle")
    except Exception as error:
        raise GraphInvalid(f"this is not Turtle: {error}"[:300]) from error
    subjects = list(store.subjects(RDF.type, CAD.TerritoryGraph))
    if len(subjects) != 1:
        raise GraphInvalid("one graph of a territory was expected in the file")
    head = {
        name: str(store.value(subjects[0], _property(name)))
        for name in ("format", "territory", "name_fr", "name_en", "dated", "ontology")
    }
    found: dict[str, list[dict[str, Any]]] = {}
    for table, kind in rows.tables().items():
        items = [
            _row(store, node, kind)
            for cls in _classes(kind)
            for node in store.subjects(RDF.type, cls)
        ]
        found[table] = sorted(items, key=lambda row: _order(kind, row))
    return rows.graph_of(head, found)


def _describe(store: Graph, base: str, item: Any) -> None:
    subject = _subject(base, item)
    store.add((subject, RDF.type, _class_of(item)))
    for name, cell in rows.row_of(item).items():
        if cell is not None:
            store.add((subject, _property(name), _object(base, name, cell)))
    concept = nomenclatures.concept_of(nomenclatures.code_of(item))
    if concept is not None:
        _classify(store, subject, concept)
    if isinstance(item, Flow):
        store.add((subject, QUDT.unit, URIRef(concepts.UNITS[item.unit])))
    if isinstance(item, Place) and item.longitude is not None:
        point = URIRef(f"{subject}/point")
        wkt = f"POINT({item.longitude} {item.latitude})"
        store.add((subject, GEO.hasGeometry, point))
        store.add((point, RDF.type, GEO.Geometry))
        store.add((point, GEO.asWKT, Literal(wkt, datatype=GEO.wktLiteral)))


def _classify(store: Graph, subject: URIRef, concept: nomenclatures.Concept) -> None:
    iri = URIRef(concept.iri)
    store.add((subject, CAD.classifiedAs, iri))
    store.add((iri, RDF.type, SKOS.Concept))
    store.add((iri, SKOS.notation, Literal(concept.notation)))
    store.add((iri, SKOS.inScheme, URIRef(concept.scheme)))


def _row(store: Graph, subject: Node, kind: type[Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in rows.columns(kind):
        values = list(store.objects(subject, _property(name)))
        if len(values) > 1:
            raise GraphInvalid(f"{subject} has two values of {name}")
        if not values:
            row[name] = None
        elif name in _REFERENCES and isinstance(values[0], URIRef):
            row[name] = str(store.value(values[0], CAD.id) or "")
        elif name in _DECIMALS:
            row[name] = decimals.canonical(str(values[0]))
        else:
            row[name] = str(values[0])
    return row


def _order(kind: type[Any], row: dict[str, Any]) -> tuple[str, ...]:
    if kind is Flow:
        names = ["source", "relation", "origin", "target", "resource"]
    elif kind is Link:
        names = ["relation", "origin", "target"]
    elif kind is Factor:
        names = ["resource"]
    else:
        names = ["id"]
    return tuple(str(row[name]) for name in names)


def _class_of(item: Any) -> URIRef:
    name = item.relation.value.capitalize() if isinstance(item, Link | Flow) else None
    return CAD[name or type(item).__name__]


def _classes(kind: type[Any]) -> Iterator[URIRef]:
    if kind is Link:
        yield from (CAD.Belonging, CAD.Participation, CAD.Interest)
    elif kind is Flow:
        yield from (CAD.Transaction, CAD.Consumption, CAD.Production, CAD.Commuting)
    else:
        yield CAD[kind.__name__]


def _subject(base: str, item: Any) -> URIRef:
    identifier = getattr(item, "id", None)
    if identifier is not None:
        return _iri(base, identifier)
    if isinstance(item, Factor):
        return URIRef(f"{base}factor/{quote(item.resource, safe='')}")
    key = "\n".join(
        (
            getattr(item, "source", ""),
            item.relation.value,
            item.origin,
            item.target,
            getattr(item, "resource", ""),
        )
    )
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    return URIRef(f"{base}{'flow' if isinstance(item, Flow) else 'link'}/{name}")


def _object(base: str, name: str, cell: str | int) -> Node:
    if name in _REFERENCES:
        return _iri(base, str(cell))
    if isinstance(cell, int):
        return Literal(cell, datatype=XSD.integer)
    if name in _DECIMALS:
        return Literal(cell, datatype=XSD.decimal)
    if name in _DAYS:
        return Literal(cell, datatype=XSD.date)
    return Literal(cell)


def _iri(base: str, identifier: str) -> URIRef:
    kind, _, code = identifier.partition(":")
    return URIRef(f"{base}{kind}/{quote(code, safe='')}")


def _base(territory: str) -> str:
    return f"https://{quote(territory, safe='.')}/graph/"


def _property(column: str) -> URIRef:
    return CAD[_HUMP.sub(lambda match: match.group(1).upper(), column)]
