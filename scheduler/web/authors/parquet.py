"""A release as Parquet; imported only where pyarrow is installed."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq

from scheduler.views.releases import Released
from scheduler.web.authors.downloads import axes, cells, provenance

KEY = b"cadastre"


def written(released: Released) -> bytes:
    """The file's bytes. Labels are dictionary-encoded, numbers float64 and null where withheld."""
    rows = list(cells(released))
    word = pa.dictionary(pa.int32(), pa.string())
    columns = {
        "array": pa.array([row.array for row in rows], word),
        "unit": pa.array([row.unit for row in rows], word),
    }
    for at in range(axes(released)):
        labels = [row.labels[at] if at < len(row.labels) else None for row in rows]
        columns[f"label_{at + 1}"] = pa.array(labels, word)
    for name in ("value", "low", "high"):
        columns[name] = pa.array([getattr(row, name) for row in rows], pa.float64())
    columns["withheld"] = pa.array([row.withheld or None for row in rows], word)
    about = json.dumps(provenance(released.provenance), ensure_ascii=False).encode()
    table = pa.table(columns).replace_schema_metadata({KEY: about})
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()
