"""Lists: what an address may ask, pages that lose and repeat no row, three forms of one row."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.web.sample import surface
from tests.web.sample.surface import START, WORKERS, Worker
from trust.clock import ManualClock
from web.cells import Ident, Measure, Status, Tone
from web.errors import BadParameter
from web.formats import Format
from web.languages import Language
from web.listing import Column, Cursor, ListState, Sort, Table, cursor, forms, in_memory
from web.listing import state as states
from web.sentences import say

NOBODY = say("nobody")


def read(query: str = "", form: Format = Format.HTML) -> ListState:
    pairs = [tuple(part.partition("=")[::2]) for part in query.split("&") if part]
    return states.read(WORKERS, pairs, START, form)  # type: ignore[arg-type]


def test_an_address_without_parameters_asks_for_the_first_page() -> None:
    state = read()
    assert (state.sort, state.descending, state.size, state.cursor) == ("last_seen", True, 25, None)
    assert state.limit == 26
    assert read("prefix=&state=") == state  # forms send fields that were left empty


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("sort=colour", "sort"),
        ("dir=up", "dir"),
        ("size=0", "size"),
        ("size=201", "size"),
        ("size=-5", "size"),
        ("size=٣", "size"),
        ("size=99999999999999999999", "size"),
        ("state=unwell", "state"),
        ("prefix=" + "a" * 81, "prefix"),
        ("since=yesterday", "since"),
        ("since=0h", "since"),
        ("colour=red", "colour"),
        ("state=lost&state=late", "state"),
        ("cursor=AAAA", "cursor"),
        ("cursor=" + "A" * 401, "cursor"),
        ("cursor=é", "cursor"),
    ],
)
def test_what_is_out_of_bounds_is_named(query: str, name: str) -> None:
    with pytest.raises(BadParameter) as caught:
        read(query)
    assert caught.value.ids == {"parameter": name}


def test_moments_may_be_spans() -> None:
    assert read("since=24h").filters["since"] == START - timedelta(hours=24)
    assert read("since=90min").filters["since"] == START - timedelta(minutes=90)
    assert read("since=2026-11-01T00:00:00Z").filters["since"].month == 11


def test_the_whole_state_is_in_the_address() -> None:
    state = read("state=lost&sort=worker&dir=desc&size=50")
    again = state.query().removeprefix("?")
    assert read(again) == state
    assert "state=" not in state.cleared()
    assert read(state.sorted_by(WORKERS, "last_seen").removeprefix("?")).descending is True
    assert read(state.sorted_by(WORKERS, "worker").removeprefix("?")).descending is False


@pytest.mark.parametrize(
    "forged",
    [
        [],
        ["last_seen", True],
        ["last_seen", True, False],
        ["last_seen", True, False, "2026-11-30T13:02:05Z"],
        ["last_seen", True, False, 5, "a"],
        ["last_seen", True, False, "2026-11-30T13:02:05", "a"],
        ["last_seen", True, False, "2026-11-30T13:02:05+01:00", "a"],
        ["last_seen", True, False, "2026-11-30T13:02:05Z", {"a": 1}],
        ["last_seen", True, False, "2026-11-30T13:02:05Z", "a", "b"],
        ["last_seen", True, "yes", "2026-11-30T13:02:05Z", "a"],
        ["last_seen", False, False, "2026-11-30T13:02:05Z", "a"],
        ["worker", True, False, "a"],
        {"sort": "last_seen"},
        None,
    ],
)
def test_a_forged_cursor_is_refused(forged: Any) -> None:
    import base64

    text = base64.urlsafe_b64encode(json.dumps(forged).encode()).decode().rstrip("=")
    with pytest.raises(BadParameter):
        read(f"cursor={text}")


keys = st.tuples(
    st.text(max_size=20),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.datetimes(timezones=st.just(START.tzinfo)),
)


@given(key=keys, back=st.booleans(), descending=st.booleans())
def test_a_cursor_comes_back_as_it_was(key: Any, *, back: bool, descending: bool) -> None:
    wanted = Cursor(key, back)
    text = cursor.write(wanted, "any", descending=descending)
    if len(text) <= 400:
        kinds = (str, int, float, datetime)
        assert cursor.read(text, "any", kinds, descending=descending) == wanted


@given(st.text(max_size=60))
def test_no_text_as_a_cursor_does_worse_than_a_refusal(text: str) -> None:
    with pytest.raises(BadParameter):
        cursor.read(text, "last_seen", (datetime, str), descending=True)


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 999)), max_size=40, unique_by=lambda row: row[1]
    ),
    size=st.integers(1, 7),
    descending=st.booleans(),
)
def test_pages_lose_and_repeat_no_row(
    rows: list[tuple[int, int]], size: int, *, descending: bool
) -> None:
    """Forwards to the end and backwards to the beginning: the same rows, in the list's order."""
    table = Table[tuple[int, int]](
        "pairs", say("nobody"), [Column("a", say("a"), lambda row: row[0])],
        [Sort("a", lambda row: row, (int, int))],
    )  # fmt: skip
    state = ListState("a", descending, size)
    listing = in_memory(table, state, rows, NOBODY)
    seen = list(listing.rows)
    assert listing.previous is None
    while listing.next is not None:
        listing = in_memory(table, ListState("a", descending, size, listing.next), rows, NOBODY)
        seen += listing.rows
    assert seen == sorted(rows, reverse=descending)
    backwards = list(listing.rows)
    while listing.previous is not None:
        listing = in_memory(table, ListState("a", descending, size, listing.previous), rows, NOBODY)
        backwards = [*listing.rows, *backwards]
    assert backwards == seen


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(surface.surface(surface.kit(ManualClock(START)))[0])


def test_three_forms_have_the_same_rows(client: TestClient) -> None:
    query = "/workers?sort=worker&size=100"
    told = client.get(query, headers={"accept": "application/json"}).json()
    also = client.get("/api/v1/workers?sort=worker&size=100").json()
    assert told == also
    table = list(csv.DictReader(io.StringIO(client.get(query + "&format=csv").text)))
    page = client.get(query).text
    assert len(told["items"]) == len(table) == 100
    for item, row in zip(told["items"], table, strict=True):
        assert row["state"] == item["state"]
        assert int(row["received"]) == item["received"]
        assert row["worker"].removeprefix("'") == item["worker"]
    assert page.count("<tr>") == 101
    assert told["next"] is not None
    assert told["total"] == 120


def test_a_list_goes_on_in_json(client: TestClient) -> None:
    names, cursor_, pages = [], "", 0
    while True:
        told = client.get(f"/api/v1/workers?sort=worker&size=50&cursor={cursor_}").json()
        names += [item["worker"] for item in told["items"]]
        pages += 1
        if told["next"] is None:
            break
        cursor_ = told["next"]
    assert pages == 3
    assert names == sorted(row.name for row in surface.workers())


def test_a_spreadsheet_gets_it_all_and_runs_none_of_it(client: TestClient) -> None:
    answer = client.get("/workers?format=csv&lang=en")
    assert answer.headers["content-disposition"] == 'attachment; filename="workers.csv"'
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == [column.name for column in WORKERS.columns]
    assert len(rows) == 121
    assert client.get("/workers?format=csv&size=10000").status_code == 200
    assert client.get("/workers?format=csv&size=10001").status_code == 422


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\u00a0=1", "\uff1d1"]
)
def test_a_formula_is_made_text(text: str) -> None:
    made = str(forms.guarded(text))
    assert made.startswith("'")
    assert made.replace("'", "") == text


@pytest.mark.parametrize("value", [-5, 0.5, "1=1", "a-b", ""])
def test_what_is_no_formula_is_left(value: Any) -> None:
    assert forms.guarded(value) == value


def test_machines_get_plain_values(client: TestClient) -> None:
    speech = surface.kit(ManualClock(START)).speech(Language.EN)
    assert forms.plain(Ident("sha256:" + "a" * 64), speech) == "sha256:" + "a" * 64
    assert forms.plain(Status("late", say("Late"), Tone.WARN), speech) == "late"
    assert forms.plain(Measure(float("nan"), "kWh"), speech) is None
    assert forms.plain(timedelta(minutes=2), speech) == 120.0
    assert forms.plain(START, speech) == "2026-11-30T13:02:05Z"
    assert forms.plain(say("Late"), speech) == "Late"


def test_what_is_narrowed_to_nothing_says_why(client: TestClient) -> None:
    page = client.get("/workers?prefix=zzz&lang=fr").text
    assert "Aucun nœud ne correspond à ces filtres." in page
    assert "Tout afficher" in page


def test_the_api_is_described(client: TestClient) -> None:
    described = client.get("/api/v1/openapi.json").json()["paths"]["/api/v1/workers"]["get"]
    names = {one["name"] for one in described["parameters"]}
    assert names == {"prefix", "state", "since", "sort", "dir", "size", "cursor"}
    page = described["responses"]["200"]["content"]["application/json"]["schema"]
    told = client.get("/api/v1/workers").json()
    assert set(page["required"]) == set(told)
    kinds = {"string": str, "number": int | float, "integer": int, "boolean": bool}
    for name, schema in page["properties"]["items"]["items"]["properties"].items():
        for item in told["items"]:
            assert item[name] is None or isinstance(item[name], kinds[schema["type"][0]])


def test_a_state_of_another_table_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="is no sort of this table"):
        in_memory(WORKERS, ListState("other", descending=False, size=5), list[Worker](), NOBODY)
