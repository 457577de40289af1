from __future__ import annotations

import builtins
import math
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from rdflib import SKOS, Literal

from graph import invariants, nomenclatures, ontology, rdf, shapes
from graph.concepts import DIMENSIONS, MODES
from graph.errors import ExportUnavailable, GraphInvalid
from graph.export import forms, graphml, parquet, turtle
from graph.model import Action, Actor, ActorKind, Relation, Resource, ResourceKind, TerritoryGraph
from graph.rdf import CAD
from tests.graph.graph_built import built
from tests.graph.graph_strategies import graphs
from tests.graph.graph_territory import Town

FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@given(graphs())
@FEW
def test_graphml_loses_nothing(graph: TerritoryGraph) -> None:
    assert graphml.read(graphml.files(graph)["graph.graphml"]) == graph


@given(graphs())
@FEW
def test_parquet_loses_nothing(graph: TerritoryGraph) -> None:
    assert parquet.read(parquet.files(graph)) == graph


@given(graphs())
@FEW
def test_turtle_loses_nothing(graph: TerritoryGraph) -> None:
    assert turtle.read(turtle.files(graph)["graph.ttl"]) == graph


@given(graphs())
@settings(FEW, max_examples=5)
def test_the_same_graph_gives_the_same_files(graph: TerritoryGraph) -> None:
    for form in ("graphml", "parquet", "turtle"):
        assert forms.files_of(graph, form) == forms.files_of(graph, form)


@pytest.fixture
def graph(tmp_path: Path) -> TerritoryGraph:
    return built(Town(tmp_path))


def test_networkx_reads_the_graphml(graph: TerritoryGraph, tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx")
    (path,) = forms.export(graph, "graphml", tmp_path / "out")
    read = networkx.read_graphml(path)
    assert set(read.nodes) == {node.id for node in graph.nodes()}
    assert read.number_of_edges() == len(graph.links) + len(graph.flows)
    quantities = sorted(data["quantity"] for *_, data in read.edges(data=True)
                        if data["table"] == "flows")  # fmt: skip
    assert quantities == sorted(flow.quantity for flow in graph.flows)


CODES = {
    "actor:reuse": ("naf:38.32Z", "http://id.insee.fr/codes/nafr2/sousClasse/38.32Z"),
    "resource:biowaste": ("ewc:200108", f"{ontology.NAMESPACE}ewc-200108"),
    "action:compost": ("rd:R3", f"{ontology.NAMESPACE}rd-R3"),
}


@pytest.fixture
def coded(graph: TerritoryGraph) -> TerritoryGraph:
    """The graph with an actor, a resource and an action that name a nomenclature's codes."""
    firm = Actor("actor:reuse", "R", ActorKind.ORGANISATION, "naf:38.32Z", "source:plan")
    waste = Resource("resource:biowaste", "biodéchets", "biowaste", ResourceKind.MATTER,
                     "ewc:200108", "source:plan")  # fmt: skip
    resources = sorted([*graph.resources, waste], key=lambda one: one.id)
    action = Action("action:compost", "C", "rd:R3", "source:plan")
    whole = replace(graph, actors=(firm,), resources=tuple(resources), actions=(action,))
    invariants.check(whole)
    shapes.require(whole)
    return whole


def test_codes_and_what_they_stand_for_leave_in_every_form(coded: TerritoryGraph) -> None:
    assert graphml.read(graphml.files(coded)["graph.graphml"]) == coded
    assert parquet.read(parquet.files(coded)) == coded
    assert turtle.read(turtle.files(coded)["graph.ttl"]) == coded
    store = rdf.to_rdf(coded)
    for node, (code, concept) in CODES.items():
        subject = store.value(None, CAD.id, Literal(node))
        said = store.value(subject, CAD.classifiedAs)
        assert str(said) == concept
        scheme, _, notation = code.partition(":")
        assert str(store.value(said, SKOS.notation)) == notation
        assert str(store.value(said, SKOS.inScheme)) == nomenclatures.SCHEMES[scheme].iri
    climate = store.value(None, CAD.id, Literal("objective:climate-change"))
    assert store.value(climate, CAD.classifiedAs) == CAD["dimension-climate-change"]
    # Nobody names two concepts, and places name none.
    assert len(set(store.objects(None, CAD.classifiedAs))) == 3 + len(MODES) + len(DIMENSIONS)


def test_pyg_names_the_codes(coded: TerritoryGraph) -> None:
    pytest.importorskip("torch_geometric")
    from graph.export import pyg

    data = pyg.read(pyg.files(coded)["graph.pt"])
    for node, (code, _) in CODES.items():
        kind = node.partition(":")[0]
        assert data[kind].codes[data[kind].ids.index(node)] == code
    assert set(data["place"].codes) == {""}


def test_pyg_holds_every_edge_with_its_band(graph: TerritoryGraph, tmp_path: Path) -> None:
    pytest.importorskip("torch_geometric")
    from graph.export import pyg

    (path,) = forms.export(graph, "pyg", tmp_path / "out")
    data = pyg.read(path.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # objectives that nothing points to are as they should be
        assert data.validate(raise_on_error=False)
    edges = data["place", "commuting", "place"]
    assert edges.edge_index.shape == (2, len(graph.flows))
    names, resources = data["place"].ids, data["resource"].ids
    for index, flow in enumerate(graph.flows):
        ends = [names[int(end)] for end in edges.edge_index[:, index]]
        assert ends == [flow.origin, flow.target]
        quantity, lower, upper, resource = edges.edge_attr[index].tolist()
        assert quantity == pytest.approx(float(flow.quantity))
        assert resources[int(resource)] == flow.resource
        assert flow.lower is not None
        assert flow.upper is not None
        assert (lower, upper) == pytest.approx((float(flow.lower), float(flow.upper)))
        assert (edges.units[index], edges.sources[index]) == (flow.unit, flow.source)
        assert edges.periods[index] == f"{flow.begins}/{flow.ends}"
    nowhere = data["place"].x[names.index("place:c")].tolist()
    assert all(map(math.isnan, nowhere))
    belonging = data["place", "belonging", "territory"]
    assert belonging.edge_index.shape == (2, 2)
    assert belonging.sources == [
        link.source for link in graph.links if link.relation is Relation.BELONGING
    ]


@pytest.mark.parametrize(("form", "missing", "extra"), [
    ("parquet", "pyarrow", "graph"), ("pyg", "torch_geometric", "learning"),
])  # fmt: skip
def test_a_missing_library_names_its_extra(
    graph: TerritoryGraph, form: str, missing: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    whole = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == missing:
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return whole(name, *rest, **more)

    for name in [name for name in sys.modules if name.startswith(("graph.export.", missing))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ExportUnavailable) as refused:
        forms.files_of(graph, form)
    assert missing in refused.value.sentence
    assert f"cadastre[{extra}]" in refused.value.remedy


def test_no_heavy_library_is_imported_before_it_is_asked_for() -> None:
    heavy = "{'torch', 'torch_geometric', 'pyarrow', 'rdflib', 'pyshacl'}"
    program = f"import graph.commands, sys; print({heavy} & set(sys.modules))"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"<a/>", b"\xff", b"<graphml xmlns='http://graphml.graphdrawing.org/xmlns'/>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    ],
)  # fmt: skip
def test_other_graphml_is_refused(data: bytes) -> None:
    with pytest.raises(GraphInvalid):
        graphml.read(data)


def test_other_files_are_refused(graph: TerritoryGraph) -> None:
    with pytest.raises(GraphInvalid):
        turtle.read(b"@prefix : <x> . : : :")
    with pytest.raises(GraphInvalid):
        turtle.read(b"{")
    with pytest.raises(GraphInvalid):
        parquet.read({})
    with pytest.raises(GraphInvalid):
        parquet.read({**parquet.files(graph), "flows.parquet": b"PAR1"})
