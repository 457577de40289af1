"""The table of `make bench-learning`: what is still to do, what is met, what the page says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("networkx", reason="networkx is not installed (the extra `learning`)")

from benchmarks import learning
from benchmarks.cora import LINES, SEEDS, Line
from benchmarks.learning import Record

DOCS = Path(__file__).resolve().parents[2] / "docs"


def a_line(*, asked: tuple[float, float] | None = (86.5, 100)) -> Line:
    return Line(
        "cora.some", "something", "87.3 +- 1.5", asked, range(1, 4), lambda _z, _g, _s: {"test": 0}
    )


def found(*accuracies: float) -> Record:
    seeds = enumerate(accuracies, start=1)
    return {"cora.some": {str(seed): {"test": accuracy} for seed, accuracy in seeds}}


def test_what_is_written_down_is_not_measured_again() -> None:
    line = a_line()
    assert learning.missing([line], {}) == [("cora.some", seed) for seed in (1, 2, 3)]
    record: Record = {"cora.some": {"2": {"test": 0.9}}}
    assert learning.missing([line], record) == [("cora.some", 1), ("cora.some", 3)]
    assert learning.missing([line], found(0.9, 0.9, 0.9)) == []


def test_no_verdict_before_every_seed_is_there() -> None:
    assert learning.met(a_line(), found(0.9, 0.9)) is None
    assert learning.met(a_line(asked=None), found(0.9, 0.9, 0.9)) is None
    assert learning.met(a_line(), found(0.865, 0.866, 0.867)) is True
    assert learning.met(a_line(), found(0.863, 0.864, 0.865)) is False
    assert learning.met(a_line(asked=(62.69, 67.47)), found(0.68, 0.68, 0.68)) is False


def test_a_miss_stays_in_the_table() -> None:
    (row,) = learning.render([a_line()], found(0.85, 0.86, 0.87)).splitlines()[2:]
    assert "| 86.00 +- 1.00 | 3 | 86.5 to 100 | no | 87.3 +- 1.5 |" in row


def test_lines_that_are_asked_for_run_ten_seeds() -> None:
    assert {line.seeds for line in LINES if line.asked is not None} == {SEEDS}
    assert len(SEEDS) == 10


def test_the_page_shows_the_record_that_is_beside_it() -> None:
    record = json.loads((DOCS / "learning-record.json").read_bytes())
    page = (DOCS / "learning.md").read_text(encoding="utf-8")
    assert learning.render(LINES, record) in page
    assert set(record) <= {line.name for line in LINES}
    for name in {name for name, _ in learning.missing(LINES, record)}:
        assert f"`{name}` (" in page, "what is not measured to the end is said"
