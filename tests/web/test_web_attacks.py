"""What strangers put into addresses and into what others download, and what becomes of it."""

from __future__ import annotations

import base64
import csv
import io
import json
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.sample import surface
from tests.web.sample.surface import START
from trust.clock import ManualClock, from_text
from web.errors import BadParameter
from web.languages import Language
from web.listing import Column, Sort, Table, cursor, forms, in_memory
from web.listing import state as states
from web.sentences import say
from web.speech import Speech

# Hostile cursors: every part reaches a database as a bound parameter


@pytest.mark.parametrize("part", ["\ud800", "a\udfffb"])
def test_a_cursor_with_half_a_letter_is_refused(part: str) -> None:
    raw = json.dumps(["any", False, False, part]).encode()
    text = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    with pytest.raises(BadParameter):
        cursor.read(text, "any", (str,), descending=False)


# Formulas in what a spreadsheet opens

FORMULAS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
NAMES: Table[str] = Table(
    name="names",
    caption=say("Names"),
    columns=[Column("one", say("One"), lambda row: "x"), Column("name", say("Name"), str)],
    sorts=[Sort("name", lambda row: (row,), (str,))],
)


def cells(name: str, separator: str) -> list[str]:
    """What a spreadsheet of a country that separates by `separator` reads of a table of one row."""
    speech = surface.kit(ManualClock(START)).speech(Language.FR)
    listing = in_memory(NAMES, states.read(NAMES, [], START), [name], say("none"))
    rows = csv.reader(io.StringIO(forms.as_csv(listing, speech), newline=None), delimiter=separator)
    return [cell for row in rows for cell in row]


def runs(cell: str) -> bool:
    return cell.lstrip(' \u00a0"').startswith(FORMULAS)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    "name",
    [
        "=1+1",
        "Nord;=HYPERLINK(1)",
        'Nord;"=HYPERLINK(1)"',
        "Nord; \u00a0@SUM(A1)",
        "Nord\t+1",
        'Nord"\r\n=1+1',
        "a;b;-1",
        ';;\uff1d1;"',
    ],
)
def test_a_french_spreadsheet_runs_no_formula_either(name: str, separator: str) -> None:
    """It separates by semicolons, and takes our commas for letters of one cell."""
    begun = [
        cell for cell in cells(name, separator) if cell.lstrip(' \u00a0"').startswith(FORMULAS)
    ]
    assert begun == []


@given(st.text(alphabet='=+-@;,\t\r\n "\u00a0\uff1dax', max_size=12), st.sampled_from(",;\t"))
def test_no_name_runs_in_any_spreadsheet(name: str, separator: str) -> None:
    assert not any(runs(cell) for cell in cells(name, separator))


# Moments at the ends of time: a document may be good "for ever"


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/Guadeloupe"])
@pytest.mark.parametrize("text", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
def test_the_ends_of_time_are_told(zone: str, text: str) -> None:
    kit = surface.kit(ManualClock(START))
    speech = Speech(Language.FR, kit.catalogues, START, ZoneInfo(zone))
    assert str(from_text(text).year) in speech.moment(from_text(text))
