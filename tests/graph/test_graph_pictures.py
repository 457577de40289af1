from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings

from graph.commuting import commutes
from graph.errors import PictureRefused
from graph.model import TerritoryGraph
from graph.pictures import labels, schematic, streams
from tests.graph.graph_built import built
from tests.graph.graph_strategies import graphs
from tests.graph.graph_territory import Town

SVG = "{http://www.w3.org/2000/svg}"
FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
DRAWINGS = [schematic.draw, streams.draw]
Draw = Callable[[TerritoryGraph, str], bytes]
# What an image has no business to hold.
FORBIDDEN = ("script", "foreignObject", "image", "use", "style", "animate", "a")
_ALLOWED_REFERENCE = re.compile(r"url\(#[a-z0-9]+\)")


@pytest.fixture
def graph(tmp_path: Path) -> TerritoryGraph:
    return built(Town(tmp_path))


def sound(picture: bytes) -> ET.Element:
    root = ET.fromstring(picture)
    assert root.tag == f"{SVG}svg"
    ids = [one.attrib["id"] for one in root.iter() if "id" in one.attrib]
    assert len(ids) == len(set(ids))
    for one in root.iter():
        name = one.tag.removeprefix(SVG)
        assert name not in FORBIDDEN
        for attribute, value in one.attrib.items():
            assert not attribute.startswith("on")
            assert "href" not in attribute
            assert "nan" not in value.lower() or attribute in {"font-family", "lang"}
            assert "inf" not in value.split()
            if "url(" in value:
                assert _ALLOWED_REFERENCE.fullmatch(value)
                assert value[5:-1] in ids
    labelled = root.attrib["aria-labelledby"].split()
    assert root.attrib["role"] == "img"
    assert [root.find(f"{SVG}title") is not None, root.find(f"{SVG}desc") is not None] == [True] * 2
    assert set(labelled) <= set(ids)
    return root


@pytest.mark.parametrize("draw", DRAWINGS)
@pytest.mark.parametrize("language", ["fr", "en"])
def test_pictures_are_well_formed_and_deterministic(
    graph: TerritoryGraph, draw: Draw, language: str
) -> None:
    root = sound(draw(graph, language))
    assert root.attrib["lang"] == language
    assert draw(graph, language) == draw(graph, language)
    assert draw(graph, "fr") != draw(graph, "en")


@pytest.mark.parametrize("draw", DRAWINGS)
def test_names_are_text_not_markup(graph: TerritoryGraph, draw: Draw) -> None:
    hostile = "</text><script>alert(1)</script> & \" ' ]]>"
    named = replace(
        graph,
        name_fr=hostile,
        places=tuple(replace(place, name=hostile) for place in graph.places),
        sources=tuple(replace(source, attribution=hostile) for source in graph.sources),
    )
    root = sound(draw(named, "fr"))
    assert any(hostile in (one.text or "") for one in root.iter(f"{SVG}text"))
    assert b"<script" not in draw(named, "fr")


def test_letters_that_xml_forbids_are_left_out(graph: TerritoryGraph) -> None:
    strange = "a\x00\x0b\ud800\ufffe\U0001f600z"
    named = replace(graph, name_fr=strange)
    assert "a\U0001f600z" in (sound(schematic.draw(named, "fr"))[0].text or "")


@pytest.mark.parametrize("draw", DRAWINGS)
@given(graph=graphs())
@FEW
def test_every_graph_is_drawn_or_refused(draw: Draw, graph: TerritoryGraph) -> None:
    try:
        sound(draw(graph, "en"))
    except PictureRefused:
        located = {place.id for place in graph.places if place.longitude is not None}
        (one, *_) = commutes(graph) or [None]
        trips = [trip for trip in one.trips if trip.persons > 0] if one else []
        if draw is streams.draw:
            assert not trips
        else:
            assert not any({trip.origin, trip.target} & located for trip in trips)


def test_wider_arrows_carry_more_and_each_says_how_many(graph: TerritoryGraph) -> None:
    root = sound(schematic.draw(graph, "fr"))
    arrows = {}
    for group in root.iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        if title is not None and " vers " in (title.text or ""):
            (curve, _) = group.findall(f"{SVG}path")
            arrows[title.text] = float(curve.attrib["stroke-width"])
    assert set(arrows) == {"Amont vers Bourg : 50 personnes", "Bourg vers Amont : 90 personnes"}
    assert arrows["Bourg vers Amont : 90 personnes"] > arrows["Amont vers Bourg : 50 personnes"]


def test_the_diagram_tells_ways_apart_without_colour(graph: TerritoryGraph) -> None:
    root = sound(streams.draw(graph, "en"))
    patterns = list(root.iter(f"{SVG}pattern"))
    looks = {(one.attrib["patternTransform"], one.attrib["width"]) for one in patterns}
    assert len(looks) == len(patterns) == 2
    described = root.find(f"{SVG}desc")
    assert described is not None
    assert "car 1,380" in (described.text or "")
    assert "public transport 1,150" in (described.text or "")


def test_both_sides_of_the_diagram_hold_everybody(graph: TerritoryGraph) -> None:
    root = sound(streams.draw(graph, "en"))
    bars: dict[str, float] = {}
    for bar in root.iter(f"{SVG}rect"):
        if bar.find(f"{SVG}title") is not None:
            x = bar.attrib["x"]
            bars[x] = bars.get(x, 0.0) + float(bar.attrib["height"])
    assert len(bars) == 3
    assert max(bars.values()) == pytest.approx(min(bars.values()), abs=0.1)


@pytest.mark.parametrize("draw", DRAWINGS)
def test_nothing_to_draw_is_refused(graph: TerritoryGraph, draw: Draw) -> None:
    with pytest.raises(PictureRefused):
        draw(replace(graph, flows=()), "fr")


def test_names_lie_upon_no_place_and_no_other_name() -> None:
    """Of Saint-Denis and its neighbours, each second name was hidden by another."""
    close = {
        "a": (100.0, 100.0, 20.0, "Saint-Denis"),
        "b": (140.0, 100.0, 8.0, "La Courneuve"),
        "c": (100.0, 130.0, 8.0, "Saint-Ouen"),
        "d": (120.0, 75.0, 8.0, "Villetaneuse"),
    }
    found = labels.place(close)
    boxes = {
        key: next(box for label, box in labels._around(*close[key]) if label == found[key])
        for key in close
    }
    circles = {key: labels._Box(x - r, y - r, x + r, y + r) for key, (x, y, r, _) in close.items()}
    for key, box in boxes.items():
        assert all(box.over(other) == 0 for name, other in boxes.items() if name != key)
        assert all(box.over(other) == 0 for name, other in circles.items() if name != key)
    assert labels.place(close) == found
