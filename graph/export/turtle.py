"""RDF in Turtle, in the words of the ontology."""

from __future__ import annotations

from graph import rdf
from graph.model import TerritoryGraph


def files(graph: TerritoryGraph) -> dict[str, bytes]:
    """`graph.ttl`."""
    return {"graph.ttl": rdf.turtle(graph)}


def read(data: bytes) -> TerritoryGraph:
    """The graph that `files` wrote. Raises GraphInvalid."""
    return rdf.from_turtle(data)
