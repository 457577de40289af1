"""Charts: sound SVG without styles, the same bytes each time, their data beside them."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.web.sample import surface
from tests.web.sample.surface import BUSY, GOOD, HOSTILE, START
from trust.clock import ManualClock
from web import charts
from web.charts import Area, Bar, Chart, Group, Lane, Line, Point, Span, Stretch, Tile, scales
from web.charts.chart import WIDTH
from web.languages import Language
from web.sentences import say
from web.speech import Speech

KIT = surface.kit(ManualClock(START))
FRENCH, ENGLISH = KIT.speech(Language.FR), KIT.speech(Language.EN)
FEW = settings(max_examples=40, deadline=None)
numbers = st.floats(-1e12, 1e12)


def sound(chart: Chart) -> ET.Element:
    root = ET.fromstring(chart.svg)
    assert root.tag == "svg"
    ids = [one.attrib["id"] for one in root.iter() if "id" in one.attrib]
    assert len(ids) == len(set(ids))
    assert root.find("title") is not None
    assert root.find("desc") is not None
    assert root.attrib["aria-labelledby"] in ids
    assert root.attrib["aria-describedby"] in ids
    links = list(root.iter("a"))
    assert root.attrib["role"] in ({"group"} if links else {"img", "group"})
    for one in root.iter():
        assert one.tag in {
            "svg",
            "g",
            "a",
            "title",
            "desc",
            "path",
            "rect",
            "circle",
            "line",
            "text",
        }
        for name, value in one.attrib.items():
            assert name != "style"
            assert not name.startswith("on")
            assert "nan" not in value.lower() or name in {"aria-label", "id"}
            assert "inf" not in value.lower().split()
    for row in chart.rows:
        assert len(row) == len(chart.headings)
    return root


def texts(root: ET.Element) -> list[str]:
    return [one.text or "" for one in root.iter("text")]


@pytest.mark.parametrize("chart", range(7))
def test_every_chart_is_sound_and_the_same_each_time(chart: int) -> None:
    french, english = surface.every_chart(FRENCH)[chart], surface.every_chart(ENGLISH)[chart]
    sound(french)
    sound(english)
    assert surface.every_chart(FRENCH)[chart].svg == french.svg
    assert french.svg != english.svg
    assert french.rows


def test_a_picture_of_quantities_says_what_they_are_counted_in() -> None:
    """Beside its name, where eyes look: what a pointer or the table tells does not count."""
    lone = [Bar("a", 1)]
    drawn = [
        charts.bars("x", "x", lone, FRENCH, unit="Wh"),
        charts.histogram("x", "x", lone, FRENCH, unit="Wh"),
        charts.flow("x", "x", {("a", "b"): 1.0}, ["from", "to"], FRENCH, unit="Wh"),
        charts.journeys("x", "x", {"a": (0, 0), "b": (1, 1)}, {("a", "b"): 1.0}, FRENCH, unit="Wh"),
    ]
    for chart in drawn:
        assert captioned(chart).endswith('<span class="chart-unit">(Wh)</span>')
    assert captioned(charts.bars("x", "x", lone, FRENCH)) == "x"
    curve = charts.training("x", "x", [Line("a", [Point(1, 0.5), Point(2, 0.4)])], FRENCH)
    assert "tour" in texts(sound(curve))


def captioned(chart: Chart) -> str:
    words = {"speech": FRENCH, "_": FRENCH.message}
    page = str(KIT.environment.get_template("web/macros.html").make_module(words).chart(chart))
    return page.partition("<figcaption>")[2].partition("</figcaption>")[0]


def test_ids_are_apart_on_one_page() -> None:
    ids = [
        one.attrib["id"]
        for chart in surface.every_chart(FRENCH)
        for one in ET.fromstring(chart.svg).iter()
        if "id" in one.attrib
    ]
    assert len(ids) == len(set(ids))


Empty = Callable[[Speech], Chart]


@pytest.mark.parametrize(
    "draw",
    [
        lambda speech: charts.series("x", "x", [], speech),
        lambda speech: charts.series("x", "x", [Line("a", [])], speech),
        lambda speech: charts.series("x", "x", [Line("a", [Point(START, 5)])], speech),
        lambda speech: charts.series("x", "x", [Line("a", [Point(START, math.nan)])], speech),
        lambda speech: charts.training("x", "x", [Line("a", [Point(1, 0.5)])], speech),
        lambda speech: charts.histogram("x", "x", [], speech),
        lambda speech: charts.histogram("x", "x", [Bar("a", 0)], speech),
        lambda speech: charts.bars("x", "x", [], speech),
        lambda speech: charts.bars("x", "x", [Bar("a", -5, -9, -1)], speech),
        lambda speech: charts.gantt("x", "x", [], speech),
        lambda speech: charts.gantt("x", "x", [Lane("a", [])], speech),
        lambda speech: charts.gantt("x", "x", [Lane("a", [Span(START, START, GOOD)])], speech),
        lambda speech: charts.stretches("x", "x", [], "round", speech),
        lambda speech: charts.stretches("x", "x", [Stretch("1", START, START, GOOD)], "x", speech),
        lambda speech: charts.territory("x", "x", [], speech),
        lambda speech: charts.territory("x", "x", [Tile("a", 0, 0, None)], speech),
        lambda speech: charts.territory("x", "x", [Area("a", [(0, 0), (1, 1)], 1)], speech),
        lambda speech: charts.flow("x", "x", {}, ["a", "b"], speech),
    ],
)
def test_little_or_nothing_is_drawn_too(draw: Empty) -> None:
    sound(draw(FRENCH))


@pytest.mark.parametrize(
    "draw",
    [
        lambda: charts.series(
            "x", HOSTILE, [Line(HOSTILE, [Point(START, 1)])], FRENCH, unit=HOSTILE
        ),
        lambda: charts.bars("x", HOSTILE, [Bar(HOSTILE, 1, 0, 2)], FRENCH, unit=HOSTILE),
        lambda: charts.histogram("x", HOSTILE, [Bar(HOSTILE, 1, 0, 2)], FRENCH, unit=HOSTILE),
        lambda: charts.gantt(
            "x", HOSTILE, [Lane(HOSTILE, [Span(START, None, BUSY, HOSTILE, "/x")], "/y")], FRENCH
        ),
        lambda: charts.gantt(
            "x",
            "x",
            [Lane("a", [Span(START, None, BUSY)], group=Group(HOSTILE, "/x"))],
            FRENCH,
            grouped=HOSTILE,
        ),
        lambda: charts.stretches(
            "x",
            HOSTILE,
            [Stretch(HOSTILE, START, None, BUSY, [HOSTILE], "/x", [HOSTILE])],
            HOSTILE,
            FRENCH,
            further=[HOSTILE],
        ),
        lambda: charts.territory("x", HOSTILE, [Tile(HOSTILE, 0, 0, 1, HOSTILE, "/x")], FRENCH),
        lambda: charts.flow("x", HOSTILE, {(HOSTILE, "b"): 1.0}, [HOSTILE, "b"], FRENCH),
        lambda: charts.flow("x", "x", {("a", "b"): 1.0}, ["a", "b"], FRENCH, names={"a": HOSTILE}),
    ],
)
def test_names_are_text_not_markup(draw: Callable[[], Chart]) -> None:
    root = sound(draw())
    assert root.findall(".//img") == []


points = st.lists(st.tuples(st.integers(0, 10**7), numbers), max_size=30)


@FEW
@given(points, st.booleans())
def test_any_series_is_drawn_within_its_paper(found: list[tuple[int, float]], steps: bool) -> None:
    line = Line("a", [Point(START + timedelta(seconds=at), value) for at, value in sorted(found)])
    chart = charts.series("x", "x", [line], FRENCH, steps=steps)
    root = sound(chart)
    for one in root.iter("circle"):
        assert 0 <= float(one.attrib["cx"]) <= WIDTH
        assert 0 <= float(one.attrib["cy"]) <= 260
    assert len(chart.rows) == len({at for at, _ in found})


@FEW
@given(st.lists(st.tuples(st.text(max_size=30), numbers), max_size=20))
def test_any_bars_are_drawn(found: list[tuple[str, float]]) -> None:
    items = [Bar(name, value, value - 1, value + 1) for name, value in found]
    for draw in (charts.bars, charts.histogram):
        root = sound(draw("x", "x", items, FRENCH))
        for one in root.iter("rect"):
            assert float(one.attrib["width"]) > 0
            assert float(one.attrib["height"]) > 0


@FEW
@given(numbers, numbers)
def test_ticks_are_round_and_inside(one: float, other: float) -> None:
    low, high = scales.rounded([one, other])
    ticks = scales.ticks(low, high)
    assert 2 <= len(ticks) <= 12
    assert low <= min(one, other, 0)
    assert high >= max(one, other, 0)


def test_the_ends_hold_a_value_too_small_to_divide() -> None:
    low, high = scales.rounded([6.0, -5e-324])
    assert low <= -5e-324
    assert high >= 6.0
    assert 2 <= len(scales.ticks(low, high)) <= 12


def test_a_bar_is_as_long_as_its_value_says() -> None:
    root = sound(charts.bars("x", "x", [Bar("a", 100), Bar("b", 50)], FRENCH))
    first, second = (float(one.attrib["width"]) for one in root.iter("rect"))
    assert first == pytest.approx(2 * second, abs=0.02)


def test_attempts_tell_all_without_colour() -> None:
    spans = [Span(START - timedelta(minutes=30), START, surface.LOST, "2", "/attempts/2")]
    root = sound(charts.gantt("x", "x", [Lane("unit-7", spans)], ENGLISH))
    link = root.find(".//a")
    assert link is not None
    assert link.attrib["href"] == "/attempts/2"
    assert link.attrib["aria-label"] == "unit-7, 2, Lost, 13:32:05 \u2013 14:02:05, 30\u00a0min"
    assert root.findall(".//path[@class='mark']")  # an icon inside the bar


def test_what_lasts_reaches_to_now() -> None:
    spans = [Span(START - timedelta(minutes=30), None, BUSY)]
    chart = charts.gantt("x", "x", [Lane("unit-7", spans)], FRENCH)
    root = sound(chart)
    bar = root.find(".//rect")
    now = root.find(".//line[@class='now']")
    assert bar is not None
    assert now is not None
    end = float(bar.attrib["x"]) + float(bar.attrib["width"])
    assert end == pytest.approx(float(now.attrib["x1"]), abs=0.05)
    assert chart.rows[0][4] is None


def test_a_key_tells_what_the_colours_of_attempts_mean() -> None:
    ends = [Span(START - timedelta(minutes=9), START, one) for one in (GOOD, surface.LOST, GOOD)]
    lanes = [Lane("unit-7", ends), Lane("unit-8", [Span(START, None, BUSY)])]
    root = sound(charts.gantt("x", "x", lanes, ENGLISH))
    words = [ENGLISH.text(one.word) for one in (GOOD, surface.LOST, BUSY)]
    assert [text for text in texts(root) if text in {*words, "now"}] == [*words, "now"]
    lowest = max(float(one.attrib["y"]) for one in root.iter("text"))
    assert lowest < float(root.attrib["viewBox"].split()[3])


def test_a_group_begins_with_its_name_and_moves_what_follows() -> None:
    span = [Span(START - timedelta(minutes=9), START, GOOD)]
    one, two = Group("Round 1", "/r/1"), Group("Round 2", "/r/2")
    lanes = [Lane("a", span, group=one), Lane("b", span, group=one), Lane("c", span, group=two)]
    chart = charts.gantt("x", "x", lanes, ENGLISH, grouped="round")
    root = sound(chart)
    assert [row[:2] for row in chart.rows] == [["a", "Round 1"], ["b", "Round 1"], ["c", "Round 2"]]
    assert [texts(root).count(name) for name in ("Round 1", "Round 2")] == [1, 1]
    heads = [link for link in root.iter("a") if link.attrib["href"] == "/r/2"]
    assert [link.find("text") is not None for link in heads] == [True]
    tops = [float(one.attrib["y"]) for one in root.iter("rect")][:3]
    assert tops[1] - tops[0] < tops[2] - tops[1]
    told = [one.text for one in root.iter("title")][1]
    assert told is not None
    assert told.startswith("Round 1, a, ")
    plain = charts.gantt("x", "x", [Lane("a", span)], ENGLISH)
    assert len(plain.headings) == len(chart.headings) - 1


@pytest.mark.parametrize(("number", "named"), [(3, 3), (40, 40), (41, 21), (1000, 500)])
def test_stretches_stay_apart_however_many(number: int, named: int) -> None:
    hour = timedelta(hours=1)
    many = [
        Stretch(
            f"{place}", START + place * hour, START + (place + 1) * hour, GOOD, ["n"], "/x", [7]
        )
        for place in range(number)
    ]
    root = sound(chart := charts.stretches("x", "x", many, "round", ENGLISH, further=["f"]))
    bars = list(root.iter("rect"))[:number]
    ends = [float(one.attrib["y"]) + float(one.attrib["height"]) for one in bars]
    assert all(end < float(one.attrib["y"]) for end, one in zip(ends, bars[1:], strict=False))
    words = set(texts(root))
    assert len([one for one in many if one.name in words]) == named
    assert len(chart.rows) == number
    assert float(root.attrib["viewBox"].split()[3]) > ends[-1]


def test_a_stretch_that_lasts_tells_its_notes_and_reaches_to_now() -> None:
    one = Stretch("Round 7", START - timedelta(hours=1), None, BUSY, ["2 failed"], "/r/7")
    root = sound(charts.stretches("x", "x", [one], "round", ENGLISH))
    bar, now = root.find(".//rect"), root.find(".//line[@class='now']")
    assert bar is not None
    assert now is not None
    end = float(bar.attrib["x"]) + float(bar.attrib["width"])
    assert end == pytest.approx(float(now.attrib["x1"]), abs=0.05)
    link = root.findall(".//a")[-1]
    assert link.attrib["aria-label"].startswith("Round 7, ")
    assert link.attrib["aria-label"].endswith(", 1\u00a0h, 2 failed")


def test_whole_numbers_have_whole_shades() -> None:
    assert scales.counted([1.0, 3.0], 5) == (0, 5)
    assert scales.counted([0.0, 11.0], 5) == (0, 15)
    assert scales.counted([], 5) == (0, 5)
    assert scales.counted([0.2, 0.9], 5) == scales.rounded([0.2, 0.9])
    root = sound(charts.territory("x", "x", [Tile("a", 0, 0, 2)], FRENCH))
    assert {"0", "1", "2", "3", "4", "5"} <= set(texts(root))


def test_a_place_shows_its_worst_state() -> None:
    tile = Tile("mairie", 0, 0, 3, badge=surface.LOST)
    root = sound(charts.territory("x", "x", [tile], ENGLISH))
    assert ENGLISH.text(surface.LOST.word) in texts(root)
    assert root.find(".//rect[@class='plate fill-bad']") is not None


def test_a_territory_prints_every_value() -> None:
    square = [(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)]
    places = [Area("Stains", square, 12.0), Area("Nord", [(x, y + 2) for x, y in square], None)]
    root = sound(charts.territory("x", "x", places, FRENCH))
    assert {"Stains", "12", "Nord", "\u2013"} <= set(texts(root))
    north = next(one for one in root.iter("text") if one.text == "Nord")
    south = next(one for one in root.iter("text") if one.text == "Stains")
    assert float(north.attrib["y"]) < float(south.attrib["y"])


def test_flows_are_as_high_as_their_sums() -> None:
    streams = {("a", "x"): 30.0, ("b", "x"): 10.0}
    chart = charts.flow("x", "x", streams, ["from", "to"], FRENCH)
    heights = sorted(float(one.attrib["height"]) for one in sound(chart).iter("rect"))
    assert heights[1] == pytest.approx(3 * heights[0], rel=0.01)
    assert "a (30)" in texts(sound(chart))  # "secteur 1 711" was read as one number
    assert chart.rows == [["a", "x", 30.0], ["b", "x", 10.0]]


def test_too_many_lines_are_a_fault_of_ours() -> None:
    lines = [Line(str(n), [Point(START, n)]) for n in range(5)]
    with pytest.raises(ValueError, match="at most 4"):
        charts.series("x", "x", lines, FRENCH)


def test_a_description_tells_the_ends_in_words() -> None:
    chart = charts.series(
        "x", "x", [Line(say("waiting"), [Point(START, 3), Point(START + timedelta(1), 9)])], ENGLISH
    )
    described = sound(chart).findtext("desc")
    assert described == "waiting: from 3 to 9, between 3 and 9."


def test_a_sparkline_says_what_it_is() -> None:
    root = ET.fromstring(charts.sparkline([1, 2, 3], "Units"))
    assert root.attrib["aria-label"] == "Units"
    assert ET.fromstring(charts.sparkline([], "Units")).findall("path") == []


@pytest.mark.parametrize("one", [1e21, 1e25, 1e300, 1.7e308, -1.7e308, 5e-324])
@pytest.mark.parametrize("other", [1.7e308, -1e26, 0.0])
def test_no_number_of_an_algorithm_keeps_a_page_from_being_drawn(one: float, other: float) -> None:
    """A loss that runs away, or an author who wants nobody to see the campaign's page."""
    low, high = sorted((one, other))
    bars = [Bar("a", one, low, high), Bar("b", other)]
    there, back = abs(one), abs(other) or 1.0
    streams = {("x", "y"): there, ("y", "x"): back}
    for chart in (
        charts.training("t", "t", [Line("l", [Point(1, one), Point(2, other)])], FRENCH),
        charts.bars("b", "b", bars, FRENCH, unit="u"),
        charts.histogram("h", "h", bars, FRENCH, unit="u"),
        charts.flow("f", "f", streams, ["from", "to"], FRENCH),
        charts.journeys("j", "j", {"x": (2.0, 48.0), "y": (2.1, 48.1)}, streams, FRENCH),
    ):
        sound(chart)
    assert FRENCH.number(one)


def test_a_map_of_many_places_names_those_that_most_goes_through() -> None:
    """Where names lie is looked for among all that are written: a thousand took many seconds."""
    names = [f"p{number:03}" for number in range(130)]
    places = {name: (2 + at / 100, 48 + at % 7 / 10) for at, name in enumerate(names)}
    flows = {(name, "p000"): float(at + 1) for at, name in enumerate(names)}
    found = charts.journeys("j", "j", places, flows, FRENCH)
    named = {text for text in texts(sound(found)) if text.startswith("p")}
    assert named == {"p000", *names[-119:]}
    assert len(found.rows) == 130
