from __future__ import annotations

import csv
import os
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from graph import concepts, factors, invariants
from graph.indicator import Indicator
from graph.indicators import indicators
from graph.model import (
    Actor,
    ActorKind,
    Factor,
    Flow,
    Relation,
    Resource,
    ResourceKind,
    TerritoryGraph,
    flow_key,
)
from graph.totals import COUNTED, totals
from tests.graph.graph_built import built
from tests.graph.graph_strategies import graphs
from tests.graph.graph_territory import Town

HOUSE = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("CADASTRE_DATA", HOUSE.parent / "shared" / "data"))
PAGE = HOUSE / "docs" / "ontology.md"
TABLE = DATA / "emission_factors_ademe" / "factors_FR_RE.csv"
FEW = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
RELEASE, VILLAGES = "source:commute_flows_test.flows", "source:villages"
POWER, GLASS = "resource:power", "resource:zglass"


def flow(relation: Relation, origin: str, quantity: str, unit: str, **more: str | None) -> Flow:
    whole = {
        "target": POWER, "resource": POWER, "begins": "2026-01-01", "ends": "2026-12-31",
        "source": VILLAGES, "lower": None, "upper": None, "count": "40", **more,
    }  # fmt: skip
    return Flow(relation=relation, origin=origin, quantity=quantity, unit=unit, **whole)  # type: ignore[arg-type]


def banded(lower: str, upper: str) -> dict[str, str]:
    return {"source": RELEASE, "lower": lower, "upper": upper}


@pytest.fixture
def graph(tmp_path: Path) -> TerritoryGraph:
    """The three villages; two of them use electricity, and a firm sells glass to another one."""
    plain = built(Town(tmp_path))
    firms = tuple(
        Actor(f"actor:{code}", code, ActorKind.ORGANISATION, None, VILLAGES) for code in "xy"
    )
    more = (
        Resource(POWER, "électricité", "electricity", ResourceKind.ENERGY, None, VILLAGES),
        Resource(GLASS, "verre", "glass", ResourceKind.MATTER, None, VILLAGES),
    )
    flows = (
        *plain.flows,
        flow(
            Relation.CONSUMPTION, "place:a", "100", "MWh", source=RELEASE, lower="97", upper="103"
        ),
        flow(Relation.CONSUMPTION, "place:b", "50", "MWh", **banded("46", "54")),
        flow(Relation.CONSUMPTION, "place:a", "900", "kWh"),
        flow(Relation.PRODUCTION, "place:b", "7", "MWh"),
        flow(Relation.TRANSACTION, "actor:x", "3", "t", target="actor:y", resource=GLASS),
    )
    power = Factor(POWER, "0.05", "0.04", "0.08", "kgCO2e/kWh", "source:factors")
    changed = replace(
        plain, actors=firms, resources=(*plain.resources, *more),
        flows=tuple(sorted(flows, key=flow_key)), factors=(*plain.factors, power),
    )  # fmt: skip
    invariants.check(changed)
    return changed


def told(graph: TerritoryGraph, name: str) -> list[Indicator]:
    return [one for one in indicators(graph) if one.name == name]


def test_a_total_per_relation_resource_unit_and_source(graph: TerritoryGraph) -> None:
    first, second = told(graph, "consumption")
    assert (first.about, first.value, first.unit, first.sources) == (POWER, 150, "MWh", (RELEASE,))
    assert (first.low, first.high) == (145, 155)  # 3 and 4 make 5: independent noise
    assert "2026-01-01 to 2026-12-31; flows: 2, with a band: 2" in first.note
    assert "5 edges of the source withheld" in first.note
    assert (second.value, second.low, second.high, second.unit) == (900, 900, 900, "kWh")
    assert second.note.endswith("flows: 1, with a band: 0")
    (made,) = told(graph, "production")
    assert (made.about, made.value, made.unit) == (POWER, 7, "MWh")
    (traded,) = told(graph, "transaction")
    assert (traded.about, traded.value, traded.unit) == (GLASS, 3, "t")


def test_a_factor_that_fits_is_scaled_and_named(graph: TerritoryGraph) -> None:
    first, second = told(graph, "consumption-emissions")
    assert (first.value, first.unit) == (150_000 * 0.05, "kgCO2e")
    assert (first.low, first.high) == (145_000 * 0.04, 155_000 * 0.08)
    assert first.sources == (RELEASE, "source:factors")
    assert second.value == 900 * 0.05
    assert "0.05 kgCO2e/kWh" in second.note
    (glass,) = told(graph, "transaction-emissions")
    assert (glass.value, glass.low, glass.high) == (None, None, None)
    assert "no factor" in glass.note


def test_a_factor_of_another_unit_is_not_guessed_with(graph: TerritoryGraph) -> None:
    def by_mass(factor: Factor) -> Factor:
        return replace(factor, unit="kgCO2e/kg") if factor.resource == POWER else factor

    changed = replace(graph, factors=tuple(map(by_mass, graph.factors)))
    for one in told(changed, "consumption-emissions"):
        assert one.value is None
        assert "does not fit" in one.note
    # Nor do trips take a factor that is not per kilometre.
    unlike = replace(graph, factors=tuple(replace(f, unit="kgCO2e/kg") for f in graph.factors))
    assert {one.value for one in told(unlike, "emissions")} == {None}


def test_ways_to_work_are_told_as_before(graph: TerritoryGraph, tmp_path: Path) -> None:
    plain = built(Town(tmp_path))
    before = indicators(plain)
    assert indicators(graph)[: len(before)] == before


@given(graphs())
@FEW
def test_every_flow_is_in_one_total(graph: TerritoryGraph) -> None:
    counted = [flow for flow in graph.flows if flow.relation in COUNTED]
    found = totals(graph)
    assert sorted((f for one in found for f in one.flows), key=flow_key) == counted
    sums: dict[tuple[str, str, str, str], Decimal] = defaultdict(Decimal)
    for one in counted:
        sums[one.source, one.relation, one.resource, one.unit] += Decimal(one.quantity)
    for each in found:
        whole = sums[each.source.id, each.relation, each.resource, each.unit]
        assert each.estimate.value == pytest.approx(float(whole))


def test_units_that_a_factor_fits_are_units_of_flows() -> None:
    for fits in concepts.FACTOR_UNITS.values():
        assert fits.keys() <= concepts.UNITS.keys()
        assert 1 in fits.values()


def test_the_page_tells_every_cited_factor() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for line in factors.ENERGY_FACTORS.values():
        assert line.name in text
        assert f"{line.value} {line.unit}" in text or f"{line.value}, " in text


@pytest.mark.skipif(not TABLE.is_file(), reason=f"no table of factors in {TABLE}")
def test_cited_factors_are_the_published_ones() -> None:
    with TABLE.open(encoding="utf-8", newline="") as stream:
        published = {(row["region"], row["rule"]): row for row in csv.DictReader(stream)}
    for name, line in factors.ENERGY_FACTORS.items():
        row = published["RE" if name.endswith("-re") else "FR", line.rule]
        assert float(row["value"]) == float(line.value)
        assert row["unit"].lower() == line.unit.lower()
