from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from graph import difference, rows
from graph.errors import GraphInvalid
from graph.model import Flow, Relation, TerritoryGraph
from tests.graph.graph_built import built
from tests.graph.graph_strategies import graphs
from tests.graph.graph_territory import CELLS, Town, a_report

FEW = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


def keyed(graph: TerritoryGraph) -> dict[str, Any]:
    return {table: dict(difference._keyed(graph, table)) for table in rows.tables()}


@given(graphs())
@FEW
def test_a_graph_does_not_differ_from_itself(graph: TerritoryGraph) -> None:
    assert difference.between(graph, graph) == []


@given(graphs(), graphs())
@FEW
def test_the_differences_lead_from_one_graph_to_the_other(
    before: TerritoryGraph, after: TerritoryGraph
) -> None:
    tables = keyed(before)
    for change in difference.between(before, after):
        assert tables[change.table].get(change.key) == change.before
        if change.after is None:
            del tables[change.table][change.key]
        else:
            tables[change.table][change.key] = change.after
    assert tables == keyed(after)


@given(graphs(), graphs())
@FEW
def test_back_is_there_reversed(before: TerritoryGraph, after: TerritoryGraph) -> None:
    there = difference.between(before, after)
    back = difference.between(after, before)
    assert [(c.table, c.key, c.before, c.after) for c in there] == [
        (c.table, c.key, c.after, c.before) for c in back
    ]
    assert [change.clear for change in there] == [change.clear for change in back]


def test_another_year_is_compared_edge_by_edge_and_noise_is_said(tmp_path: Path) -> None:
    town = Town(tmp_path)
    cells = list(CELLS)
    cells[0] += 5  # type: ignore[operator] - within the bands of 4.5 each
    cells[1] += 500  # type: ignore[operator]
    before = built(town, [town.publish(a_report(CELLS), "one", number=1)])
    after = built(town, [town.publish(a_report(cells), "two", number=2)])
    changes = [c for c in difference.between(before, after) if c.table == "flows"]
    assert [change.kind for change in changes] == ["changed", "changed"]
    assert [change.clear for change in changes] == [False, True]
    assert all(set(change.fields) == {"quantity", "lower", "upper"} for change in changes)


def test_an_edge_that_noise_may_have_hidden_comes_and_goes_without_being_clear(
    tmp_path: Path,
) -> None:
    """Bands of 4.5, nothing shown under 20: at 24 the same 20 persons are shown or they are not."""
    town = Town(tmp_path)
    cells = list(CELLS)
    cells[3], cells[4] = 24, "<20"  # withheld and 200 before
    before = built(town, [town.publish(a_report(CELLS), "one", number=1)])
    after = built(town, [town.publish(a_report(cells), "two", number=2)])
    for there, back in ((before, after), (after, before)):
        changes = [c for c in difference.between(there, back) if c.table == "flows"]
        told = {
            str((change.before or change.after).quantity): (change.kind, change.clear)
            for change in changes
        }
        near, far = ("added", "removed") if there is before else ("removed", "added")
        assert told == {"24": (near, False), "200": (far, True)}
    # A graph without the series at all is another matter: nothing of it was left out there.
    (series,) = {change.key[0] for change in changes}
    others = tuple(source for source in before.sources if source.series != series)
    without = replace(before, flows=(), sources=others)
    changes = [c for c in difference.between(without, before) if c.table == "flows"]
    assert {(change.kind, change.clear) for change in changes} == {("added", True)}


def test_beside_another_unit_a_band_does_not_say_how_noisy_the_count_is() -> None:
    noised = Flow(
        *(Relation.TRANSACTION, "actor:a", "actor:b", "resource:steel", "500", "t"),
        *("2025-01-01", "2025-12-31", "source:one", "490", "510", "40"),
    )
    exact = replace(noised, lower=None, upper=None)
    for flow, floor, clear in ((noised, 20, False), (noised, 0, True), (exact, 20, True)):
        assert difference.Change("flows", (), None, flow, floor).clear is clear


def test_two_territories_are_not_compared(tmp_path: Path) -> None:
    graph = built(Town(tmp_path))
    with pytest.raises(GraphInvalid):
        difference.between(graph, replace(graph, territory="elsewhere.example"))
