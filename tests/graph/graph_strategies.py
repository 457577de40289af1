"""Random sound graphs, for property tests."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from graph import concepts, decimals, ontology
from graph.model import (
    FORMAT,
    MOVING,
    Action,
    Actor,
    ActorKind,
    Factor,
    Flow,
    Link,
    Objective,
    Place,
    Relation,
    Resource,
    ResourceKind,
    Source,
    SourceKind,
    Territory,
    TerritoryGraph,
    flow_key,
    link_key,
)
from tests.graph.graph_territory import NAME, NOW
from trust.ids import Digest

# Letters that XML, Turtle, CSV and JSON each treat in their own way.
TEXTS = st.text(
    st.sampled_from("aZ09 éœ<>&\"'\\{}[]|^`#@:;.,-ñ中𝄞"), min_size=1, max_size=12
).filter(str.isprintable)
CODES = st.text(st.sampled_from("abcXYZ019"), min_size=1, max_size=5)


def amounts(least: int = 0, most: int = 10**6) -> st.SearchStrategy[Decimal]:
    return st.decimals(least, most, places=3, allow_nan=False, allow_infinity=False)


@st.composite
def graphs(draw: st.DrawFn, territory: str = NAME) -> TerritoryGraph:
    table = Source(
        "source:table", SourceKind.TABLE, "a table", draw(TEXTS), draw(TEXTS), "L",
        Digest.of(b"t"), draw(st.integers(20, 40)), draw(st.integers(0, 9)),
    )  # fmt: skip
    # One that counts nobody: it states no minimum, and its edges have no count.
    bare = Source(
        "source:open", SourceKind.TABLE, "an open table", draw(TEXTS), draw(TEXTS), "L",
        Digest.of(b"o"), 0, 0,
    )  # fmt: skip
    release = Source(
        "source:release", SourceKind.RELEASE, "a release", draw(TEXTS), draw(TEXTS), "L",
        Digest.of(draw(st.binary(max_size=2))), draw(st.integers(20, 40)), 3,
    )  # fmt: skip
    cited = Source("source:cited", SourceKind.REFERENCE, "cited", draw(TEXTS), "A", "L", None, 0, 0)
    places = [
        Place(
            f"place:{code}", draw(TEXTS), draw(st.none() | CODES),
            *(draw(st.just((None, None)) | st.tuples(coordinates, coordinates))),
            draw(st.none() | st.integers(0, 10**6)), table.id,
        )
        for code in draw(st.sets(CODES, min_size=1, max_size=4))
    ]  # fmt: skip
    actors = [
        Actor(
            f"actor:{code}", draw(TEXTS), draw(st.sampled_from(ActorKind)),
            draw(st.sampled_from([None, "naf:38.32Z", "naf:01"])), table.id,
        )
        for code in draw(st.sets(CODES, min_size=1, max_size=3))
    ]  # fmt: skip
    resources = [
        Resource(
            f"resource:{code}", draw(TEXTS), draw(TEXTS), draw(st.sampled_from(ResourceKind)),
            draw(st.sampled_from([None, "ewc:200108", "mode:car"])), cited.id,
        )
        for code in draw(st.sets(CODES, min_size=1, max_size=3))
    ]  # fmt: skip
    action = Action("action:one", draw(TEXTS), draw(st.sampled_from([None, "rd:R3"])), table.id)
    limit = draw(st.none() | amounts())
    objectives = [
        Objective(
            f"objective:{one.code}", one.name_fr, one.name_en, one.side,
            None if limit is None else decimals.canonical(limit),
            None if limit is None else "share", cited.id,
        )
        for one in concepts.DIMENSIONS[:2]
    ]  # fmt: skip
    links = {
        link_key(link): link
        for link in [
            Link(Relation.BELONGING, places[0].id, "territory:t", bare.id),
            Link(Relation.PARTICIPATION, draw(st.sampled_from(actors)).id, action.id, bare.id),
            Link(Relation.INTEREST, action.id, objectives[0].id, bare.id),
        ][: draw(st.integers(0, 3))]
    }
    flows = [_flow(draw, (release, table, bare), places, actors, resources) for _ in range(5)]
    kept = {flow_key(flow): flow for flow in flows}
    factors = [
        Factor(resources[0].id, "0.2", "0.1", "0.30001", "kgCO2e/km", cited.id)
    ][: draw(st.integers(0, 1))]  # fmt: skip
    return TerritoryGraph(
        format=FORMAT, territory=territory, name_fr="essai", name_en="trial", dated=NOW,
        ontology=ontology.digest(), territories=(Territory("territory:t", "T", None, table.id),),
        places=_sorted(places), actors=_sorted(actors), resources=_sorted(resources),
        actions=(action,), objectives=_sorted(objectives),
        links=tuple(links[key] for key in sorted(links)),
        flows=tuple(kept[key] for key in sorted(kept)), factors=tuple(factors),
        sources=_sorted([table, release, bare, cited]),
    )  # fmt: skip


coordinates = st.decimals(-90, 90, places=4, allow_nan=False).map(decimals.canonical)


def _flow(draw, sources, places, actors, resources) -> Flow:  # type: ignore[no-untyped-def]
    # Who trades does so with another one.
    moving = sorted(MOVING - (set() if len(actors) > 1 else {Relation.TRANSACTION}))
    relation = draw(st.sampled_from(moving))
    resource = draw(st.sampled_from(resources)).id
    quantity = draw(amounts(40))
    commuting = relation is Relation.COMMUTING
    source = draw(st.sampled_from(sources))
    half = draw(st.none() | amounts(0, 40)) if source.kind is SourceKind.RELEASE else None
    match relation:
        case Relation.COMMUTING:
            origin, target = (draw(st.sampled_from(places)).id for _ in range(2))
        case Relation.TRANSACTION:
            origin, target = (one.id for one in draw(st.permutations(actors))[:2])
        case _:
            origin, target = draw(st.sampled_from([*places, *actors])).id, resource
    counts = st.integers(40, 900).map(str)
    return Flow(
        relation=relation,
        origin=origin,
        target=target,
        resource=resource,
        quantity=decimals.canonical(quantity),
        unit="persons" if commuting else draw(st.sampled_from(["kWh", "t", "m3"])),
        begins="2026-01-01",
        ends="2026-12-31",
        source=source.id,
        lower=None if half is None else decimals.canonical(quantity - half),
        upper=None if half is None else decimals.canonical(quantity + half),
        count=None if commuting or not source.minimum else draw(counts),
    )


def _sorted(rows):  # type: ignore[no-untyped-def]
    return tuple(sorted(rows, key=lambda row: row.id))
