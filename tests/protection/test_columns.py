from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protection import columns
from protection.errors import ColumnsMalformed

TABLES = {
    "commute": {"mode": np.array([1, 2, 6]), "distance": np.array([0.5, np.nan, -1.0])},
    "empty": {"a": np.zeros(0, np.int64)},
    "aggregate": {"flows": np.arange(12).reshape(3, 4), "flows.variance": np.ones((3, 4))},
}


def test_round_trip_keeps_values_shapes_and_types() -> None:
    blob = columns.encode(TABLES)
    back = columns.decode(blob)
    assert set(back) == set(TABLES)
    for table, read in back.items():
        for name, array in read.items():
            np.testing.assert_array_equal(array, TABLES[table][name])
            assert array.dtype == TABLES[table][name].dtype
            assert not array.flags.writeable
    assert columns.encode(back) == blob


def test_header_is_what_the_sandbox_reads() -> None:
    blob = columns.encode({"t": {"a": np.array([1, 2])}})
    size = int.from_bytes(blob[8:12], "little")
    assert (12 + size) % 8 == 0
    header = json.loads(blob[12 : 12 + size])
    assert header == {
        "tables": {"t": {"rows": 2, "columns": {"a": {"dtype": "int64", "offset": 0}}}}
    }


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_is_refused_or_only_changes_values(position: int, flip: int) -> None:
    blob = columns.encode(TABLES)
    changed = bytearray(blob)
    changed[position % len(blob)] ^= flip
    try:
        back = columns.decode(bytes(changed))
    except ColumnsMalformed:
        return
    assert columns.encode(back) == bytes(changed)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_without_another_error(junk: bytes) -> None:
    for raw in (junk, columns.MAGIC + junk, columns.MAGIC + b"\x04\0\0\0" + junk):
        with pytest.raises(ColumnsMalformed):
            columns.decode(raw)


@given(st.integers(0, 200))
def test_truncated_and_extended_blobs_are_refused(cut: int) -> None:
    blob = columns.encode(TABLES)
    for raw in (blob[: len(blob) - 1 - cut], blob + b"\0" * (cut + 1)):
        with pytest.raises(ColumnsMalformed):
            columns.decode(raw)


def with_header(header: object, body: bytes = b"\0" * 16) -> bytes:
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-(12 + len(text)) % 8)
    return columns.MAGIC + len(text).to_bytes(4, "little") + text + body


@pytest.mark.parametrize(
    "column",
    [
        {"dtype": "object", "offset": 0},
        {"dtype": "int64", "offset": 8},
        {"dtype": "int64", "offset": -8},
        {"dtype": "int64", "offset": True},
        {"dtype": ["int64"], "offset": 0},
        {"dtype": "int64", "offset": 0, "shape": [-1, -2]},
        {"dtype": "int64", "offset": 0, "shape": [2**40]},
        {"dtype": "int64", "offset": 0, "shape": []},
        {"dtype": "int64", "offset": 0, "extra": 1},
        {"dtype": "int64"},
        [],
    ],
)
def test_odd_column_descriptions_are_refused(column: object) -> None:
    with pytest.raises(ColumnsMalformed):
        columns.decode(with_header({"tables": {"t": {"rows": 2, "columns": {"a": column}}}}))


@pytest.mark.parametrize(
    "tables",
    [
        {"t": {"a": np.array(["x"])}},
        {"t": {"a": np.array([1], np.int32)}},
        {"T": {"a": np.array([1])}},
        {"t": {"../a": np.array([1])}},
        {"t": {"a": np.array(1)}},
    ],
)
def test_what_the_format_cannot_hold_is_refused(tables: dict[str, dict[str, np.ndarray]]) -> None:
    with pytest.raises(ColumnsMalformed):
        columns.encode(tables)
