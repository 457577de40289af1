"""Records, headings and journals: there and back, bit for bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("flwr", reason="no flwr: pip install 'cadastre[flower]'")

from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from jobs.flower.adapter import averaging, journal, records
from jobs.flower.adapter.grid import Sent
from jobs.flower.adapter.journal import Entry, Reply
from jobs.flower.adapter.plan import Kind, Plan
from jobs.flower.adapter.refusals import Stopped

TYPES = st.sampled_from(["float32", "float64", "int64", "uint8", "bool", "float16"])
SHAPES = st.sampled_from([(), (1,), (3,), (2, 2), (0,), (2, 1, 3)])
NAMES = st.text("abc.<>_é", min_size=1, max_size=6)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=64)


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    shape, dtype = draw(SHAPES), draw(TYPES)
    count = math.prod(shape)
    numbers = draw(st.lists(st.integers(0, 200), min_size=count, max_size=count))
    return Array(np.array(numbers).astype(dtype).reshape(shape))


METRICS = st.one_of(
    st.integers(-(2**50), 2**50), FLOATS, st.lists(FLOATS, max_size=3), st.lists(st.integers(0, 9))
)
CONFIGS = st.one_of(
    st.booleans(), st.integers(-(2**60), 2**60), FLOATS, st.text(), st.binary(max_size=9),
    st.lists(FLOATS, max_size=2), st.lists(st.binary(max_size=3), max_size=2),
)  # fmt: skip
RECORDS = st.dictionaries(
    NAMES,
    st.one_of(
        st.dictionaries(NAMES, arrays(), max_size=3).map(ArrayRecord),
        st.dictionaries(NAMES, METRICS, max_size=3).map(MetricRecord),
        st.dictionaries(NAMES, CONFIGS, max_size=3).map(ConfigRecord),
    ),
    max_size=4,
).map(RecordDict)


@given(RECORDS)
def test_a_message_survives_the_grids_state(content: RecordDict) -> None:
    flat = records.flatten(content)
    sent = Sent("train.x", flat, (0, 3))
    heading = journal.write_heading(sent, journal.heading_cells(sent) + 3)
    message = journal.write_message(flat, len(flat.values) + 2)
    assert (np.abs(heading) <= 2**32).all()
    read = journal.read_heading(heading, message)
    assert (read.message_type, read.nodes) == ("train.x", (0, 3))
    again = records.restore(read.flat)
    assert records.flatten(again).text == flat.text
    assert records.flatten(again).values.tobytes() == flat.values.tobytes()
    assert journal.checksum(read) == journal.checksum(sent)


REPLIES = st.builds(
    Reply, st.integers(0, 99), st.integers(0, 10**9), st.lists(FLOATS, max_size=4).map(np.array)
)


@given(
    st.lists(
        st.builds(
            Entry,
            st.integers(0, 2**32 - 1),
            st.integers(0, 3),
            st.lists(REPLIES, max_size=3).map(tuple),
        ),
        max_size=5,
    )
)
def test_a_journal_is_read_back(entries: list[Entry]) -> None:
    cells = journal.journal_cells(entries)
    read = journal.read_journal(journal.write_journal(entries, cells + 5))

    def plain(found: list[Entry]) -> list[object]:
        return [
            (e.check, e.kind, [(r.node, r.examples, r.values.tolist()) for r in e.replies])
            for e in found
        ]

    assert plain(read) == plain(entries)
    if entries:
        with pytest.raises(Stopped, match="state-full"):
            journal.write_journal(entries, cells - 1)


def reply(value: float, examples: int, dtype: str = "float32") -> records.Flat:
    return records.flatten(
        RecordDict(
            {
                "arrays": ArrayRecord(
                    {"w": Array(np.full(3, value, dtype)), "n": Array(np.array(4))}
                ),
                "metrics": MetricRecord({"loss": value, "num-examples": examples}),
            }
        )
    )


def plan() -> Plan:
    kind = Kind("train", reply(1.0, 1).layout)
    return Plan("a:b", "a:c", {}, 2, "num-examples", 100.0, "t", ["x"], "data.csv", "", [kind])


@given(
    st.lists(st.tuples(st.floats(-10, 10, width=32), st.integers(1, 300)), min_size=1, max_size=6)
)
def test_sums_of_contributions_give_the_weighted_average(clients: list[tuple[float, int]]) -> None:
    told, sent = plan(), Sent("train", reply(0.5, 1), (0, 1))
    parts = [
        averaging.contribution(told, told.kinds[0], sent, reply(value, examples))
        for value, examples in clients
    ]
    rows = [averaging.rows(told, part, 0) for part in parts]
    aggregate = {name: sum(row[name] for row in rows) for name in rows[0]}
    aggregate["weight.variance"] = np.zeros(1)
    (answered,) = averaging.replies(told, sent, averaging.entry(told, sent, aggregate)).values()
    assert answered is not None
    weights = [min(examples, 100) for _, examples in clients]
    mean = np.average([value for value, _ in clients], weights=weights)
    found = answered["arrays"]["w"].numpy()  # type: ignore[index,union-attr]
    assert found.dtype == np.float32
    assert found == pytest.approx(mean, abs=1e-5)
    metrics = dict(answered["metrics"])  # type: ignore[arg-type]
    assert metrics["loss"] == pytest.approx(mean, abs=1e-5)
    assert metrics["num-examples"] == sum(weights)


@pytest.mark.parametrize("bad", [np.array(["text"]), np.array([1j]), np.array([2**60 + 1])])
def test_what_a_state_cannot_carry_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(Stopped, match="array-type"):
        records.flatten(RecordDict({"a": ArrayRecord({"w": Array(bad)})}))
