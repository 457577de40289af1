"""Attacks on the column format: hostile bytes end in a typed refusal, whatever they claim."""

from __future__ import annotations

import json

import pytest

from protection import columns
from protection.errors import ColumnsMalformed


def blob(tables: object) -> bytes:
    text = json.dumps({"tables": tables}, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-(12 + len(text)) % 8)
    return columns.MAGIC + len(text).to_bytes(4, "little") + text


def test_a_column_of_no_values_whose_shape_numpy_cannot_hold_is_refused() -> None:
    shape = [columns.MAXIMUM_BYTES] * 7 + [0]
    entry = {"dtype": "int64", "offset": 0, "shape": shape}
    with pytest.raises(ColumnsMalformed):
        columns.decode(blob({"a": {"columns": {"x": entry}, "rows": 0}}))


@pytest.mark.parametrize(
    "tables",
    [
        {"\ud800": {"columns": {}, "rows": 0, "more": 1}},
        {"\ud800": 1},
        {"a": {"columns": {"\ud800": 1}, "rows": 0}},
        {"a": {"columns": {"\u001b[2J": {"dtype": "int64", "offset": 0, "z": 1}}, "rows": 0}},
    ],
)
def test_a_hostile_name_reaches_no_message(tables: object) -> None:
    with pytest.raises(ColumnsMalformed) as caught:
        columns.decode(blob(tables))
    assert caught.value.sentence.isprintable()
