from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph import decimals, document, invariants
from graph.document import GraphStatement
from graph.errors import (
    CohortBroken,
    GraphInvalid,
    GraphUnverified,
    NotTheAuthority,
)
from graph.model import Flow, Link, Relation, SourceKind, TerritoryGraph
from tests.graph.graph_strategies import graphs
from tests.graph.graph_territory import NOW, Town
from trust.documents import signed
from trust.documents.root import Duty
from trust.errors import Malformed, RootRefused, SignatureInvalid, WrongType
from trust.keys import PrivateKey

FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@given(graphs())
@FEW
def test_canonical_bytes_are_one_spelling(graph: TerritoryGraph) -> None:
    raw = document.encode(graph)
    again = document.decode(raw)
    assert again == graph
    assert document.encode(again) == raw


@given(graphs(), st.data())
@FEW
def test_no_changed_byte_passes_for_the_signed_graph(graph: TerritoryGraph, data: Any) -> None:
    town = Town(Path())
    one = document.sign(graph, town.keys[Duty.GRAPH], _root(town), NOW)
    position = data.draw(st.integers(0, len(one.raw) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(one.raw)
    changed[position] ^= 1 << bit
    with pytest.raises(GraphUnverified):
        document.verify(bytes(changed), one.statement.envelope.raw, _root(town))
    assert document.verify(one.raw, one.statement.envelope.raw, _root(town)).graph == graph


def _root(town: Town) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return replace_folder(town, Path(folder)).trusted()


def replace_folder(town: Town, folder: Path) -> Town:
    return Town(folder, town.keys)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


@pytest.fixture
def graph() -> TerritoryGraph:
    from graph import building
    from graph import plan as plans
    from tests.graph.graph_territory import PLACES, PLAN

    text = PLAN[: PLAN.index("[[releases]]")]
    plan = plans.read(text.encode())
    return building.build(
        plan, text.encode(), {"places.csv": PLACES.encode()}, [],
        territory="test.cadastre.example", dated=NOW,
    )  # fmt: skip


def test_only_the_authoritys_key_signs(town: Town, graph: TerritoryGraph) -> None:
    root = town.trusted()
    for duty in (Duty.ORDERS, Duty.COLLEGE, Duty.ROOT):
        with pytest.raises(NotTheAuthority):
            document.sign(graph, town.keys[duty], root, NOW)
    with pytest.raises(NotTheAuthority):
        document.sign(graph, PrivateKey(bytes(32)), root, NOW)


def test_another_dutys_signature_is_refused(town: Town, graph: TerritoryGraph) -> None:
    root = town.trusted()
    one = document.sign(graph, town.keys[Duty.GRAPH], root, NOW)
    forged = signed.sign(one.statement.document, [town.keys[Duty.ORDERS]]).envelope.raw
    with pytest.raises(SignatureInvalid):
        document.verify(one.raw, forged, root)


def test_another_kind_of_document_is_no_signature(town: Town, graph: TerritoryGraph) -> None:
    root = town.trusted()
    one = document.sign(graph, town.keys[Duty.GRAPH], root, NOW)
    with pytest.raises(WrongType):
        document.verify(one.raw, (town.folder / "root.json").read_bytes(), root)


def test_a_root_without_the_duty_knows_no_graph(town: Town, graph: TerritoryGraph) -> None:
    one = document.sign(graph, town.keys[Duty.GRAPH], town.trusted(), NOW)
    key = town.keys.pop(Duty.GRAPH)
    with pytest.raises(RootRefused):
        document.verify(one.raw, one.statement.envelope.raw, town.trusted())
    with pytest.raises(RootRefused):
        document.sign(graph, key, town.trusted(), NOW)


def test_an_expired_root_signs_nothing_more(town: Town, graph: TerritoryGraph) -> None:
    with pytest.raises(RootRefused):
        document.sign(graph, town.keys[Duty.GRAPH], town.trusted(), NOW + timedelta(days=36501))


def test_a_graph_of_another_territory_is_not_signed(town: Town, graph: TerritoryGraph) -> None:
    with pytest.raises(NotTheAuthority):
        document.sign(
            replace(graph, territory="elsewhere.example"), town.keys[Duty.GRAPH], town.trusted(),
            NOW,
        )  # fmt: skip


@pytest.mark.parametrize(
    "change", [{"nodes": 1}, {"edges": 0}, {"dated": NOW + timedelta(days=1)}, {"releases": ()}]
)
def test_a_statement_that_tells_otherwise_is_refused(
    town: Town, graph: TerritoryGraph, change: dict[str, Any]
) -> None:
    root = town.trusted()
    one = document.sign(graph, town.keys[Duty.GRAPH], root, NOW)
    statement: GraphStatement = replace(one.statement.document, **change)
    lying = signed.sign(statement, [town.keys[Duty.GRAPH]]).envelope.raw
    if statement == one.statement.document:
        return
    with pytest.raises(GraphUnverified):
        document.verify(one.raw, lying, root)


def test_bytes_with_another_spelling_are_refused(graph: TerritoryGraph) -> None:
    raw = document.encode(graph)
    for other in (raw + b"\n", b" " + raw, raw.replace(b'":"', b'": "', 1)):
        with pytest.raises((GraphUnverified, Malformed)):
            document.decode(other)


# --- what no graph may say, whoever signs it ---


def flow(**changed: Any) -> Flow:
    base = Flow(
        relation=Relation.COMMUTING, origin="place:a", target="place:b",
        resource="resource:mode.car", quantity="50", unit="persons", begins="2026-01-01",
        ends="2026-12-31", source="source:villages", lower=None, upper=None, count=None,
    )  # fmt: skip
    return replace(base, **changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "place:nowhere"},
        {"resource": "resource:nothing"},
        {"source": "source:none"},
        {"unit": "furlongs"},
        {"quantity": "50.0"},
        {"quantity": "5e1"},
        {"quantity": "-50"},
        {"begins": "2027-01-01"},
        {"begins": "2026-1-1"},
        {"lower": "51", "upper": "60"},
        {"lower": "40"},
        {"relation": Relation.CONSUMPTION},
        {"relation": Relation.TRANSACTION},
        {"relation": Relation.BELONGING},
    ],
)
def test_faulty_flows_are_refused(graph: TerritoryGraph, changed: dict[str, Any]) -> None:
    invariants.check(replace(graph, flows=(flow(),)))
    with pytest.raises(GraphInvalid):
        invariants.check(replace(graph, flows=(flow(**changed),)))


def test_an_edge_below_the_cohort_is_refused_even_when_signed(
    town: Town, graph: TerritoryGraph
) -> None:
    small = replace(graph, flows=(flow(quantity="19"),))
    with pytest.raises(CohortBroken):
        document.sign(small, town.keys[Duty.GRAPH], town.trusted(), NOW)


def test_contributed_data_need_a_count(graph: TerritoryGraph) -> None:
    sources = tuple(
        replace(source, kind=SourceKind.RELEASE, minimum=20)
        if source.id == "source:villages"
        else source
        for source in graph.sources
    )
    energy = flow(
        relation=Relation.CONSUMPTION, target="resource:mode.car", quantity="5", unit="kWh"
    )
    bare = replace(graph, links=(), sources=sources)
    for one in (energy, replace(energy, count="19")):
        with pytest.raises(CohortBroken):
            invariants.check(replace(bare, flows=(one,)))
    invariants.check(replace(bare, flows=(replace(energy, count="20"),)))
    with pytest.raises(CohortBroken):
        invariants.check(replace(graph, sources=sources))  # its links count nobody


def test_one_edition_of_a_series_per_graph(graph: TerritoryGraph) -> None:
    twice = tuple(replace(source, series="one") for source in graph.sources)
    with pytest.raises(GraphInvalid, match="editions"):
        invariants.check(replace(graph, sources=twice))


def test_rows_are_sorted_and_stand_once(graph: TerritoryGraph) -> None:
    with pytest.raises(GraphInvalid):
        invariants.check(replace(graph, places=tuple(reversed(graph.places))))
    with pytest.raises(GraphInvalid):
        invariants.check(replace(graph, places=graph.places[:1] * 2))
    link = Link(Relation.BELONGING, "place:a", "place:a", "source:villages")
    with pytest.raises(GraphInvalid):
        invariants.check(replace(graph, links=(link,)))


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9
    )
)
def test_decimals_have_one_spelling(number: Decimal) -> None:
    text = decimals.canonical(number)
    assert decimals.require(text, "x") == number
    assert decimals.canonical(text) == text


@pytest.mark.parametrize(
    "text", ["", "1.", "1.0", "01", "-0", "+1", "1e3", "NaN", "٣", " 1", "1\n"]
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(GraphInvalid):
        decimals.require(text, "x")


@pytest.mark.parametrize("text", ["1e999999", "1e-999999", "inf", "nan", "x", "9" * 200])
def test_absurd_numbers_are_refused_quickly(text: str) -> None:
    with pytest.raises(GraphInvalid):
        decimals.canonical(text)
