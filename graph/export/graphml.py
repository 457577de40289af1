"""GraphML: nodes and edges with the columns of their tables as attributes.

Sources, factors and what is said about the graph as a whole are data of the graph element, as
JSON, so that nothing is lost on the way back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree as ET

from graph import rows
from graph.errors import GraphInvalid
from graph.model import TerritoryGraph

_NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
_NODES = ("territories", "places", "actors", "resources", "actions", "objectives")
_EDGES = ("links", "flows")
_BESIDE = ("factors", "sources")
_TABLE = "table"
_HEAD = "head"
MAXIMUM_BYTES = 256 << 20


def files(graph: TerritoryGraph) -> dict[str, bytes]:
    """`graph.graphml`."""
    tables = rows.rows_of(graph)
    root = ET.Element("graphml", {"xmlns": _NAMESPACE})
    _keys(root)
    whole = ET.SubElement(root, "graph", {"id": "territory", "edgedefault": "directed"})
    _data(whole, f"graph.{_HEAD}", _json(rows.head_of(graph)))
    for name in _BESIDE:
        _data(whole, f"graph.{name}", _json(tables[name]))
    for table in _NODES:
        for row in tables[table]:
            node = ET.SubElement(whole, "node", {"id": str(row["id"])})
            _columns(node, "node", table, row, skip=("id",))
    number = 0
    for table in _EDGES:
        for row in tables[table]:
            ends = {"source": str(row["origin"]), "target": str(row["target"])}
            edge = ET.SubElement(whole, "edge", {"id": f"e{number}", **ends})
            _columns(edge, "edge", table, row, skip=("origin", "target"))
            number += 1
    ET.indent(root, " ")
    return {"graph.graphml": ET.tostring(root, encoding="utf-8", xml_declaration=True)}


def read(data: bytes) -> TerritoryGraph:
    """The graph that `files` wrote. Raises GraphInvalid."""
    if len(data) > MAXIMUM_BYTES or b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise GraphInvalid("this GraphML is too large, or declares entities: it is not ours")
    try:
        whole = _graph_in(data)
        said = _read(whole)
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in (*_NODES, *_EDGES)}
        for node in whole.iter(f"{{{_NAMESPACE}}}node"):
            row = _read(node)
            found[str(row.pop(_TABLE))].append({**row, "id": node.attrib["id"]})
        for edge in whole.iter(f"{{{_NAMESPACE}}}edge"):
            row = _read(edge)
            ends = {"origin": edge.attrib["source"], "target": edge.attrib["target"]}
            found[str(row.pop(_TABLE))].append({**row, **ends})
        for name in _BESIDE:
            found[name] = json.loads(said[name])
        return rows.graph_of(json.loads(said[_HEAD]), found)
    except (ET.ParseError, KeyError, ValueError) as error:
        raise GraphInvalid(f"this is not the GraphML of a graph: {error}"[:200]) from error


def _graph_in(data: bytes) -> ET.Element:
    whole = ET.fromstring(data).find(f"{{{_NAMESPACE}}}graph")  # noqa: S314 - no entities
    if whole is None:
        raise GraphInvalid("this GraphML holds no graph")
    return whole


def _keys(root: ET.Element) -> None:
    for element, tables in (("node", _NODES), ("edge", _EDGES)):
        columns: dict[str, str] = {_TABLE: "string"}
        for table in tables:
            for name, (kind, _) in rows.columns(rows.tables()[table]).items():
                columns[name] = "long" if kind is int else "string"
        for name, kind_name in sorted(columns.items()):
            _key(root, element, name, kind_name)
    for name in (_HEAD, *_BESIDE):
        _key(root, "graph", name, "string")


def _key(root: ET.Element, element: str, name: str, kind: str) -> None:
    about = {"id": f"{element}.{name}", "for": element, "attr.name": name, "attr.type": kind}
    ET.SubElement(root, "key", about)


def _columns(
    element: ET.Element, key: str, table: str, row: rows.Row, *, skip: Iterable[str]
) -> None:
    _data(element, f"{key}.{_TABLE}", table)
    for name, cell in row.items():
        if name not in skip and cell is not None:
            _data(element, f"{key}.{name}", str(cell))


def _data(element: ET.Element, key: str, text: str) -> None:
    ET.SubElement(element, "data", {"key": key}).text = text


def _read(element: ET.Element) -> dict[str, Any]:
    return {
        data.attrib["key"].partition(".")[2]: data.text or ""
        for data in element.findall(f"{{{_NAMESPACE}}}data")
    }


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
