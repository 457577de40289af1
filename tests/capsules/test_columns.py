from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from capsule_runtime.columns import MAGIC, ColumnsMalformed, decode, encode

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
ARRAYS = st.one_of(arrays.arrays(np.int64, SHAPES), arrays.arrays(np.float64, SHAPES))
TABLES = st.dictionaries(NAMES, st.dictionaries(NAMES, ARRAYS, max_size=4), max_size=3)
SMALL = encode({"t": {"a": np.arange(3), "b": np.array([0.5, -1.0, 2.0])}})


@given(TABLES)
def test_what_is_written_is_read_back(tables: dict[str, dict[str, Any]]) -> None:
    read = decode(encode(tables))
    assert {name: set(columns) for name, columns in read.items()} == {
        name: set(columns) for name, columns in tables.items()
    }
    for table, columns in tables.items():
        for name, values in columns.items():
            assert read[table][name].dtype == values.dtype
            assert read[table][name].shape == values.shape
            assert read[table][name].tobytes() == values.tobytes()
            assert not read[table][name].flags.writeable


@given(st.binary(max_size=300))
def test_hostile_bytes_raise_only_our_refusal(noise: bytes) -> None:
    for data in (noise, MAGIC + noise, MAGIC + len(noise).to_bytes(4, "little") + noise):
        with pytest.raises(ColumnsMalformed):
            decode(data)


@given(st.integers(0, len(SMALL) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_read_as_other_numbers(position: int, flip: int) -> None:
    data = bytearray(SMALL)
    data[position] ^= flip
    try:
        read = decode(bytes(data))
    except ColumnsMalformed:
        return
    assert encode(read) == bytes(data)


@pytest.mark.parametrize("size", range(0, len(SMALL), 7))
def test_cut_and_prolonged_blobs_are_refused(size: int) -> None:
    with pytest.raises(ColumnsMalformed):
        decode(SMALL[:size])
    with pytest.raises(ColumnsMalformed):
        decode(SMALL + bytes(size + 1))
