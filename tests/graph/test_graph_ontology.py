from __future__ import annotations

import csv
import enum
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from rdflib import DCTERMS, OWL, RDF, RDFS, SH, SKOS, XSD, Graph, Literal, URIRef
from rdflib.collection import Collection
from rdflib.term import Node

from graph import concepts, model, nomenclatures, ontology, rdf, rows, shapes
from graph.errors import ShapesRefused
from graph.model import ENDS, MOVING, Relation, ResourceKind, Side, SourceKind, TerritoryGraph
from graph.rdf import CAD, QUDT
from tests.graph.graph_built import built
from tests.graph.graph_relations import PARTIES, RELATIONS, TABLES, files
from tests.graph.graph_strategies import graphs
from tests.graph.graph_territory import CELLS, PLAN, Town, a_report
from trust.ids import Digest

VOCABULARY = Graph().parse(data=ontology.read(ontology.VOCABULARY), format="turtle")
CLASSES = set(VOCABULARY.subjects(RDF.type, OWL.Class))
PROPERTIES = {
    one
    for kind in (OWL.DatatypeProperty, OWL.ObjectProperty)
    for one in VOCABULARY.subjects(RDF.type, kind)
}
KINDS = frozenset(kind.KIND for kind in get_args(model.Node))
PAGE = Path(__file__).resolve().parents[2] / "docs" / "ontology.md"


def test_every_class_of_the_model_is_in_the_vocabulary() -> None:
    for kind in rows.tables().values():
        assert CAD[kind.__name__] in CLASSES
    for relation in Relation:
        above = CAD.Flow if relation in MOVING else CAD.Link
        assert (CAD[relation.value.capitalize()], RDFS.subClassOf, above) in VOCABULARY


def test_every_column_is_a_property_of_the_vocabulary() -> None:
    properties = set(VOCABULARY.subjects(RDF.type, OWL.DatatypeProperty)) | set(
        VOCABULARY.subjects(RDF.type, OWL.ObjectProperty)
    )
    for kind in rows.tables().values():
        for column in rows.columns(kind):
            assert rdf._property(column) in properties


def test_every_class_has_words_in_both_languages() -> None:
    for one in CLASSES:
        languages = {label.language for label in VOCABULARY.objects(one, RDFS.label)}
        assert languages == {"fr", "en"}, one


def test_the_page_tells_every_mapping() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for predicate in (SKOS.closeMatch, SKOS.broadMatch, SKOS.relatedMatch):
        for subject, target in VOCABULARY.subject_objects(predicate):
            own, name = (
                VOCABULARY.namespace_manager.curie(URIRef(str(one))) for one in (subject, target)
            )
            if subject in CLASSES:
                assert f"`{name}`" in text, name
            elif subject in PROPERTIES:
                (row,) = (line for line in text.splitlines() if line.startswith(f"| `{own}` |"))
                told = f"`{name}` (related)" if predicate == SKOS.relatedMatch else f"`{name}`"
                assert told in row
    for unit in concepts.UNITS:
        assert f"`{unit}`" in text


def test_every_relation_has_ends_and_kinds_are_those_of_the_shapes() -> None:
    assert set(ENDS) == set(Relation)
    text = ontology.read(ontology.SHAPES).decode()
    for vocabulary in (ResourceKind, Side, SourceKind):
        values = " ".join(f'"{member.value}"' for member in _members(vocabulary))
        assert f"( {values} )" in text


def _members(vocabulary: type[enum.StrEnum]) -> list[enum.StrEnum]:
    return list(vocabulary)


@given(graphs())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_sound_graphs_conform(graph: TerritoryGraph) -> None:
    shapes.require(graph)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """A graph with every relation, which the shapes accept as it is."""
    town = Town(tmp_path_factory.mktemp("town"))
    plan = PLAN + PARTIES + RELATIONS
    graph = rdf.to_rdf(built(town, [town.publish(a_report(CELLS))], plan=plan, more=files(TABLES)))
    assert all((None, RDF.type, CAD[one.value.capitalize()]) in graph for one in Relation)
    assert shapes.faults_of(graph) == []
    return graph


def _any(store: Graph, cls: URIRef) -> URIRef:
    return next(URIRef(str(one)) for one in sorted(store.subjects(RDF.type, cls), key=str))


def _to_itself(store: Graph, cls: URIRef) -> None:
    edge = _any(store, cls)
    store.set((edge, CAD.target, store.value(edge, CAD.origin)))


def decimal(text: str) -> Literal:
    return Literal(text, datatype=XSD.decimal)


BAD: dict[str, Callable[[Graph], object]] = {
    "a flow without a quantity": lambda s: s.remove((_any(s, CAD.Commuting), CAD.quantity, None)),
    "a flow without a unit": lambda s: s.remove((_any(s, CAD.Commuting), QUDT.unit, None)),
    "a flow without a period": lambda s: s.remove((_any(s, CAD.Commuting), CAD.begins, None)),
    "a flow without a source": lambda s: s.remove((_any(s, CAD.Commuting), CAD.source, None)),
    "a negative quantity": lambda s: s.set((_any(s, CAD.Commuting), CAD.quantity, decimal("-1"))),
    "two quantities": lambda s: s.add((_any(s, CAD.Commuting), CAD.quantity, decimal("7"))),
    "a quantity as text": lambda s: s.set((_any(s, CAD.Commuting), CAD.quantity, Literal("7"))),
    "outside its band": lambda s: s.set((_any(s, CAD.Commuting), CAD["lower"], decimal("9999"))),
    "commuting to a resource": lambda s: s.set(
        (_any(s, CAD.Commuting), CAD.target, _any(s, CAD.Resource))
    ),
    "commuting in tonnes": lambda s: s.set((_any(s, CAD.Commuting), CAD.unit, Literal("t"))),
    "commuting from nowhere": lambda s: s.set((_any(s, CAD.Commuting), CAD.origin, CAD.nowhere)),
    "an end that is a text": lambda s: s.set(
        (_any(s, CAD.Commuting), CAD.origin, Literal("place:a"))
    ),
    "belonging to itself": lambda s: _to_itself(s, CAD.Belonging),
    "trading with itself": lambda s: _to_itself(s, CAD.Transaction),
    "a place off the Earth": lambda s: s.set((_any(s, CAD.Place), CAD.latitude, decimal("91"))),
    "a place without a name": lambda s: s.remove((_any(s, CAD.Place), CAD.name, None)),
    "an unknown side": lambda s: s.set((_any(s, CAD.Objective), CAD.side, Literal("middle"))),
    "a source without a licence": lambda s: s.remove((_any(s, CAD.Source), CAD.licence, None)),
    "a factor out of its range": lambda s: s.set((_any(s, CAD.Factor), CAD.low, decimal("99"))),
}


@pytest.mark.parametrize("fault", BAD)
def test_the_shapes_refuse(whole: Graph, fault: str) -> None:
    changed = Graph() + whole
    BAD[fault](changed)
    assert shapes.faults_of(changed)


@pytest.mark.parametrize("side", [0, 1], ids=["origin", "target"])
@pytest.mark.parametrize("relation", Relation)
def test_the_shapes_refuse_an_end_of_another_kind(
    whole: Graph, relation: Relation, side: int
) -> None:
    end = (CAD.origin, CAD.target)[side]
    other = min(KINDS - ENDS[relation][side])
    changed = Graph() + whole
    edge = _any(changed, CAD[relation.value.capitalize()])
    changed.set((edge, end, _any(changed, CAD[other.capitalize()])))
    assert any(str(edge) in fault and str(end) in fault for fault in shapes.faults_of(changed))


def test_the_shapes_join_the_kinds_that_the_typed_view_joins() -> None:
    rules = Graph().parse(data=ontology.read(ontology.SHAPES), format="turtle")
    for relation, ends in ENDS.items():
        for end, kinds in zip((CAD.origin, CAD.target), ends, strict=True):
            told = [
                set(_classes(rules, rule))
                for shape in rules.subjects(SH.targetClass, CAD[relation.value.capitalize()])
                for rule in rules.objects(shape, SH.property)
                if rules.value(rule, SH.path) == end
            ]
            expected = {CAD[kind.capitalize()] for kind in kinds}
            assert [classes for classes in told if classes] == [expected], (relation, end)


def _classes(rules: Graph, rule: Node) -> Iterator[Node]:
    yield from rules.objects(rule, SH["class"])
    for choices in rules.objects(rule, SH["or"]):
        for choice in Collection(rules, choices):
            yield from rules.objects(choice, SH["class"])


def test_a_graph_of_another_ontology_is_refused(tmp_path: Path) -> None:
    town = Town(tmp_path)
    graph = built(town, [town.publish(a_report(CELLS))])
    with pytest.raises(ShapesRefused):
        shapes.require(replace(graph, ontology=Digest.of(b"older")))


@pytest.mark.parametrize(
    "text",
    ["naf:01.11Z", "naf:38", "naf:38.3", "naf:38.32", "ewc:200108", "ewc:1606", "rd:R13", "rd:D15",
     "mode:car"],
)  # fmt: skip
def test_codes_of_nomenclatures(text: str) -> None:
    assert nomenclatures.is_concept(text)


@pytest.mark.parametrize(
    "text",
    ["naf:1", "ewc:20010", "rd:R14", "rd:D16", "isic:01", "naf", ":", "ewc:20 01 08",
     "naf:99.99Z", "naf:38.32A", "naf:04", "ewc:999999", "ewc:200199x", "mode:rocket"],
)  # fmt: skip
def test_other_texts_are_no_codes(text: str) -> None:
    assert not nomenclatures.is_concept(text)
    assert nomenclatures.concept_of(text) is None


def test_every_nomenclature_is_a_scheme_of_the_vocabulary_and_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    found = set(VOCABULARY.subjects(RDF.type, SKOS.ConceptScheme))
    assert found == {URIRef(scheme.iri) for scheme in nomenclatures.SCHEMES.values()}
    for name, scheme in nomenclatures.SCHEMES.items():
        assert str(VOCABULARY.value(URIRef(scheme.iri), SKOS.notation)) == name
        assert f"<{VOCABULARY.value(URIRef(scheme.iri), DCTERMS.source)}>" in text
        labels = VOCABULARY.objects(URIRef(scheme.iri), RDFS.label)
        assert {label.language for label in labels} == {"fr", "en"}


def test_modes_and_dimensions_are_concepts_of_the_vocabulary() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, known in (("mode", concepts.MODES), ("dimension", concepts.DIMENSIONS)):
        scheme = nomenclatures.SCHEMES[name]
        told = set(VOCABULARY.subjects(SKOS.inScheme, URIRef(scheme.iri)))
        assert told == {URIRef(scheme.concept(one.code)) for one in known}
        for concept in told:
            code = VOCABULARY.value(concept, SKOS.notation)
            goals = VOCABULARY.objects(concept, SKOS.relatedMatch)
            numbers = sorted(int(str(goal).rpartition("/")[2]) for goal in goals)
            cell = ", ".join(f"`sdg:{number}`" for number in numbers)
            assert name == "mode" or f"| {code} | {cell}".rstrip() in text


DATA = Path(os.environ.get("CADASTRE_DATA", PAGE.parents[2] / "shared" / "data")) / "nomenclatures"


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no nomenclatures in {DATA}")
def test_listed_codes_are_the_published_ones() -> None:
    naf = {line["id"] for line in json.loads((DATA / "naf_rev2.json").read_text("utf-8"))}
    assert nomenclatures._codes(nomenclatures.SCHEMES["naf"]) == naf
    for name, file in (("ewc", "ewc_list_of_wastes.csv"), ("rd", "recovery_disposal_codes.csv")):
        with (DATA / file).open(encoding="utf-8", newline="") as stream:
            codes = {row["code"] for row in csv.DictReader(stream)}
        assert all(nomenclatures.is_concept(f"{name}:{code}") for code in codes)
    finest = {code for code in nomenclatures._codes(nomenclatures.SCHEMES["ewc"]) if len(code) == 6}
    assert len(finest) == 842
