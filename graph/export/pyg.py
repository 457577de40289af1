"""PyTorch Geometric's HeteroData: what graph neural networks of the territory learn on.

Node types are the kinds of nodes, edge types (kind, relation, kind). `x` of a place is longitude,
latitude and population (NaN where unknown), of every other kind a one. `edge_attr` of a flow is
quantity, lower, upper (NaN without a band) and the index of its resource; `units` and `periods`
(ISO, first and last day) stand beside it, `sources` at every edge. `ids` of a node type
names its rows, in order, and `codes` what each is in a nomenclature, as in naf:38.32Z ("" where
it names none). Numbers are float32 here: the exact ones are in the graph.
"""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graph import nomenclatures
from graph.model import Flow, Link, Node, Place, TerritoryGraph, kind_of

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

EDGE_ATTRIBUTES = ("quantity", "lower", "upper", "resource")


def hetero_data(graph: TerritoryGraph) -> HeteroData:
    """The graph as one HeteroData object."""
    import torch  # noqa: PLC0415 - seconds and hundreds of MiB, for those who ask for this form
    from torch_geometric.data import HeteroData  # noqa: PLC0415 - as above

    data = HeteroData()
    of_kind: dict[str, list[Node]] = defaultdict(list)
    for node in graph.nodes():
        of_kind[node.KIND].append(node)
    index: dict[str, int] = {}
    for kind, nodes in of_kind.items():
        index |= {node.id: position for position, node in enumerate(nodes)}
        data[kind].x = torch.tensor([_features(node) for node in nodes], dtype=torch.float32)
        data[kind].num_nodes = len(nodes)
        data[kind].ids = [node.id for node in nodes]
        data[kind].codes = [nomenclatures.code_of(node) for node in nodes]
    edges: dict[tuple[str, str, str], list[Link | Flow]] = defaultdict(list)
    every: tuple[Link | Flow, ...] = (*graph.links, *graph.flows)
    for edge in every:
        edges[kind_of(edge.origin), edge.relation.value, kind_of(edge.target)].append(edge)
    for triple, found in edges.items():
        ends = [[index[edge.origin] for edge in found], [index[edge.target] for edge in found]]
        data[triple].edge_index = torch.tensor(ends, dtype=torch.long)
        data[triple].sources = [edge.source for edge in found]
        if flows := [edge for edge in found if isinstance(edge, Flow)]:
            attributes = [_attributes(edge, index) for edge in flows]
            data[triple].edge_attr = torch.tensor(attributes, dtype=torch.float32)
            data[triple].units = [edge.unit for edge in flows]
            data[triple].periods = [f"{edge.begins}/{edge.ends}" for edge in flows]
    data.dated = graph.dated.isoformat()
    data.territory_name = graph.territory  # `territory` is a kind of node
    return data


def files(graph: TerritoryGraph) -> dict[str, bytes]:
    """`graph.pt`: plain tensors and texts, readable by `torch.load(..., weights_only=True)`."""
    import torch  # noqa: PLC0415 - as above

    stream = io.BytesIO()
    torch.save(hetero_data(graph).to_dict(), stream)
    return {"graph.pt": stream.getvalue()}


def read(data: bytes) -> HeteroData:
    """What `files` wrote, as HeteroData again; nothing but tensors and texts is unpickled."""
    import torch  # noqa: PLC0415 - as above
    from torch_geometric.data import HeteroData  # noqa: PLC0415 - as above

    found: Mapping[str, Any] = torch.load(io.BytesIO(data), weights_only=True)
    return HeteroData.from_dict(dict(found))


def _features(node: Node) -> list[float]:
    if not isinstance(node, Place):
        return [1.0]
    cells = (node.longitude, node.latitude, node.population)
    return [math.nan if cell is None else float(cell) for cell in cells]


def _attributes(flow: Flow, index: Mapping[str, int]) -> list[float]:
    cells = (flow.quantity, flow.lower, flow.upper)
    numbers = [math.nan if cell is None else float(cell) for cell in cells]
    return [*numbers, float(index[flow.resource])]
