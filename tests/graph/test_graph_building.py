from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graph import building, document, releases
from graph import plan as plans
from graph.errors import (
    GraphInvalid,
    GraphMissing,
    PlanRefused,
    ReleaseUnfit,
    TableRefused,
)
from graph.model import Relation, SourceKind, TerritoryGraph
from tests.graph.graph_built import built
from tests.graph.graph_territory import (
    BUNDLE,
    CELLS,
    NAME,
    NOW,
    PLACES,
    PLAN,
    RULES,
    Town,
    a_report,
)
from trust.ids import Digest


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


def test_released_cells_become_edges_with_their_bands(town: Town) -> None:
    graph = built(town)
    shown = [cell for cell in CELLS if not isinstance(cell, str)]
    assert len(graph.flows) == len(shown)
    flow = next(f for f in graph.flows if f.origin == "place:a" and f.target == "place:b"
                and f.resource == "resource:mode.car")  # fmt: skip
    assert (flow.quantity, flow.lower, flow.upper, flow.unit) == ("50", "45.5", "54.5", "persons")
    assert (flow.begins, flow.ends) == ("2026-01-01", "2026-12-31")
    source = next(s for s in graph.sources if s.id == flow.source)
    assert (source.kind, source.minimum, source.withheld) == (SourceKind.RELEASE, 20, 5)


def test_the_same_input_gives_the_same_bytes(town: Town) -> None:
    assert document.encode(built(town)) == document.encode(built(town))


@pytest.mark.parametrize(("minimum", "suppress"), [(45, 20), (20, 45), (45, 0)])
def test_an_edge_below_the_voted_minimum_is_not_built(
    town: Town, minimum: int, suppress: int
) -> None:
    folder = town.publish(a_report(CELLS))
    rules = replace(RULES, minimum_contributors=minimum, suppress_below=suppress)
    (folder / "authorisation.json").write_bytes(town.vote((RULES, rules)))
    graph = built(town, folders=[folder])
    assert all(float(flow.quantity) >= 45 for flow in graph.flows)
    release = next(s for s in graph.sources if s.kind is SourceKind.RELEASE)
    assert release.minimum == 45
    assert release.withheld == 7  # five texts, 40 and 30


def test_the_newest_release_is_the_one(town: Town) -> None:
    old = town.publish(a_report(CELLS), "old", number=1)
    new = town.publish(a_report([cell if isinstance(cell, str) else 77 for cell in CELLS]),
                       "new", number=2)  # fmt: skip
    graph = built(town, folders=[new, old])
    assert {flow.quantity for flow in graph.flows} == {"77"}


def test_a_release_without_its_vote_is_refused(town: Town) -> None:
    folder = town.publish(a_report(CELLS))
    (folder / "authorisation.json").unlink()
    with pytest.raises(ReleaseUnfit, match="no valid authorisation"):
        built(town, folders=[folder])


def test_a_vote_for_another_bundle_tells_no_minimum(town: Town) -> None:
    folder = town.publish(a_report(CELLS))
    (folder / "authorisation.json").write_bytes(town.vote(bundle=Digest.of(b"other")))
    with pytest.raises(ReleaseUnfit):
        built(town, folders=[folder])


def test_a_vote_that_the_college_did_not_sign_tells_nothing(town: Town) -> None:
    folder = town.publish(a_report(CELLS))
    from trust.documents.root import Duty

    keys = dict(town.keys)
    town.keys[Duty.COLLEGE] = keys[Duty.ORDERS]
    forged = town.vote()
    town.keys = keys
    (folder / "authorisation.json").write_bytes(forged)
    with pytest.raises(ReleaseUnfit):
        built(town, folders=[folder])


def test_an_altered_report_is_not_the_released_one(town: Town) -> None:
    folder = town.publish(a_report(CELLS))
    (folder / "report.json").write_bytes(a_report([*CELLS[:-1], 900]))
    with pytest.raises(ReleaseUnfit, match="report"):
        built(town, folders=[folder])


def test_a_release_that_the_scheduler_did_not_sign_is_refused(town: Town) -> None:
    from trust.documents.root import Duty

    keys = dict(town.keys)
    town.keys[Duty.ORDERS] = keys[Duty.STATUS]
    folder = town.publish(a_report(CELLS))
    town.keys = keys
    with pytest.raises(ReleaseUnfit):
        built(town, folders=[folder])


def test_a_release_of_another_territory_is_refused(town: Town) -> None:
    folder = town.publish(report := a_report(CELLS))
    (folder / "release.json").write_bytes(town.release(report, territory="x.example"))
    with pytest.raises(ReleaseUnfit):
        built(town, folders=[folder])


@pytest.mark.parametrize(
    "cells",
    [
        a_report([float("nan")] * 18),
        a_report(CELLS[:-1]),
        a_report(CELLS, unit="km"),
        a_report(CELLS, shape=(3, 6)),
        b"[]",
        b'{"format":"other"}',
        b"\xff",
        b"[" * 100_000,
    ],
    ids=["nan", "short", "unit", "shape", "list", "format", "bytes", "deep"],
)
def test_reports_of_another_form_are_refused(town: Town, cells: bytes) -> None:
    with pytest.raises(ReleaseUnfit):
        built(town, folders=[town.publish(cells)])


def test_odd_cells_are_withheld_not_guessed(town: Town) -> None:
    odd: list[Any] = [None, True, -5, "100", *CELLS[4:]]
    graph = built(town, folders=[town.publish(a_report(odd, half=3))])
    kept = [cell for cell in CELLS[4:] if isinstance(cell, int)]
    assert sorted(float(flow.quantity) for flow in graph.flows) == sorted(map(float, kept))


def test_no_release_no_graph(town: Town, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReleaseUnfit, match="no release of"):
        built(town, folders=[tmp_path / "empty"])
    with pytest.raises(GraphMissing):
        built(town, folders=[tmp_path / "absent"])


def test_links_and_pipes_are_not_followed(town: Town, tmp_path: Path) -> None:
    folder = town.publish(a_report(CELLS))
    (folder / "loop").symlink_to(folder)
    (folder / "away").symlink_to("/etc/hostname")
    import os

    os.mkfifo(folder / "pipe")
    assert built(town, folders=[folder]).flows


OPEN = (
    PLAN[: PLAN.index("[[releases]]")]
    + """
[[tables]]
file = "places.csv"
holds = "commuting"
series = "trips"
title = "Trips"
attribution = "INSEE"
licence = "Licence Ouverte 2.0"
unit = "persons"
period = ["2014-01-01", "2014-12-31"]
codes.resource = { "4" = "resource:mode.car" }
columns = { origin = "o", target = "d", resource = "m", quantity = "n" }
"""
)


def open_flows(rows: str, plan: str = OPEN) -> TerritoryGraph:
    parsed = plans.read(plan.encode())
    tables = [replace(table, file=f"{number}.csv") for number, table in enumerate(parsed.tables)]
    parsed = replace(parsed, tables=tuple(tables))
    return building.build(
        parsed, plan.encode(),
        {"0.csv": PLACES.encode(), "1.csv": ("o,d,m,n\n" + rows).encode()}, [],
        territory=NAME, dated=NOW,
    )  # fmt: skip


def test_open_rows_are_summed_and_keep_the_floor() -> None:
    graph = open_flows("a,b,4,12.5\na,b,4,7.5\nb,a,4,19.9\na,a,4,20\n")
    assert {(f.origin, f.target): f.quantity for f in graph.flows} == {
        ("place:a", "place:b"): "20", ("place:a", "place:a"): "20",
    }  # fmt: skip
    assert next(s for s in graph.sources if s.series == "trips").withheld == 1


@pytest.mark.parametrize(
    "rows", ["a,b,9,30\n", "a,b,4,x\n", "a,b,4,-3\n", "a,b,4\n", "a,b,4,nan\n", 'a,"b,4,30\n']
)
def test_faulty_rows_are_refused(rows: str) -> None:
    with pytest.raises(TableRefused):
        open_flows(rows)


def test_rows_about_unknown_places_are_refused() -> None:
    with pytest.raises(GraphInvalid):
        open_flows("a,zz,4,30\n")


def test_an_open_minimum_is_not_lowered() -> None:
    with pytest.raises(PlanRefused, match="under 20"):
        open_flows("a,b,4,30\n", OPEN + "minimum = 5\n")
    graph = open_flows("a,b,4,30\n", OPEN + "minimum = 31\n")
    assert not graph.flows


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ('axes = ["origin", "target", "resource"]', 'axes = ["origin", "target"]'),
        ('relation = "commuting"', 'relation = "belonging"'),
        ('relation = "commuting"', 'relation = "walking"'),
        ('holds = "place"', 'holds = "person"'),
        ('id = "place:c"', 'id = "place:a"'),
        ('id = "place:c"', 'id = "person:c"'),
        ('period = ["2026-01-01", "2026-12-31"]', "period = []"),
        ("[graph]", "[graf]"),
        ('array = "flows"', 'array = "flows"\nunit = "kWh"'),
        ('attribution = "essai"', "attribution = 3"),
        ("[graph]", "surplus = 1\n[graph]"),
        ("[graph]", "[["),
    ],
)  # fmt: skip
def test_faulty_plans_are_refused(town: Town, what: str, instead: str) -> None:
    assert what in PLAN
    with pytest.raises(PlanRefused) as refused:
        built(town, plan=PLAN.replace(what, instead, 1))
    assert refused.value.remedy


def test_material_flows_counts_and_factors(town: Town) -> None:
    """Energy per place, with the persons behind it in an array of its own."""
    import json

    report = json.loads(a_report([1200.5, 99, 7.25], (3,), bundle="energy", unit="kWh"))
    report["arrays"]["persons"] = {
        "kind": "value", "of": None, "unit": "persons", "shape": [3],
        "labels": report["arrays"]["flows"]["labels"], "cells": [40, 19, "<20"],
    }  # fmt: skip
    plan = (
        PLAN[: PLAN.index("[[releases]]")]
        + """
[[resources]]
id = "resource:electricity"
name = { fr = "électricité", en = "electricity" }
kind = "energy"
factor = "electricity-fr"

[[factors]]
resource = "resource:mode.car"
value = "0.20"
low = "0.1"
high = "0.3"
unit = "kgCO2e/km"
reference = { title = "t", attribution = "a", licence = "l" }

[[limits]]
objective = "climate-change"
limit = "1.50"
unit = "kgCO2e/(commuter.day)"
reference = { title = "PCAET", attribution = "a", licence = "l" }

[[releases]]
bundle = "energy"
array = "flows"
relation = "consumption"
axes = ["origin"]
labels.origin = ["place:a", "place:b", "place:c"]
fixed.resource = "resource:electricity"
unit = "kWh"
counts = "persons"
period = ["2026-01-01", "2026-12-31"]
"""
    )
    graph = built(town, plan=plan, folders=[town.publish(json.dumps(report).encode())])
    (flow,) = graph.flows
    assert (flow.relation, flow.quantity, flow.count) == (Relation.CONSUMPTION, "1200.5", "40")
    factors = {factor.resource: factor for factor in graph.factors}
    own, cited = factors["resource:mode.car"], factors["resource:electricity"]
    assert (own.value, own.unit, own.source) == ("0.2", "kgCO2e/km", "source:factor.mode.car")
    assert (cited.value, cited.unit) == ("0.052", "kgCO2e/kWh")
    assert cited.source in {source.id for source in graph.sources}
    objective = next(o for o in graph.objectives if o.id == "objective:climate-change")
    assert (objective.limit, objective.source) == ("1.5", "source:limit.climate-change")


POWER = """
[[resources]]
id = "resource:power"
name = { fr = "électricité", en = "electricity" }
kind = "energy"
"""
OWN_FACTOR = """
[[factors]]
resource = "RESOURCE"
value = "0.05"
low = "0.04"
high = "0.06"
UNIT
reference = { title = "t", attribution = "a", licence = "l" }
"""


def test_a_factor_states_a_unit_that_fits_what_it_is_of(town: Town) -> None:
    def plan(resource: str, unit: str) -> str:
        return PLAN + POWER + OWN_FACTOR.replace("RESOURCE", resource).replace("UNIT", unit)

    graph = built(town, plan=plan("resource:power", 'unit = "kgCO2e/kWh"'))
    assert next(f for f in graph.factors if f.resource == "resource:power").unit == "kgCO2e/kWh"
    for unit in ("", 'unit = "share"', 'unit = "gCO2e/kWh"'):
        with pytest.raises(PlanRefused):
            built(town, plan=plan("resource:power", unit))
    with pytest.raises(GraphInvalid, match="kgCO2e/km"):
        built(town, plan=plan("resource:mode.car", 'unit = "kgCO2e/kg"'))
    with pytest.raises(PlanRefused, match="no factor that is known"):
        built(town, plan=PLAN + POWER + 'factor = "coal"\n')


def test_the_bundles_digest_is_not_asked_from_its_report(town: Town) -> None:
    """The name in a report is the manifest's; digest and vote come from signed documents."""
    (item,) = releases.verified(releases.gather([town.publish(a_report(CELLS))]), town.trusted())
    assert item.release.document.bundle == BUNDLE == item.authorisation.bundle


def test_french_spaces_are_letters_of_a_name(town: Town) -> None:
    """A thin space before a colon was refused as unprintable."""
    graph = built(town, plan=PLAN.replace("Trois villages", "Trois\u00a0villages\u202f: flux"))
    assert "\u202f" in graph.name_fr
    with pytest.raises(GraphInvalid):
        built(town, plan=PLAN.replace("Trois villages", "Trois\u202evillages"))


@pytest.mark.parametrize("gone", ["unit", "of", "kind", "shape", "cells", "labels"])
def test_reports_without_a_field_are_refused(town: Town, gone: str) -> None:
    import json

    report = json.loads(a_report(CELLS))
    del report["arrays"]["flows"][gone]
    with pytest.raises(ReleaseUnfit):
        built(town, [town.publish(json.dumps(report).encode())])


@pytest.mark.parametrize("shape", [[3, 3, "2"], "332", None, [-3, -6], [3, 3, 2.0], [18], []])
def test_odd_shapes_are_refused(town: Town, shape: Any) -> None:
    import json

    report = json.loads(a_report(CELLS))
    report["arrays"]["flows_lower"]["shape"] = shape
    with pytest.raises(ReleaseUnfit):
        built(town, [town.publish(json.dumps(report).encode())])


@pytest.mark.parametrize("cell", ["1e400", "1E-9999", "-0.0", "9" * 300])
def test_odd_numbers_end_in_a_refusal_or_an_edge(town: Town, cell: str) -> None:
    report = a_report(["CELL", *CELLS[1:]]).replace(b'"CELL"', cell.encode())
    try:
        graph = built(town, [town.publish(report)])
    except GraphInvalid:
        return
    assert all(float(flow.quantity) >= 20 for flow in graph.flows)
