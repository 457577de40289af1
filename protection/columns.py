r"""Fixed-layout tables: numbers only, read in place, one spelling per value.

Layout: `CADCOL1\n`, u32 little-endian header length, the header (JSON, sorted keys, no spaces,
padded with spaces so that the body starts at a multiple of 8), then the columns in the order of
(table, column) names, 8-byte little-endian values back to back. The header is
`{"tables": {table: {"rows": n, "columns": {name: {"dtype", "offset", "shape"?}}}}}` with offsets
from the body's start. A column without "shape" has `rows` values; one with a "shape" has the
shape's product and is read back in that shape (C order).

A blob is accepted only if it is exactly what `encode` would write: no gap, overlap or trailing
byte in which anything could hide.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protection.errors import ColumnsMalformed

MAGIC = b"CADCOL1\n"
# A capsule is one owner's tables; 64 MiB is four times the sandbox's /tmp (sandbox.md 8.2).
MAXIMUM_BYTES = 64 << 20
MAXIMUM_HEADER_BYTES = 1 << 20
MAXIMUM_DIMENSIONS = 8
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}(\.[a-z][a-z0-9_]{0,63})?")

Column = NDArray[np.int64] | NDArray[np.float64]
Tables = dict[str, dict[str, Column]]

_DTYPES: dict[str, np.dtype[Any]] = {"int64": np.dtype("<i8"), "float64": np.dtype("<f8")}


def encode(tables: Mapping[str, Mapping[str, NDArray[Any]]]) -> bytes:
    """The bytes of `tables` (int64 or float64 arrays). Raises ColumnsMalformed.

    One-dimensional columns of a table share its row count; a table whose columns are not all
    one-dimensional and of equal length writes every column with its shape, and `rows` is 0.
    """
    text, arrays = _described(tables)
    blob = b"".join([MAGIC, len(text).to_bytes(4, "little"), text, *(one.data for one in arrays)])
    if len(text) > MAXIMUM_HEADER_BYTES or len(blob) > MAXIMUM_BYTES:
        raise ColumnsMalformed(
            f"the tables take {len(blob)} bytes, the limit is {MAXIMUM_BYTES}",
            remedy="seal fewer rows or columns in one capsule",
        )
    return blob


def _described(tables: Mapping[str, Mapping[str, NDArray[Any]]]) -> tuple[bytes, list[Column]]:
    """The padded header, and the columns in the order in which they follow it."""
    header: dict[str, Any] = {}
    body: list[Column] = []
    offset = 0
    for table in sorted(tables):
        columns = tables[table]
        arrays = {name: _checked(table, name, columns[name]) for name in sorted(columns)}
        rows = _common_rows(arrays)
        described: dict[str, Any] = {}
        for name, array in arrays.items():
            entry: dict[str, Any] = {"dtype": array.dtype.name, "offset": offset}
            if rows is None:
                entry["shape"] = list(array.shape)
            described[name] = entry
            body.append(array)
            offset += array.nbytes
        header[_named(table, "table")] = {"rows": rows or 0, "columns": described}
    text = json.dumps({"tables": header}, sort_keys=True, separators=(",", ":")).encode()
    return text + b" " * (-(len(MAGIC) + 4 + len(text)) % 8), body


def decode(blob: bytes) -> Tables:
    """The tables in `blob` as read-only arrays over its bytes. Raises ColumnsMalformed."""
    if len(blob) > MAXIMUM_BYTES:
        raise ColumnsMalformed(f"{len(blob)} bytes are over the limit of {MAXIMUM_BYTES}")
    if blob[: len(MAGIC)] != MAGIC or len(blob) < len(MAGIC) + 4:
        raise ColumnsMalformed("the bytes do not start with the column format's magic")
    size = int.from_bytes(blob[len(MAGIC) : len(MAGIC) + 4], "little")
    start = len(MAGIC) + 4 + size
    if size > MAXIMUM_HEADER_BYTES or start > len(blob) or start % 8:
        raise ColumnsMalformed("the header's length does not fit the blob")
    tables: Tables = {}
    offset = 0
    for table, described in _tables_of(blob[len(MAGIC) + 4 : start]).items():
        # Names first: they may stand in a message afterwards.
        rows, columns = _table_of(_named(table, "table"), described)
        read: dict[str, Column] = {}
        for name, entry in columns.items():
            where = f"{table}.{_named(name, 'column')}"
            dtype, shape = _entry_of(where, entry, rows, offset)
            count = math.prod(shape)
            if start + offset + 8 * count > len(blob):
                raise ColumnsMalformed(f"column {table}.{name} reaches past the end of the blob")
            read[name] = _array(where, np.frombuffer(blob, dtype, count, start + offset), shape)
            offset += 8 * count
        tables[table] = read
    # The comparison makes the reading strict: whatever `encode` would not have written is refused.
    # Behind the header it would write what was read in place: all of the rest, in this order.
    if start + offset != len(blob) or _described(tables)[0] != blob[len(MAGIC) + 4 : start]:
        raise ColumnsMalformed(
            "the blob is not in canonical form", remedy="write it with protection.columns.encode"
        )
    return tables


def _tables_of(header: bytes) -> dict[str, Any]:
    try:
        plain = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise ColumnsMalformed("the header is not JSON") from error
    if not isinstance(plain, dict) or set(plain) != {"tables"}:
        raise ColumnsMalformed("the header has exactly one field, tables")
    return _object(plain["tables"], "tables")


def _table_of(table: str, described: object) -> tuple[int, dict[str, Any]]:
    fields = _object(described, table)
    if set(fields) != {"rows", "columns"}:
        raise ColumnsMalformed(f"table {table[:64]} has exactly rows and columns")
    return _whole(fields["rows"], table), _object(fields["columns"], table)


def _entry_of(
    where: str, entry: object, rows: int, offset: int
) -> tuple[np.dtype[Any], tuple[int, ...]]:
    fields = _object(entry, where)
    if not {"dtype", "offset"} <= set(fields) <= {"dtype", "offset", "shape"}:
        raise ColumnsMalformed(f"column {where[:130]} has dtype, offset and perhaps shape")
    dtype = _DTYPES.get(fields["dtype"]) if isinstance(fields["dtype"], str) else None
    if dtype is None:
        raise ColumnsMalformed(f"column {where[:130]} is neither int64 nor float64")
    if _whole(fields["offset"], where) != offset:
        raise ColumnsMalformed(f"column {where[:130]} leaves a gap or overlaps another")
    shape = fields.get("shape", [rows])
    if not isinstance(shape, list) or not 1 <= len(shape) <= MAXIMUM_DIMENSIONS:
        raise ColumnsMalformed(f"column {where[:130]} has 1 to {MAXIMUM_DIMENSIONS} dimensions")
    return dtype, tuple(_whole(length, where) for length in shape)


def _array(where: str, flat: NDArray[Any], shape: tuple[int, ...]) -> Column:
    try:
        return flat.reshape(shape)
    except ValueError as error:  # no value at all, in a shape beyond what numpy can describe
        raise ColumnsMalformed(f"column {where[:130]} has an impossible shape") from error


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ColumnsMalformed(f"{where[:130]}: expected an object")
    return value


def _whole(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAXIMUM_BYTES:
        raise ColumnsMalformed(f"{where[:130]}: expected a whole number of a possible size")
    return value


def _named(name: str, what: str) -> str:
    if not NAME.fullmatch(name):
        raise ColumnsMalformed(
            f"{name[:64]!r} cannot name a {what}", remedy="use a-z, 0-9 and _, from a letter on"
        )
    return name


def _checked(table: str, name: str, values: NDArray[Any]) -> Column:
    array = np.asarray(values)
    _named(name, "column")
    if array.dtype.name not in _DTYPES:
        raise ColumnsMalformed(
            f"column {table}.{name} has dtype {array.dtype.name}",
            remedy="use int64 or float64; texts are codes of a declared nomenclature",
        )
    if not 1 <= array.ndim <= MAXIMUM_DIMENSIONS:
        raise ColumnsMalformed(f"column {table}.{name} has {array.ndim} dimensions")
    return np.ascontiguousarray(array, _DTYPES[array.dtype.name])


def _common_rows(arrays: Mapping[str, Column]) -> int | None:
    shapes = {array.shape for array in arrays.values()}
    if not shapes:
        return 0
    if len(shapes) == 1 and len(shape := shapes.pop()) == 1:
        return int(shape[0])
    return None
