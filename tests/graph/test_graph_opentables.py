"""Open tables as edges: what each row becomes, and the persons who must stand behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graph import building, invariants
from graph import plan as plans
from graph.errors import CohortBroken, PlanRefused, TableRefused
from graph.model import Flow, Link, Relation, Source, TerritoryGraph
from tests.graph.graph_relations import KWH, PARTIES, RELATIONS, TABLES, YEAR, a_table, files
from tests.graph.graph_territory import NAME, NOW

HEAD = """\
[graph]
name = { fr = "Deux villages", en = "Two villages" }
attribution = "essai"
licence = "Licence Ouverte 2.0"

[[nodes]]
id = "territory:vallee"
name = "Vallée"

[[nodes]]
id = "place:a"
name = "Amont"

[[nodes]]
id = "place:b"
name = "Bourg"
"""
USE = 'origin = "place", resource = "what", quantity = "kwh"'
COUNTED = USE + ', count = "homes"'


def build(plan: str, **tables: str) -> TerritoryGraph:
    text = HEAD + PARTIES + plan
    plan_bytes = text.encode()
    return building.build(
        plans.read(plan_bytes), plan_bytes, files(tables), [], territory=NAME, dated=NOW
    )


def source_of(graph: TerritoryGraph, series: str) -> Source:
    return next(source for source in graph.sources if source.series == series)


def test_an_edge_with_an_empty_count_is_withheld() -> None:
    """One empty cell took the count away from the whole edge, which then passed without one."""
    graph = build(
        a_table("consumption", COUNTED, KWH),
        consumption="place,what,kwh,homes\nplace:a,power,30,5\nplace:a,power,12,\n"
        "place:b,power,7,15\nplace:b,power,8,5\n",
    )
    (flow,) = graph.flows
    assert (flow.origin, flow.quantity, flow.count) == ("place:b", "15", "20")
    source = source_of(graph, "consumption")
    assert (source.minimum, source.withheld) == (20, 1)


def test_many_known_persons_do_not_make_up_for_an_empty_count() -> None:
    graph = build(
        a_table("consumption", COUNTED, KWH),
        consumption="place,what,kwh,homes\nplace:a,power,30,500\nplace:a,power,12,\n",
    )
    assert not graph.flows
    assert source_of(graph, "consumption").withheld == 1


def test_a_source_with_a_minimum_has_no_edge_without_a_count() -> None:
    graph = build(
        a_table("consumption", COUNTED, KWH),
        consumption="place,what,kwh,homes\nplace:a,power,30,20\n",
    )
    (flow,) = graph.flows
    with pytest.raises(CohortBroken, match="without a count"):
        invariants.check(replace(graph, flows=(replace(flow, count=None),)))
    link = Link(Relation.BELONGING, "place:a", "territory:vallee", flow.source)
    with pytest.raises(CohortBroken, match="without a count"):
        invariants.check(replace(graph, links=(link,)))


def test_a_table_that_counts_nobody_says_so() -> None:
    rows = "place,what,kwh\nplace:a,power,30\nplace:a,power,12\n"
    for lines in (KWH, KWH + "minimum = 20\n"):
        with pytest.raises(PlanRefused, match="kWh do not say how many persons") as refused:
            build(a_table("consumption", USE, lines), consumption=rows)
        assert "write `minimum = 0`" in str(refused.value.remedy)
    graph = build(a_table("consumption", USE, KWH + "minimum = 0\n"), consumption=rows)
    (flow,) = graph.flows
    assert (flow.quantity, flow.count) == ("42", None)
    assert source_of(graph, "consumption").minimum == 0


def test_a_table_that_counts_persons_has_no_minimum_of_nobody() -> None:
    with pytest.raises(PlanRefused, match="under 20"):
        build(a_table("consumption", COUNTED, KWH + "minimum = 0\n"), consumption="")


def test_persons_are_not_counted_twice() -> None:
    """With a column of counts beside persons, nobody could tell which of the two is the floor's."""
    plan = a_table("consumption", COUNTED, YEAR + 'unit = "persons"')
    with pytest.raises(PlanRefused, match="count"):
        build(plan, consumption="place,what,kwh,homes\nplace:a,power,30,\n")


@pytest.mark.parametrize("holds", ["place", "belonging"])
def test_a_minimum_is_of_flows(holds: str) -> None:
    columns = 'id = "a", name = "b"' if holds == "place" else 'origin = "a", target = "b"'
    with pytest.raises(PlanRefused, match="count nobody"):
        build(a_table(holds, columns, "minimum = 20\n"), **{holds: "a,b\n"})


def test_every_relation_of_a_table_is_built() -> None:
    """Commuting has tests of its own; these are the other six, each from a table."""
    graph = build(RELATIONS, **TABLES)

    def told(flow: Flow) -> tuple[str | None, ...]:
        return (
            flow.relation.value, flow.origin, flow.target, flow.resource, flow.quantity, flow.unit,
            flow.begins, flow.ends, flow.source, flow.lower, flow.upper, flow.count,
        )  # fmt: skip

    glass, power = "resource:glass", "resource:power"
    half = ("t", "2025-01-01", "2025-06-30", "source:transaction", None, None, None)

    def year(series: str) -> tuple[str | None, ...]:
        return ("kWh", "2026-01-01", "2026-12-31", f"source:{series}", None, None)

    assert [told(flow) for flow in graph.flows] == [
        ("consumption", "place:b", power, power, "70", *year("consumption"), "40"),
        ("production", "actor:regie", power, power, "4000", *year("production"), "31"),
        ("production", "place:a", power, power, "1000.5", *year("production"), "20"),
        ("transaction", "actor:regie", "actor:verrerie", glass, "3", *half),
        ("transaction", "actor:verrerie", "actor:regie", glass, "1.75", *half),
    ]
    assert [(link.relation, link.origin, link.target, link.source) for link in graph.links] == [
        ("belonging", "actor:regie", "place:b", "source:belonging"),
        ("belonging", "place:a", "territory:vallee", "source:belonging"),
        ("interest", "action:consigne", "objective:climate-change", "source:interest"),
        ("interest", "actor:verrerie", glass, "source:interest"),
        ("participation", "actor:regie", "action:consigne", "source:participation"),
        ("participation", "actor:verrerie", "action:consigne", "source:participation"),
    ]
    for holds in TABLES:
        source = source_of(graph, holds)
        counts = holds in {"production", "consumption"}
        assert (source.minimum, source.withheld) == (20 if counts else 0, 0)


def test_an_end_of_several_kinds_is_written_with_its_kind() -> None:
    with pytest.raises(TableRefused, match="several kinds"):
        build(
            a_table("interest", 'origin = "from", target = "to"'),
            interest="from,to\nverrerie,objective:health\n",
        )
