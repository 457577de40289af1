"""A release as Parquet; imported only where pyarrow is installed."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scheduler.views.releases import Array, Released
from scheduler.web.authors.downloads import axes, provenance

KEY = b"cadastre"
_WORD = pa.dictionary(pa.int32(), pa.string())


def written(released: Released) -> bytes:
    """The file's bytes. Labels are dictionary-encoded, numbers float64 and null where withheld."""
    count = axes(released)
    names = ["array", "unit", *(f"label_{at + 1}" for at in range(count))]
    names += ["value", "low", "high", "withheld"]
    parts = [_columns(array, count) for array in released.arrays]
    types = [_WORD] * (2 + count) + [pa.float64()] * 3 + [_WORD]
    about = json.dumps(provenance(released.provenance), ensure_ascii=False).encode()
    table = pa.table(
        {
            name: pa.chunked_array([part[at] for part in parts], type=kind)
            for at, (name, kind) in enumerate(zip(names, types, strict=True))
        }
    )
    out = io.BytesIO()
    whole = table.unify_dictionaries().replace_schema_metadata({KEY: about})
    pq.write_table(whole, out, compression="zstd")
    return out.getvalue()


def _columns(array: Array, count: int) -> list[Any]:
    """A value's columns, whole arrays at a time: a report has up to a million cells."""
    size = math.prod(array.shape)
    places = np.indices(array.shape, np.int32).reshape(len(array.shape), size)
    labels = [
        pa.DictionaryArray.from_arrays(places[at], pa.array(axis, pa.string()))
        for at, axis in enumerate(array.labels)
    ]
    labels += [pa.nulls(size, _WORD)] * (count - len(labels))
    withheld = [cell if isinstance(cell, str) else None for cell in array.cells]
    # Whole numbers past 2^53 are rounded, which pyarrow alone would refuse to do.
    told = [float(cell) if isinstance(cell, int | float) else None for cell in array.cells]
    return [
        _same(array.name, size),
        _same(array.unit, size),
        *labels,
        pa.array(told, pa.float64()),
        pa.array(array.low, pa.float64()) if array.low else pa.nulls(size, pa.float64()),
        pa.array(array.high, pa.float64()) if array.high else pa.nulls(size, pa.float64()),
        pa.array(withheld, pa.string()).dictionary_encode(),
    ]


def _same(word: str, size: int) -> Any:
    return pa.DictionaryArray.from_arrays(np.zeros(size, np.int32), pa.array([word], pa.string()))
