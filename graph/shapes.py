"""Holding a graph against the ontology's SHACL shapes."""

from __future__ import annotations

import pyshacl
from rdflib import SH, Graph

from graph import ontology, rdf
from graph.errors import ShapesRefused
from graph.model import TerritoryGraph

_SHOWN = 3


def require(graph: TerritoryGraph) -> None:
    """Return when every shape holds. Raises ShapesRefused naming the first faults."""
    if graph.ontology != ontology.digest():
        raise ShapesRefused(
            f"the graph follows the ontology {graph.ontology}, this release has "
            f"{ontology.digest()}",
            remedy="validate it with the release of Cadastre that built it",
        )
    faults = faults_of(rdf.to_rdf(graph))
    if faults:
        raise ShapesRefused(
            f"{len(faults)} statements break the ontology's shapes: {'; '.join(faults[:_SHOWN])}"
        )


def faults_of(store: Graph) -> list[str]:
    """One sentence per broken constraint, sorted; none when `store` conforms."""
    shapes = Graph().parse(data=ontology.read(ontology.SHAPES), format="turtle")
    conforms, report, _ = pyshacl.validate(store, shacl_graph=shapes, advanced=False)
    if conforms:
        return []
    return sorted(
        f"{report.value(result, SH.focusNode)} {report.value(result, SH.resultPath) or ''}: "
        f"{report.value(result, SH.resultMessage)}"[:200]
        for result in report.subjects(predicate=SH.resultSeverity)
    )
