"""What a reader with little right may try: hostile addresses, and numbers that tell too much."""

from __future__ import annotations

import base64
import csv
import io
import json

import pytest
from sqlmodel import select

from scheduler.domain.reasons import Reason, sentence
from scheduler.store.store import Transaction
from scheduler.store.tables import AttemptRow, CampaignRow, RoundRow, UnitRow
from scheduler.views import ledger
from scheduler.views.counting import in_tens
from scheduler.views.slices import Slice
from scheduler.web.surface import Pages, Settings
from tests.web_scheduler.territory import Grid
from tests.web_scheduler.test_pages_long_lists import plans, statements
from web.signin.errors import SignInRefused
from web.signin.roles import Role


def cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def test_no_cursor_makes_an_incident(grid: Grid) -> None:
    browser = grid.enter(Role.VIEWER)
    moment = "2026-11-30T08:00:00+00:00"
    for key in ("\ud800", "\x00", "camp_' OR 1=1 --", "\U0010ffff"):
        for path in (
            f"/campaigns?cursor={cursor('created_at', True, False, moment, key)}",
            f"/campaigns/{grid.moving}/units?cursor={cursor('unit', True, False, 1, key)}",
            f"/workers?cursor={cursor('operator', False, False, key, key)}",
        ):
            assert browser.get(path).status in {200, 422}, path


# The log is for everybody: what a stranger asks of it must not cost what all of it costs


@pytest.mark.parametrize("kind", ["", "plan"])
@pytest.mark.parametrize("after", [None, (10**18,)])
def test_a_search_by_digest_never_walks_the_whole_log(
    grid: Grid, kind: str, after: tuple[int, ...] | None
) -> None:
    """A cursor of a stranger's own making leads past all entries, were it followed."""
    part = Slice(26, after, reverse=True)
    found = plans(grid, lambda: ledger.lines(grid.world.desk, part, digest="0" * 8, kind=kind))
    assert any("log_entry" in line and "digest>" in line for line in found), found


def test_a_digest_of_a_few_letters_is_no_search(grid: Grid) -> None:
    """One letter fits every sixteenth entry, and they would all be sorted."""
    stranger = grid.enter()
    for few in ("0", "sha256:abcdef0", "abcdef0"):
        assert stranger.get(f"/log?digest={few}").status == 404
    asked = {"accept": "application/json"}
    one = stranger.get("/api/v1/log?size=1", headers=asked).json["items"][0]
    known = one["digest"][: len("sha256:") + 8]
    assert stranger.get(f"/api/v1/log?digest={known}", headers=asked).json["items"] == [one]


def test_a_stranger_gets_the_log_a_thousand_entries_at_a_time(grid: Grid) -> None:
    """As CSV too, where signed-in readers' lists give ten thousand; the next link leads on."""
    stranger = grid.enter()
    refused = stranger.get("/log?format=csv&size=1001")
    assert refused.status == 422
    assert refused.json["ids"] == {"parameter": "size"}
    assert stranger.get("/log?format=csv&size=1000").status == 200
    seen: list[str] = []
    place = "?format=csv&size=3&dir=asc"
    while place:
        answer = stranger.get(f"/log{place}")
        assert answer.header("content-type").startswith("text/csv")
        seen += [row["index"] for row in csv.DictReader(io.StringIO(answer.text))]
        place = answer.header("link").partition(">")[0].removeprefix("<")
    assert seen == [str(index) for index in range(len(seen))]
    assert len(seen) == ledger.head(grid.world.desk).size > 6


def test_a_line_of_the_log_leaves_documents_proofs_where_they_are(grid: Grid) -> None:
    asked = statements(grid, lambda: ledger.lines(grid.world.desk, Slice(5)))
    (line,) = [one for one, _ in asked if "log_entry" in one]
    assert "log_entry.proof IS NOT NULL" in line.partition("FROM")[0]
    assert line.partition("FROM")[0].count(",") == 4


# People are counted in tens, whichever sentence counts them


@pytest.mark.parametrize(
    ("reason", "details", "told"),
    [
        (Reason.WAITING_FOR_CONSENTS, {"missing": 3}, "waiting for consents: 10 missing"),
        (Reason.WAITING_FOR_CONSENTS, {"missing": 10}, "waiting for consents: 10 missing"),
        (Reason.WAITING_FOR_CONSENTS, {"missing": 11}, "waiting for consents: 20 missing"),
        (
            Reason.BELOW_MINIMUM,
            {"have": 14, "need": 25},
            "10 live consents on the worker, the rules ask for 25",
        ),
        (
            Reason.ABOVE_CONSENTS,
            {"claimed": 21, "known": 17},
            "20 claimed, 10 consents are known for the worker",
        ),
        (
            Reason.ABOVE_REGISTRY,
            {"claimed": 21, "known": 7},
            "20 claimed, the registry knows 0 live consents",
        ),
        (
            Reason.MINIMUM_MISSED,
            {"have": 17, "what": "contributors", "need": 20},
            "the batch has 10 contributors, the rules ask for 20",
        ),
        (
            Reason.MINIMUM_MISSED,
            {"have": 1, "what": "operators", "need": 2},
            "the batch has 1 operators, the rules ask for 2",
        ),
        (Reason.WORKER_LOST, {"seconds": 417}, "the worker has not been heard of for 417 s"),
    ],
)
def test_a_reason_counts_people_in_tens(
    reason: Reason, details: dict[str, object], told: str
) -> None:
    exact = sentence(reason, **details)
    assert in_tens(exact) == told
    within = sentence(Reason.NEVER_PLANNED, what=exact)
    assert in_tens(within).endswith(told)


def test_no_page_counts_consents_exactly(grid: Grid) -> None:
    """Whoever watches a page would see by the second when one more person consents."""
    below = sentence(Reason.BELOW_MINIMUM, have=4711, need=5000)
    why = sentence(Reason.WAITING_FOR_WORKERS, have=0, need=2, why=below)

    def say(tx: Transaction) -> None:
        for table in (CampaignRow, RoundRow, UnitRow, AttemptRow):
            for row in tx.session.exec(select(table)):
                row.why = why

    def workers(tx: Transaction) -> list[str]:
        return list(tx.session.exec(select(AttemptRow.worker).distinct()))

    grid.world.desk.store.run("test", say)
    browser = grid.enter(Role.VIEWER)
    seen = 0
    for path in (
        "/", "/campaigns", f"/campaigns/{grid.moving}", f"/campaigns/{grid.moving}/units",
        f"/campaigns/{grid.moving}/timeline", f"/units/{grid.late_unit}", "/alerts", "/queue",
        *(f"/workers/{worker}" for worker in grid.world.desk.store.read("test", workers)),
    ):  # fmt: skip
        for form in ("text/html", "application/json", "text/csv"):
            for address in (path, f"/api/v1{path if path != '/' else '/health'}"):
                text = browser.get(address, headers={"accept": form}).text.replace("\u202f", "")
                assert "4711" not in text, (address, form)
                seen += "4710" in text
    assert seen > 20


def test_a_number_that_ran_away_keeps_no_page_from_being_shown(grid: Grid) -> None:
    """Whoever writes an algorithm says what its rounds tell: any number that is finite."""

    def told(text: str) -> None:
        def tell(tx: Transaction) -> None:
            for row in tx.session.exec(select(RoundRow)):
                row.told = text

        grid.world.desk.store.run("test", tell)

    told(json.dumps({"loss": 1e300, "low": -1.7e308, "<b>": 1e25}))
    browser = grid.enter(Role.OPERATOR)
    for place in ("/campaigns/{}", "/campaigns/{}/rounds", "/runs/{}/rounds"):
        path = place.format(grid.released)
        page = browser.get(path)
        assert page.status == 200, path
        assert "1E300" in page.text, path
        assert "<b>" not in page.text
        assert browser.get(path, headers={"accept": "application/json"}).status == 200
    told("{}")


# The first token


def test_a_start_takes_the_former_starts_token_back(grid: Grid) -> None:
    """Also when it prints none itself, since somebody can enter by now."""
    pages = Pages(grid.world.desk, Settings(), list)
    try:
        token = pages.start_line().rpartition("#")[2]
        assert token
        pages.entrance.credentials.invite("Ada", {Role.OPERATOR})
        assert pages.start_line() == ""
        with pytest.raises(SignInRefused):
            pages.entrance.credentials.redeem(token)
    finally:
        pages._server._socket.close()
