"""One Parquet file per table; texts stay texts, so that no quantity is rounded.

What is said about the graph as a whole stands in every file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from graph import rows
from graph.errors import GraphInvalid
from graph.model import TerritoryGraph

_HEAD = b"cadastre"


def files(graph: TerritoryGraph) -> dict[str, bytes]:
    """`<table>.parquet` per table."""
    head = json.dumps(rows.head_of(graph), sort_keys=True).encode()
    return {
        f"{name}.parquet": _bytes(
            _table(kind, [rows.row_of(i) for i in getattr(graph, name)], head)
        )
        for name, kind in rows.tables().items()
    }


def read(found: Mapping[str, bytes]) -> TerritoryGraph:
    """The graph in the files that `files` wrote. Raises GraphInvalid."""
    tables: dict[str, list[dict[str, Any]]] = {}
    heads = set()
    try:
        for name in rows.tables():
            table = parquet.read_table(BytesIO(found[f"{name}.parquet"]))
            heads.add(table.schema.metadata[_HEAD])
            tables[name] = table.to_pylist()
    except (KeyError, TypeError, pa.ArrowException) as error:
        raise GraphInvalid("these are not the Parquet files of one graph") from error
    if len(heads) != 1:
        raise GraphInvalid("the Parquet files are of several graphs")
    return rows.graph_of(json.loads(heads.pop()), tables)


def _table(kind: type[Any], found: list[rows.Row], head: bytes) -> pa.Table:
    schema = pa.schema(
        [
            pa.field(name, pa.int64() if column is int else pa.string(), nullable=optional)
            for name, (column, optional) in rows.columns(kind).items()
        ],
        metadata={_HEAD: head},
    )
    return pa.Table.from_pylist(found, schema=schema)


def _bytes(table: pa.Table) -> bytes:
    stream = BytesIO()
    parquet.write_table(table, stream)
    return stream.getvalue()
