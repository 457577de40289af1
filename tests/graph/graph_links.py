"""Small territories with commuting flows, for what ranks links; and the census's, where it is."""

from __future__ import annotations

import numpy as np

from graph import building
from graph import plan as plans
from graph.commuting import Commutes, commutes
from graph.model import TerritoryGraph
from graph.pairs import Pairs
from tests import open_data
from tests.graph.graph_territory import NAME, NOW

MOBPRO = "mobility_plaine_commune_mobpro2014"
MODES = ("car", "transit", "two-wheels")
OWN = ("93001", "93027", "93031", "93039", "93059", "93066", "93070", "93072", "93079")

_TABLES = """\
[graph]
name = {{ fr = "Huit villages", en = "Eight villages" }}
attribution = "essai"
licence = "Licence Ouverte 2.0"

[[nodes]]
id = "territory:vallee"
name = "Vallée"

{links}
[[tables]]
file = "{places}"
holds = "place"
series = "places"
title = "Lieux"
attribution = "IGN"
licence = "Licence Ouverte 2.0"
columns = {{ id = "code", name = "{name}", longitude = "lon", latitude = "lat" }}

[[tables]]
file = "{flows}"
holds = "commuting"
series = "trips"
title = "Trajets"
attribution = "INSEE"
licence = "Licence Ouverte 2.0"
unit = "persons"
period = ["2014-01-01", "2014-12-31"]
columns = {{ origin = "ori", target = "des", resource = "mode", quantity = "weight" }}

[tables.codes.resource]
1 = "resource:mode.none"
2 = "resource:mode.walk"
3 = "resource:mode.two-wheels"
4 = "resource:mode.car"
5 = "resource:mode.transit"
"""
CODES = {"car": 4, "transit": 5, "two-wheels": 3}


def plan_text(own: tuple[str, ...], *, places: str, flows: str, name: str = "name") -> str:
    links = "\n".join(
        '[[links]]\nrelation = "belonging"\norigin = "place:' + code + '"\n'
        'target = "territory:vallee"\n'
        for code in own
    )
    return _TABLES.format(links=links, places=places, flows=flows, name=name)


def village_tables(seed: int = 7, villages: int = 8) -> dict[str, bytes]:
    """Places in a ring and flows that follow gravity, transit where the distance is long."""
    draw = np.random.default_rng(seed)
    east, north = draw.uniform(2.2, 2.5, villages), draw.uniform(48.8, 49.0, villages)
    size = draw.uniform(1, 4, villages)
    places = ["code,name,lon,lat"]
    places += [f"v{i},Village {i},{east[i]:.5f},{north[i]:.5f}" for i in range(villages)]
    rows = ["ori,des,mode,weight"]
    for i in range(villages):
        for j in range(villages):
            km = max(0.5, 80 * float(np.hypot(east[i] - east[j], 1.4 * (north[i] - north[j]))))
            whole = 150 * size[i] * size[j] * np.exp(-km / 15)
            taste = np.array([1.0, 0.4 + km / 12, 1.2 * np.exp(-km / 4)]) * draw.uniform(
                0.6, 1.5, 3
            )
            for mode, part in zip(MODES, taste / taste.sum(), strict=True):
                rows.append(f"v{i},v{j},{CODES[mode]},{whole * part:.2f}")
    return {
        "places.csv": "\n".join(places).encode() + b"\n",
        "flows.csv": "\n".join(rows).encode() + b"\n",
    }


VILLAGE_PLAN = plan_text(("v0", "v1", "v2", "v3", "v4"), places="places.csv", flows="flows.csv")


def villages(seed: int = 7) -> TerritoryGraph:
    plan = plans.read(VILLAGE_PLAN.encode())
    return building.build(
        plan, VILLAGE_PLAN.encode(), village_tables(seed), [], territory=NAME, dated=NOW
    )


def census() -> TerritoryGraph:
    """Commuters of 2014 to, from and within Plaine Commune; skips where the census is not."""
    text = plan_text(
        OWN, places="communes_centroids.csv", flows="commuters_csp_mode.csv", name="nom"
    )
    plan = plans.read(text.encode())
    folder = open_data.require(MOBPRO)
    tables = {table.file: (folder / table.file).read_bytes() for table in plan.tables}
    return building.build(plan, text.encode(), tables, [], territory=NAME, dated=NOW)


def first(graph: TerritoryGraph) -> Commutes:
    return commutes(graph)[0]


def tiny(
    persons: list[list[float]],
    *,
    km: list[float],
    half: list[list[float]] | None = None,
    minimum: int = 20,
) -> Pairs:
    """Pairs a-b, b-a, … by hand: car, transit, two wheels; 0 persons is no edge."""
    counts = np.array(persons, np.float64)
    number = len(counts)
    return Pairs(
        source="source:trips",
        minimum=minimum,
        places=tuple(f"place:{i}" for i in range(number + 1)),
        modes=tuple(f"resource:mode.{mode}" for mode in MODES),
        own=np.ones(number + 1, np.bool_),
        position=np.zeros((number + 1, 2)),
        home=np.arange(number),
        work=np.arange(1, number + 1),
        km=np.array(km, np.float64),
        persons=counts,
        half=np.zeros_like(counts) if half is None else np.array(half, np.float64),
        released=counts > 0,
    )
