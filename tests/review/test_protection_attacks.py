"""Attacks on the column format: hostile bytes end in a typed refusal, whatever they claim."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from jobs import aggregate
from jobs.errors import AggregateRefused
from protection import accounting, columns
from protection.errors import ColumnsMalformed, RingOverflow
from protection.quantise import from_steps
from trust.documents.rules import Mechanism, Norm, PrivacyUnit, Protection, ReleaseRules

MILLIONS = ReleaseRules(
    output="euros",
    shape=(2,),
    dtype="int64",
    step="1000000",
    norm=Norm.L1,
    bound="1000000000000000",
    unit=PrivacyUnit.OWNER,
    protection=Protection.CLEAR,
    mechanism=Mechanism.DISCRETE_GAUSSIAN,
    rho="0.1",
    minimum_contributors=1,
    maximum_contributors=1_000_000,
    minimum_capsules=1,
    minimum_workers=1,
    minimum_operators=1,
    suppress_below=0,
)


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


def test_a_sum_that_fits_in_steps_and_not_in_the_outputs_unit_is_not_admitted() -> None:
    with pytest.raises(RingOverflow):
        accounting.check_ring(MILLIONS)


def test_whole_numbers_never_wrap_on_their_way_back_from_steps() -> None:
    steps = np.array([2**62, -(2**62)], np.int64)
    with pytest.raises(RingOverflow):
        from_steps(steps, Fraction(10**6), "int64")
    edge = np.array([(2**63 - 1) // 10, -((2**63 - 1) // 10)], np.int64)
    assert from_steps(edge, Fraction(10), "int64").tolist() == [10 * int(v) for v in edge]


@pytest.mark.parametrize(("value", "variance"), [(2**62, "5"), (0, "-5"), (0, "-0.1")])
def test_a_lying_workers_partial_is_refused_and_wraps_nothing(value: int, variance: str) -> None:
    part = aggregate.Part({"euros": np.full(2, value, np.int64)}, {"euros": variance})
    with pytest.raises(AggregateRefused):
        aggregate.combine((MILLIONS,), [part])
