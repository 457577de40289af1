"""A message's records as one text and one row of numbers, and back, bit for bit.

The text is JSON: record names, array shapes and types, and configuration values. The numbers are
all arrays and metrics in order, as float64, which is what the grid carries from round to round.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from .refusals import Stopped

LARGEST = 1e12  # as the grid's own limit for a state
_KINDS = "biuf"  # numpy's letters for truth values, whole numbers and floats


@dataclass(frozen=True)
class Flat:
    """Records laid out: `layout` (plain JSON values) and the numbers that it describes."""

    layout: list[Any]
    values: np.ndarray[Any, np.dtype[np.float64]]

    @property
    def text(self) -> str:
        """The layout, one spelling for equal layouts."""
        return json.dumps(self.layout, separators=(",", ":"))


def flatten(records: RecordDict) -> Flat:
    """`records` as layout and numbers. Raises Stopped for what float64 cannot carry exactly."""
    layout: list[Any] = []
    parts: list[Any] = [np.zeros(0)]
    for name, record in records.items():
        if isinstance(record, ArrayRecord):
            arrays = {key: array.numpy() for key, array in record.items()}
            layout.append(
                ["arrays", name, [[k, str(a.dtype), list(a.shape)] for k, a in arrays.items()]]
            )
            parts += [_exact(name, key, array) for key, array in arrays.items()]
        elif isinstance(record, MetricRecord):
            layout.append(["metrics", name, [_metric(k, v) for k, v in record.items()]])
            parts += [_wide(name, key, value) for key, value in record.items()]
        else:
            layout.append(["config", name, [[k, _plain(v)] for k, v in record.items()]])
    return Flat(layout, np.concatenate(parts))


def restore(flat: Flat) -> RecordDict:
    """The records that `flatten` laid out."""
    records = RecordDict()
    offset = 0
    for kind, name, entries in flat.layout:
        if kind == "config":
            records[name] = ConfigRecord({key: _value(plain) for key, plain in entries})
            continue
        read: dict[str, Any] = {}
        for entry in entries:
            count = size_of(kind, entry)
            numbers = flat.values[offset : offset + count]
            offset += count
            read[entry[0]] = (
                Array(numbers.astype(entry[1]).reshape(entry[2]))
                if kind == "arrays"
                else _scalar(numbers, entry[1], entry[2])
            )
        records[name] = ArrayRecord(read) if kind == "arrays" else MetricRecord(read)
    return records


def entries(layout: list[Any]) -> Iterator[tuple[str, str, Any, int]]:
    """(kind, record name, entry, first number) of everything in a layout that has numbers."""
    offset = 0
    for kind, name, found in layout:
        if kind == "config":
            continue
        for entry in found:
            yield kind, name, entry, offset
            offset += size_of(kind, entry)


def size_of(kind: str, entry: Any) -> int:
    """How many numbers an entry has."""
    return math.prod(entry[2]) if kind == "arrays" else max(entry[2], 0) if entry[2] >= 0 else 1


def _exact(record: str, key: str, array: Any) -> Any:
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.kind not in _KINDS or flat.dtype.itemsize > 8:
        raise Stopped("array-type", f"{record}[{key!r}] has the type {array.dtype}; use numbers")
    wide = flat.astype(np.float64)
    if flat.dtype.kind in "iu" and not np.array_equal(wide.astype(flat.dtype), flat):
        raise Stopped("array-type", f"{record}[{key!r}] has whole numbers of more than 53 bits")
    return wide


def _wide(record: str, key: str, value: Any) -> Any:
    try:
        return np.atleast_1d(np.asarray(value, np.float64))
    except OverflowError:
        # Python's whole numbers have no largest one; Flower's messages and ours do.
        raise Stopped("not-finite", f"{record}[{key!r}] lies beyond any float") from None


def _metric(key: str, value: Any) -> list[Any]:
    """[key, whether whole, length]; -1 for a single number."""
    many = isinstance(value, list)
    whole = all(isinstance(item, int) for item in (value if many else [value]))
    return [key, whole, len(value) if many else -1]


def _scalar(numbers: Any, whole: bool, length: int) -> Any:  # noqa: FBT001
    found = [int(number) if whole else float(number) for number in numbers]
    return found if length >= 0 else found[0]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _value(plain: Any) -> Any:
    if isinstance(plain, dict):
        return base64.b64decode(plain["bytes"])
    if isinstance(plain, list):
        return [_value(item) for item in plain]
    return plain
