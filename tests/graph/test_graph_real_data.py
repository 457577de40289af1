"""The graph of real open data, and of the territory demo's plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from demo import companies
from graph import building, document, releases, shapes
from graph import plan as plans
from graph.commuting import commutes
from graph.doughnut import Status, doughnut
from graph.indicators import indicators
from graph.model import SourceKind
from graph.pictures import schematic, streams
from tests import open_data
from tests.graph.graph_territory import NAME, NOW, Town, a_report

CLIMATE = "objective:climate-change"
MOBPRO = "mobility_plaine_commune_mobpro2014"
OPEN_PLAN = """\
[graph]
name = { fr = "Plaine Commune, recensement 2014", en = "Plaine Commune, census 2014" }
attribution = "INSEE, IGN"
licence = "Licence Ouverte 2.0"

[[nodes]]
id = "territory:plaine-commune"
name = "Plaine Commune"

[[tables]]
file = "communes_centroids.csv"
holds = "place"
series = "communes"
title = "Communes de Paris et de la petite couronne"
attribution = "INSEE, IGN"
licence = "Licence Ouverte 2.0"
columns = { id = "code", name = "nom", longitude = "lon", latitude = "lat" }

[[tables]]
file = "commuters_csp_mode.csv"
holds = "commuting"
series = "mobpro"
title = "Mobilités professionnelles, recensement 2014"
attribution = "INSEE, RP2014 MOBPRO"
licence = "Licence Ouverte 2.0"
unit = "persons"
period = ["2014-01-01", "2014-12-31"]
columns = { origin = "ori", target = "des", resource = "mode", quantity = "weight" }

[tables.codes.resource]
1 = "resource:mode.none"
2 = "resource:mode.walk"
3 = "resource:mode.two-wheels"
4 = "resource:mode.car"
5 = "resource:mode.transit"
"""


def test_the_census_of_2014() -> None:
    folder = open_data.require(MOBPRO)
    plan = plans.read(OPEN_PLAN.encode())
    tables = {table.file: (folder / table.file).read_bytes() for table in plan.tables}
    graph = building.build(plan, OPEN_PLAN.encode(), tables, [], territory=NAME, dated=NOW)
    assert document.decode(document.encode(graph)) == graph
    assert all(float(flow.quantity) >= 20 for flow in graph.flows)
    (one,) = commutes(graph)
    persons = sum(trip.persons for trip in one.trips)
    # ground_truth_totals.json: 219,876 in all, of whom edges under 20 persons are left out.
    assert 0.8 * 219_876 < persons < 219_876
    by_name = {(item.name, item.about): item for item in indicators(graph)}
    measured = by_name["measured", "territory"].value
    assert measured is not None
    assert measured > 0.6
    distance = by_name["distance", "territory"].value
    assert distance is not None
    assert 4 < distance < 12
    assert by_name["emissions", "resource:mode.car"].value
    assert schematic.draw(graph, "fr")
    assert streams.draw(graph, "en")


def test_the_territory_demos_plan(tmp_path: Path) -> None:
    """The published figures, noised as the bundle does, through the demo's own plan."""
    _, rows = companies.read_figures()
    noise = np.random.default_rng(1).normal(0, 4.5, (10, 10, 5)).round().astype(int)
    counts = companies.flows(rows) + noise
    cells = [int(cell) if cell >= 20 else "<20" for cell in counts.reshape(-1)]
    town = Town(tmp_path)
    folder = town.publish(a_report(cells, (10, 10, 5), bundle=companies.FLOWS))
    folder_of_plan = companies.FIGURES
    raw = (folder_of_plan / "plan.toml").read_bytes()
    plan = plans.read(raw)
    tables = {table.file: (folder_of_plan / table.file).read_bytes() for table in plan.tables}
    found = releases.verified(releases.gather([folder]), town.trusted())
    graph = building.build(plan, raw, tables, found, territory=NAME, dated=NOW)
    shapes.require(graph)
    release = next(source for source in graph.sources if source.kind is SourceKind.RELEASE)
    assert len(graph.flows) + release.withheld == 500
    by_name = {(item.name, item.about): item for item in indicators(graph)}
    stay = by_name["self-containment", "territory"].value
    assert stay is not None
    # The census's own share: 55,650 of 141,371 residents; small flows are withheld.
    assert abs(stay - 55_650 / 141_371) < 0.02
    # The limit that the plan cites is 28 % below what the census gives; noise does not bridge that.
    emitted = by_name["emissions-per-commuter", "territory"]
    assert emitted.value == pytest.approx(0.543, abs=0.02)
    (climate,) = (one for one in doughnut(graph) if one.objective.id == CLIMATE)
    assert climate.status is Status.BEYOND
    assert climate.sources == (*emitted.sources, "source:limit.climate-change")
