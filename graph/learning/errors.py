"""What goes wrong between a graph file and its clients."""

from __future__ import annotations

from graph.errors import GraphError
from trust.problem import Kind


class CitationsRefused(GraphError):
    """A graph file that is not what it should be."""

    code = "graph-citations-refused"
    kind = Kind.INVALID


class PartitionRefused(GraphError):
    """A graph that cannot be divided as asked."""

    code = "graph-partition-refused"
    kind = Kind.INVALID
