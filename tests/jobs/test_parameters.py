from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import parameters
from jobs.errors import ParametersRefused
from trust.documents.rules import Bound
from trust.parameters import MAXIMUM_SETTINGS_BYTES

BOUNDS = {
    "zones": Bound("integer", "1", "64", ()),
    "share": Bound("decimal", "0", "1", ()),
    "time": Bound("choice", None, None, ("morning", "evening")),
    "note": Bound("text", None, "10", ()),
}
GOOD = {"zones": 9, "share": "0.250", "time": "morning", "note": "été"}


def test_the_blob_is_canonical_and_comes_back() -> None:
    blob = parameters.encode(GOOD, BOUNDS)
    assert blob == '{"note":"été","share":"0.25","time":"morning","zones":9}'.encode()
    assert parameters.decode(blob, BOUNDS) == {**GOOD, "share": "0.25"}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("zones", 0, "zones: expected a whole number from 1 to 64, found 0"),
        ("zones", 65, "from 1 to 64"),
        ("zones", 9.0, "whole number"),
        ("zones", True, "whole number"),
        ("zones", "9", "whole number"),
        ("share", "1.01", 'from "0" to "1"'),
        ("share", 0.5, "decimal text"),
        ("share", "NaN", "decimal text"),
        ("share", "1e-99", "decimal text"),
        ("time", "noon", "one of morning, evening"),
        ("note", "eleven char", "at most 10"),
        ("note", "a\nb", "printable"),
        ("note", None, "printable"),
    ],
)
def test_values_out_of_bounds_are_named(name: str, value: object, said: str) -> None:
    with pytest.raises(ParametersRefused, match=r"(?s).+") as caught:
        parameters.check({**GOOD, name: value}, BOUNDS)
    assert said in caught.value.sentence


def test_unknown_and_missing_are_named_together() -> None:
    values = {name: value for name, value in GOOD.items() if name != "zones"} | {"zone": 3}
    with pytest.raises(ParametersRefused) as caught:
        parameters.check(values, BOUNDS)
    assert "zone: unknown; did you mean zones?" in caught.value.sentence
    assert "zones: missing; expected a whole number" in caught.value.sentence


def test_a_bound_without_both_ends_lets_nothing_through() -> None:
    for bound in (Bound("integer", None, "9", ()), Bound("future", "1", "9", ())):
        with pytest.raises(ParametersRefused):
            parameters.check({"x": 5}, {"x": bound})


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"[]",
        b"{",
        b'{"note":"a","share":"0.25","time":"morning","zones":9} ',
        b'{"zones":9,"note":"a","share":"0.25","time":"morning"}',
        b'{"note":"a","share":"0.250","time":"morning","zones":9}',
        b'{"note":"a","share":"0.25","time":"morning","zones":9,"zones":9}',
        b"[" * 100_000,
        b" " * (MAXIMUM_SETTINGS_BYTES + 1),
    ],
)
def test_blobs_that_are_not_canonical_are_refused(blob: bytes) -> None:
    with pytest.raises(ParametersRefused):
        parameters.decode(blob, BOUNDS)


@given(st.binary(max_size=100))
def test_any_blob_is_refused_in_words(blob: bytes) -> None:
    with pytest.raises(ParametersRefused):
        parameters.decode(blob, BOUNDS)


@given(
    st.integers(1, 64),
    st.decimals(0, 1, allow_nan=False, allow_infinity=False, places=6),
    st.sampled_from(["morning", "evening"]),
)
def test_equal_values_have_equal_bytes(zones: int, share: Decimal, time: str) -> None:
    values = {"zones": zones, "share": share, "time": time, "note": ""}
    blob = parameters.encode(values, BOUNDS)
    back = parameters.decode(blob, BOUNDS)
    assert parameters.encode(back, BOUNDS) == blob
    assert Decimal(back["share"]) == share


def test_typed_words() -> None:
    words = parameters.pairs(["zones=9", "share=.5", "time=evening", "note=a=b"])
    assert parameters.from_texts(words, BOUNDS) == {
        "zones": 9,
        "share": "0.5",
        "time": "evening",
        "note": "a=b",
    }
    for bad in (["zones"], ["=1"], ["zones=1", "zones=2"]):
        with pytest.raises(ParametersRefused):
            parameters.pairs(bad)
    with pytest.raises(ParametersRefused):
        parameters.from_texts({**words, "zones": "nine"}, BOUNDS)


@pytest.mark.parametrize("text", ["--5", "-", "- 5", "\u0663", "5" * 41, "+5", "5.0"])
def test_what_is_typed_as_a_whole_number_and_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(ParametersRefused, match="zones: expected a whole number"):
        parameters.from_texts(
            {"zones": text, "share": "0.5", "time": "morning", "note": ""}, BOUNDS
        )


def test_of_many_unknown_names_the_first_are_named_and_the_others_counted() -> None:
    with pytest.raises(ParametersRefused) as refused:
        parameters.check({f"u{number:04}": 1 for number in range(5000)}, BOUNDS)
    lines = refused.value.sentence.split("\n")
    assert "  - u0019: unknown; known: " in refused.value.sentence
    assert "  - 4980 further names are unknown" in lines
    assert len(lines) == 1 + 20 + 1 + len(BOUNDS)
