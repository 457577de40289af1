"""Which picture a value gets, and what is in it: pure functions of the release."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import jobs
from jobs import manifest
from scheduler.errors import ExtraMissing
from scheduler.views.releases import (
    Array,
    Opened,
    Provenance,
    Released,
    Stamp,
    Told,
    arrays_of,
)
from scheduler.web.authors import downloads, plots
from scheduler.web.authors.plots import Plot, plot_of, shown
from tests.scheduler.conftest import START
from web import catalogues
from web.languages import Language
from web.speech import Speech


@pytest.fixture(scope="module")
def speech() -> Speech:
    found = catalogues.load(["web", "scheduler.web", "scheduler.web.authors"])
    return Speech(Language.EN, found, START)


def value(*shape: int, unit: str = "persons", cells=None, labels=None, **more) -> Array:
    size = math.prod(shape)
    named = labels or tuple(
        tuple(f"{axis}{at}" for at in range(n)) for axis, n in zip("abcdefgh", shape, strict=False)
    )
    return Array("counts", unit, shape, named, tuple(cells or map(float, range(size))), **more)


def test_flows_are_drawn_where_their_places_lie(speech: Speech) -> None:
    ends = ("est", "nord", "sud")
    flows = value(3, 3, cells=[9.0, 4.0, 1.0, 2.0, 8.0, "<20", 3.0, 0.0, 7.0], labels=(ends, ends))
    places = {"est": (2.4, 48.9), "nord": (2.3, 49.0), "elsewhere": (0.0, 0.0)}
    assert len(shown(flows, speech).charts) == 1
    assert len(shown(flows, speech, {"est": (2.4, 48.9)}).charts) == 1
    found = shown(flows, speech, places)
    located, ribbons = found.charts
    assert located.rows == [
        ["est", "est", 9.0], ["nord", "nord", 8.0], ["est", "nord", 4.0], ["nord", "est", 2.0],
    ]  # fmt: skip
    assert located.svg.count('class="journey"') == 2
    assert "sud" not in located.svg
    told = [speech.text(note) for note in found.notes]
    assert "11 persons have an end that nobody has located." in told  # 1 + 3 + 7
    assert "sud" in ribbons.svg


def test_the_table_beside_a_map_is_as_long_as_any_other(speech: Speech) -> None:
    ends = tuple(f"p{number}" for number in range(20))
    flows = value(20, 20, cells=[float(cell + 1) for cell in range(400)], labels=(ends, ends))
    places = {end: (2 + at / 10, 48.0 + at % 3) for at, end in enumerate(ends)}
    located, _ = shown(flows, speech, places).charts
    assert [row[2] for row in located.rows] == [float(cell) for cell in range(400, 200, -1)]


SOURCE = Provenance(
    territory="plaine.example",
    campaign="camp_x",
    title="Trajets",
    bundle="sha256:1",
    name="counts",
    version="1.0.0",
    author="ed25519:a",
    authorisation="auth_x",
    vote="sha256:2",
    release="sha256:3",
    report="sha256:4",
    stamp=Stamp(7, 8, "ab", witnessed=True),
    unit="owner",
    rho="0.1",
    epsilon=2.1,
    delta=1e-6,
    contributions_rounded=40,
    rounds=1,
    rounds_voted=1,
    released_at=START,
)
PLACES = (("n", "s", "e"), ("n", "s", "e"))


@pytest.mark.parametrize(
    ("array", "plot"),
    [
        (value(1), Plot.SCALAR),
        (value(1, 1), Plot.SCALAR),
        (value(4), Plot.HISTOGRAM),
        (value(64), Plot.HISTOGRAM),
        (value(65), Plot.TABLE),
        (value(5, unit="the labels' units"), Plot.TABLE),
        (value(49, unit="score"), Plot.REGRESSION),
        (value(3, 3, labels=PLACES), Plot.FLOWS),
        (value(3, 3, 2, labels=(*PLACES, ("car", "bike"))), Plot.FLOWS),
        (value(3, 4), Plot.MATRIX),
        (value(2, 2, labels=(("x", "y"), ("x", "y")), cells=[1.0, 0.2, 0.2, 1.0]), Plot.MATRIX),
        (value(2, 2, labels=(("x", "y"), ("x", "y")), unit="coefficient"), Plot.MATRIX),
        (value(20, 3, unit="home sector, work sector, mode"), Plot.MATRIX),
        (value(3, 40), Plot.HISTOGRAMS),
        (value(3, 40, unit="the labels' units"), Plot.TABLE),
        (value(9, 40), Plot.TABLE),
        (value(3, 65), Plot.TABLE),
        (value(6, unit="the response's unit per the label's"), Plot.REGRESSION),
        (value(6, unit="the coefficients' units"), Plot.TABLE),
        (value(3, 4, 5), Plot.TABLE),
    ],
)
def test_shape_labels_and_unit_choose_the_picture(array: Array, plot: Plot) -> None:
    assert plot_of(array) is plot


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("example", {"modes": Plot.HISTOGRAM}),
        ("commute_flows", {"flows": Plot.FLOWS}),
        ("commute_flows_territory", {"flows": Plot.FLOWS}),
        ("travel_statistics", {"persons": Plot.SCALAR, "means": Plot.TABLE,
                               "variances": Plot.TABLE, "correlations": Plot.MATRIX}),
        ("mode_shift", {"weights": Plot.REGRESSION, "accuracy": Plot.SCALAR}),
        ("encrypted_statistics", {"histogram": Plot.HISTOGRAMS, "quantiles": Plot.MATRIX,
                                  "coefficients": Plot.REGRESSION,
                                  "standard_errors": Plot.TABLE, "explained": Plot.SCALAR}),
        ("ecological_potential", {"links": Plot.MATRIX, "shift": Plot.HISTOGRAM}),
    ],
)  # fmt: skip
def test_the_built_in_bundles_get_the_picture_that_suits_them(
    name: str, expected: dict[str, Plot]
) -> None:
    raw = (Path(jobs.__file__).parent / "bundles" / name / "bundle.toml").read_bytes()
    report = manifest.read(raw).report
    for array, plot in expected.items():
        one = report[array]
        cells = tuple(float(at) for at in range(math.prod(one.shape)))
        assert plot_of(Array(array, one.unit, one.shape, one.labels, cells)) is plot


def report(**arrays) -> dict:
    return {"arrays": arrays, "title": {"fr": "x", "en": "x"}}


def told(cells, kind="value", of=None, labels=(("a", "b"),)) -> dict:
    return {"kind": kind, "of": of, "unit": "persons", "shape": [len(cells)],
            "labels": [list(axis) for axis in labels], "cells": cells}  # fmt: skip


def test_the_bundles_own_bands_come_before_those_of_the_noise() -> None:
    (one,) = arrays_of(
        report(x=told([5, 7]), lo=told([1, 2], "lower", "x"), hi=told([8, 9], "upper", "x")),
        {"x": Opened((5.0, 7.0), (2.0, 2.0))},
    )
    assert (one.low, one.high, one.declared) == ((1, 2), (8, 9), True)


def test_the_noises_bands_are_for_the_opened_sum_alone() -> None:
    opened = {"x": Opened((5.0, 7.0), (2.0, 2.0))}
    (same,) = arrays_of(report(x=told([5, "<20"])), opened)
    assert (same.low, same.high, same.declared) == ((3.0, None), (7.0, None), False)
    (shifted,) = arrays_of(report(x=told([5, 7.5])), opened)
    assert shifted.low == ()  # computed from it: the noise's width is not this number's


def test_what_is_withheld_keeps_its_place_and_tells_no_number(speech: Speech) -> None:
    """Left out, the bins beside it stood beside each other: 16, 23, 32 at equal distances."""
    found = shown(value(3, cells=[30.0, "<20", None], low=(20.0, None, None),
                        high=(40.0, None, None)), speech)  # fmt: skip
    (chart,) = found.charts
    assert [row[:2] for row in chart.rows] == [["a0", 30.0], ["a1", "<20"], ["a2", "\u2013"]]
    assert found.rows == ()
    places = [
        (float(one["x"]), one["class"])
        for one in (
            dict(re.findall(r'(\w+)="([^"]*)"', rect))
            for rect in re.findall("<rect [^>]*>", chart.svg)
        )
    ]
    xs = [x for x, _ in places]
    assert [kind for _, kind in places] == ["f1", "withheld", "withheld"]
    assert xs[2] - xs[1] == pytest.approx(xs[1] - xs[0])
    assert chart.svg.count("whisker") == 3  # three strokes of one
    assert any("withheld" in speech.text(note) for note in found.notes)


def test_a_histogram_of_nothing_is_drawn_empty(speech: Speech) -> None:
    found = shown(value(2, cells=["<20", "<20"]), speech)
    (chart,) = found.charts
    assert "No values yet." in chart.svg


def test_flows_are_summed_over_modes_and_the_small_are_counted(speech: Speech) -> None:
    cells = [1.0, 2.0] * 8 + [-9.0, -9.0]
    found = shown(value(3, 3, 2, labels=(*PLACES, ("car", "bike")), cells=cells), speech)
    (chart,) = found.charts
    assert len(chart.rows) == 8  # the negative one is noise, no flow
    assert {row[2] for row in chart.rows} == {3.0}
    negative = shown(value(3, 3, labels=PLACES, cells=[-1.0 - at for at in range(9)]), speech)
    assert not negative.charts
    assert negative.rows


def test_a_coefficient_tells_whether_its_band_leaves_zero_out(speech: Speech) -> None:
    found = shown(
        value(2, unit="score", cells=[0.5, 0.5], low=(0.1, -0.1), high=(0.9, 1.1)), speech
    )
    assert [speech.text(row[4]) for row in found.rows] == ["yes", "no"]
    assert len(found.charts) == 1


def test_a_curve_needs_two_rounds(speech: Speech) -> None:
    once = [Told(1, {"loss": 1.0})]
    assert plots.curves(once, speech) == []
    (curve,) = plots.curves([*once, Told(2, {"loss": 0.5, "late": 1.0})], speech)
    assert [list(row) for row in curve.rows] == [[1, 1.0], [2, 0.5]]
    (curve,) = plots.curves([*once, Told(2, {"loss": 0.5})], speech, {"loss": "nats"})
    assert ">nats</text>" in curve.svg


def test_a_label_that_looks_like_markup_stays_text(speech: Speech) -> None:
    found = shown(value(2, labels=(("<script>", "b"),)), speech)
    (chart,) = found.charts
    assert "<script>" not in chart.svg


def test_every_form_of_a_download_takes_every_value() -> None:
    """Withheld cells, whole numbers past 2^53, labels that spreadsheets run, several axes."""
    arrays = (
        value(3, cells=[2**60 + 1, "<20", None], labels=(("=1+1", "#b", "c"),)),
        value(2, 2, low=(0.0, 1.0, 2.0, 3.0), high=(1.0, 2.0, 3.0, 4.0)),
    )
    released = Released(SOURCE, {"en": "x"}, arrays, (), carries_model=False, raw=b"")
    lines = downloads.as_csv(released).decode().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert [row["value"] for row in rows[:3]] == [str(2**60 + 1), "", ""]
    assert [row["withheld"] for row in rows[:3]] == ["", "<20", ""]
    assert [row["label_1"] for row in rows[:3]] == ["'=1+1", "\uff03b", "c"]
    assert [(row["label_1"], row["label_2"], row["low"]) for row in rows[3:]] == [
        ("a0", "b0", "0.0"), ("a0", "b1", "1.0"), ("a1", "b0", "2.0"), ("a1", "b1", "3.0")
    ]  # fmt: skip
    table = pq.read_table(io.BytesIO(downloads.as_parquet(released)))
    assert table.column("value").to_pylist() == [float(2**60), None, None, 0.0, 1.0, 2.0, 3.0]
    assert table.column("withheld").to_pylist()[:3] == [None, "<20", None]
    assert table.column("label_1").to_pylist()[:4] == ["=1+1", "#b", "c", "a0"]
    assert table.column("label_2").to_pylist()[2:5] == [None, "b0", "b1"]
    assert table.column("low").to_pylist()[2:4] == [None, 0.0]
    assert json.loads(downloads.as_json(released))["arrays"][0]["cells"][0] == 2**60 + 1


def test_a_title_with_line_ends_stays_behind_its_mark() -> None:
    source = dataclasses.replace(SOURCE, title="x\r\nevil,1\u2028y")
    text = downloads.as_csv(Released(source, {}, (), (), carries_model=False, raw=b"")).decode()
    assert all(line.startswith(("# ", "array,")) for line in text.splitlines())


def test_parquet_is_refused_where_no_library_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra `graph` was left out: the import system finds no pyarrow."""
    monkeypatch.setattr(downloads, "find_spec", lambda name: None)
    released = Released(SOURCE, {}, (), (), carries_model=False, raw=b"")
    with pytest.raises(ExtraMissing, match="Parquet") as refused:
        downloads.as_parquet(released)
    assert "cadastre[graph]" in refused.value.remedy


def test_a_wide_matrix_is_a_histogram_per_row_each_with_its_own_bands(speech: Speech) -> None:
    low = tuple(float(at) - 1 for at in range(90))
    matrix = value(2, 45, labels=(("near", "far"), tuple(map(str, range(45)))))
    banded = dataclasses.replace(matrix, low=low, high=tuple(at + 2 for at in low))
    found = shown(banded, speech)
    near, far = found.charts
    assert near.rows[0][:3] == ["0", 0.0, -1.0]
    assert far.rows[0][:3] == ["0", 45.0, 44.0]


def test_coefficients_with_units_of_their_own_are_a_table_without_an_axis(speech: Speech) -> None:
    found = shown(value(6, unit="the response's unit per the label's"), speech)
    assert found.plot is Plot.REGRESSION
    assert not found.charts
    assert len(found.rows) == 6
