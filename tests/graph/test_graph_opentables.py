"""Open tables as edges: what each row becomes, and the persons who must stand behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graph import building, invariants
from graph import plan as plans
from graph.errors import CohortBroken, PlanRefused, TableRefused
from graph.model import Flow, Link, Relation, Source, TerritoryGraph
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

[[nodes]]
id = "actor:verrerie"
name = "Verrerie"

[[nodes]]
id = "actor:regie"
name = "Régie"
kind = "authority"

[[nodes]]
id = "action:consigne"
name = "Consigne du verre"

[[resources]]
id = "resource:power"
name = { fr = "électricité", en = "electricity" }
kind = "energy"

[[resources]]
id = "resource:glass"
name = { fr = "verre", en = "glass" }
kind = "matter"
"""


def a_table(holds: str, columns: str, lines: str = "") -> str:
    return f"""
[[tables]]
file = "{holds}.csv"
holds = "{holds}"
series = "{holds}"
title = "Table"
attribution = "essai"
licence = "Licence Ouverte 2.0"
columns = {{ {columns} }}
{lines}
"""


YEAR = 'unit = "{}"\nperiod = ["2026-01-01", "2026-12-31"]\n'
KWH = YEAR.format("kWh")
USE = 'origin = "place", resource = "what", quantity = "kwh"'
COUNTED = USE + ', count = "homes"'


def build(plan: str, **tables: str) -> TerritoryGraph:
    text = HEAD + plan
    data = {f"{holds}.csv": rows.encode() for holds, rows in tables.items()}
    return building.build(
        plans.read(text.encode()), text.encode(), data, [], territory=NAME, dated=NOW
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
    for lines, asked in (
        (KWH, "write `minimum = 0`"),
        (KWH + "minimum = 20\n", "write `minimum = 0`"),
    ):
        with pytest.raises(PlanRefused, match="kWh do not say how many persons") as refused:
            build(a_table("consumption", USE, lines), consumption=rows)
        assert asked in str(refused.value.remedy)
    graph = build(a_table("consumption", USE, KWH + "minimum = 0\n"), consumption=rows)
    (flow,) = graph.flows
    assert (flow.quantity, flow.count) == ("42", None)
    assert source_of(graph, "consumption").minimum == 0


def test_a_table_that_counts_persons_has_no_minimum_of_nobody() -> None:
    with pytest.raises(PlanRefused, match="under 20"):
        build(a_table("consumption", COUNTED, KWH + "minimum = 0\n"), consumption="")


def test_persons_are_not_counted_twice() -> None:
    """With a column of counts beside persons, nobody could tell which of the two is the floor's."""
    plan = a_table("consumption", COUNTED, YEAR.format("persons"))
    with pytest.raises(PlanRefused, match="count"):
        build(plan, consumption="place,what,kwh,homes\nplace:a,power,30,\n")


@pytest.mark.parametrize("holds", ["place", "belonging"])
def test_a_minimum_is_of_flows(holds: str) -> None:
    columns = 'id = "a", name = "b"' if holds == "place" else 'origin = "a", target = "b"'
    with pytest.raises(PlanRefused, match="count nobody"):
        build(a_table(holds, columns, "minimum = 20\n"), **{holds: "a,b\n"})


ENDS = 'origin = "from", target = "to"'
TRADE = ENDS + ', resource = "what", quantity = "t"'
MADE = 'origin = "where", resource = "what", quantity = "kwh", count = "homes"'


def test_every_relation_of_a_table_is_built() -> None:
    """Transactions, production and the three links, each from a table of its own."""
    tables = {
        "transaction": "from,to,what,t\nverrerie,regie,g,1.25\nregie,verrerie,g,3\n"
        "verrerie,regie,g,0.5\n",
        "production": "where,what,kwh,homes\nplace:a,power,900,12\nactor:regie,power,4e3,31\n"
        "place:a,power,100.50,8\n",
        "belonging": "from,to\nplace:a,territory:vallee\nactor:regie,place:b\n",
        "participation": "from,to\nverrerie,consigne\nregie,consigne\nregie,consigne\n",
        "interest": "from,to\naction:consigne,objective:climate-change\nactor:verrerie,glass\n",
    }
    plan = (
        a_table("transaction", TRADE, 'minimum = 0\ncodes.resource = { g = "resource:glass" }\n'
                'unit = "t"\nperiod = ["2025-01-01", "2025-06-30"]')
        + a_table("production", MADE, KWH)
        + a_table("belonging", ENDS)
        + a_table("participation", ENDS)
        + a_table("interest", ENDS, 'codes.target = { glass = "resource:glass", '
                  '"objective:climate-change" = "objective:climate-change" }')
    )  # fmt: skip
    graph = build(plan, **tables)

    def told(flow: Flow) -> tuple[str | None, ...]:
        return (
            flow.relation.value, flow.origin, flow.target, flow.resource, flow.quantity, flow.unit,
            flow.begins, flow.ends, flow.source, flow.lower, flow.upper, flow.count,
        )  # fmt: skip

    glass, power = "resource:glass", "resource:power"
    half = ("t", "2025-01-01", "2025-06-30", "source:transaction", None, None, None)
    year = ("kWh", "2026-01-01", "2026-12-31", "source:production", None, None)
    assert [told(flow) for flow in graph.flows] == [
        ("production", "actor:regie", power, power, "4000", *year, "31"),
        ("production", "place:a", power, power, "1000.5", *year, "20"),
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
    minima = {series: source_of(graph, series).minimum for series in tables}
    assert minima == {**dict.fromkeys(tables, 0), "production": 20}
    assert all(source_of(graph, series).withheld == 0 for series in tables)


def test_an_end_of_several_kinds_is_written_with_its_kind() -> None:
    with pytest.raises(TableRefused, match="several kinds"):
        build(a_table("interest", ENDS), interest="from,to\nverrerie,objective:health\n")
