"""Every page as its readers get it: what it says, who may see it, what it refuses."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from audit.receipt import carried
from scheduler.log.witnessing import Waiting
from tests.web.signin_browser import Browser
from tests.web_scheduler.territory import HOSTILE, Grid
from trust.log.entry import Kind, LogEntry
from trust.log.policy import Policy
from trust.log.proof import verify_proof
from web.signin.roles import Role

WATCHED = ["/", "/campaigns", "/campaigns/{c}", "/campaigns/{c}/units", "/units", "/units/{u}",
           "/workers"]  # fmt: skip
API = ["health", "campaigns", "campaigns/{c}", "campaigns/{c}/units", "units", "units/{u}",
       "workers"]  # fmt: skip
PUBLIC = ["/log", "/log/0", "/log/0/proof", "/log/0/receipt", "/log/0/document",
          "/log/checkpoint", "/api/v1/log", "/api/v1/log/0"]  # fmt: skip


def ask(browser: Browser, path: str) -> Any:
    """What a program is answered."""
    return browser.get(path, headers={"accept": "application/json"}).json


def places(grid: Grid) -> list[str]:
    paths = WATCHED + [f"/api/v1/{path}" for path in API]
    return [path.format(c=grid.moving, u=grid.late_unit) for path in paths]


def test_who_may_see_what(grid: Grid) -> None:
    nobody, author = grid.enter(), grid.enter(Role.AUTHOR)
    readers = [grid.enter(role) for role in (Role.OPERATOR, Role.AUDITOR, Role.VIEWER)]
    for path in places(grid):
        for reader in readers:
            assert reader.get(path).status == 200, path
        # An author's first page is another one.
        assert author.get(path).status == (303 if path == "/" else 403), path
        asked = {"accept": "application/json"} if path.startswith("/api/") else {}
        answer = nobody.get(path, headers=asked)
        assert answer.status == (401 if path.startswith("/api/") else 303), path
    for live in ("/live/health", f"/live/campaigns/{grid.moving}"):
        assert author.get(live).status == 403
        assert nobody.get(live, headers={"accept": "text/event-stream"}).status in {303, 401}
    for path in PUBLIC:
        assert nobody.get(path).status == 200, path


def test_nothing_that_a_stranger_named_runs(grid: Grid) -> None:
    browser = grid.enter(Role.VIEWER)
    pages = [*places(grid)[: len(WATCHED)], "/log?kind=authorisation", "/log/1"]
    seen = 0
    for path in pages:
        text = browser.get(path).text
        assert "<img src=x" not in text, path
        seen += "&lt;img src=x onerror=alert(1)&gt;" in text
    assert seen >= 4


def test_health_says_what_is_late_and_why(grid: Grid) -> None:
    page = grid.enter(Role.VIEWER).get("/", headers={"accept-language": "fr"}).text
    assert "on a besoin de vous".capitalize() in page  # one worker is lost
    assert page.count('class="alert ') == 1  # one banner tells it all, and each thing once
    assert "<p>2 unités en retard</p>" in page
    assert page.count("1 nœud n\u2019a pas donné signe") == 1
    assert "1 nœud perdu" not in page
    assert f"/units/{grid.late_unit}" in page
    assert "1 tentative a fini sans rapport" in page
    assert "son nœud se tait depuis" in page
    english = grid.enter(Role.VIEWER).get("/?lang=en").text
    assert "1 attempt ended without a report" in english


def test_the_menu_shows_where_a_page_belongs(grid: Grid) -> None:
    browser = grid.enter(Role.VIEWER)
    for path, entry in (
        (f"/units/{grid.late_unit}", "/campaigns"),
        ("/sites", "/workers"),
    ):
        assert f'<a href="{entry}" aria-current="true">' in browser.get(path).text, path


def test_health_names_an_absent_witness(grid: Grid) -> None:
    at = grid.world.clock.now() - timedelta(hours=2)
    grid.absent.append(Waiting("witness.example/one", at, "asleep"))
    page = grid.enter(Role.VIEWER).get("/").text
    assert "Le témoin witness.example/one n\u2019a pas cosigné depuis" in page
    found = ask(grid.enter(Role.VIEWER), "/api/v1/health")
    grid.absent.clear()
    assert found["troubles"][0]["kind"] == "witness-absent"


def test_a_campaign_shows_rounds_attempts_and_its_log(grid: Grid) -> None:
    page = grid.enter(Role.VIEWER).get(f"/campaigns/{grid.moving[5:15]}").text  # a prefix
    assert ">1 sur 3</td>" in page
    assert "<svg" in page
    assert f"/log?campaign={grid.moving}" in page
    assert "Comptes" not in page  # a title is the voted one, not the manifest's
    released = grid.enter(Role.VIEWER).get(f"/campaigns/{grid.released}").text
    assert "publiée" in released


def test_a_unit_leads_to_a_proof_that_verifies_offline(grid: Grid) -> None:
    browser = grid.enter(Role.AUDITOR)
    page = browser.get(f"/units/{grid.late_unit}").text
    assert "le nœud a refusé" in page
    index = page.split('class="button" href="/log/')[1].split('"')[0]
    entry = browser.get(f"/log/{index}").text
    assert "Le tour 1 de" in entry
    assert "ordonnanceur" in entry
    document = browser.get(f"/log/{index}/document")
    proof = browser.get(f"/log/{index}/proof")
    assert proof.header("content-disposition").endswith(f'"entry-{index}.tlog-proof"')
    line = LogEntry.of(Kind.PLAN, document.body).emit()
    policy = Policy.parse(grid.world.desk.root.document.log_policy.encode())
    verify_proof(proof.body, line, policy)
    receipt = browser.get(f"/log/{index}/receipt")
    assert receipt.header("content-disposition").endswith(f'"receipt-{index}.tlog-proof"')
    assert carried(receipt.body) == document.body
    verify_proof(receipt.body, line, policy)


def test_workers_are_counted_in_tens_and_never_by_capsule(grid: Grid) -> None:
    browser = grid.enter(Role.OPERATOR)
    found = ask(browser, "/api/v1/workers?sort=operator")
    assert {row["capsules"] for row in found["items"]} == {0, 10}
    assert {row["state"] for row in found["items"]} == {"fresh", "lost"}
    for path in places(grid):
        text = browser.get(path).text
        assert "cap_" not in text.replace("cap_…", ""), path
    only = ask(browser, "/api/v1/workers?state=lost")["items"]
    assert len(only) == 1
    assert only[0]["operator"] == HOSTILE


def test_a_spreadsheet_runs_nothing(grid: Grid) -> None:
    answer = grid.enter(Role.OPERATOR).get("/workers?format=csv")
    assert answer.header("content-type").startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 4
    assert "'=HYPERLINK(1)" in {row["site"] for row in rows}


@pytest.mark.parametrize("path", ["campaigns", "log"])
def test_lists_go_on_behind_their_last_row_and_back(grid: Grid, path: str) -> None:
    browser = grid.enter(Role.OPERATOR)
    whole = ask(browser, f"/api/v1/{path}?size=200")["items"]
    assert len(whole) > 1
    gathered, cursor, back = [], "", None
    while True:
        page = ask(browser, f"/api/v1/{path}?size=1&cursor={cursor}")
        gathered += page["items"]
        if len(gathered) == 2:
            back = page["previous"]
        if not page["next"]:
            break
        cursor = page["next"]
    assert gathered == whole
    assert ask(browser, f"/api/v1/{path}?size=1&cursor={back}")["items"] == whole[:1]


def test_a_units_list_is_walked_by_key_too(grid: Grid) -> None:
    browser = grid.enter(Role.OPERATOR)
    base = f"/api/v1/campaigns/{grid.moving}/units?"
    whole = ask(browser, base)["items"]
    first = ask(browser, base + "size=2")
    rest = ask(browser, f"{base}size=2&cursor={first['next']}")
    assert [*first["items"], *rest["items"]] == whole
    done = ask(browser, base + "state=satisfied")["items"]
    assert {row["state"] for row in done} == {"satisfied"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/campaigns/camp_zzzzzzzzzz", 404),
        ("/campaigns/c", 404),
        ("/units/unit_%27%20OR%201=1", 404),
        ("/units/unit_", 404),
        ("/log/99999", 404),
        ("/log/99999999999999999999999", 404),
        ("/log/sha256:zz", 404),
        ("/log?kind=nothing", 422),
        ("/log?digest=%25", 422),
        ("/campaigns?state=nothing", 422),
        ("/campaigns?cursor=AAAA", 422),
        ("/campaigns?campaign=camp_%25", 422),
        ("/workers?size=100000", 422),
        ("/live/campaigns/camp_zzzzzzzzzz", 404),
    ],
)
def test_what_is_not_there_or_not_asked_well(grid: Grid, path: str, status: int) -> None:
    answer = grid.enter(Role.OPERATOR).get(path)
    assert answer.status == status
    assert "Traceback" not in answer.text


def test_the_api_describes_itself(grid: Grid) -> None:
    found = grid.enter().get("/api/v1/openapi.json").json
    assert {f"/api/v1/{path}" for path in ("campaigns", "workers", "log", "health")} <= set(
        found["paths"]
    )
    assert all(path.startswith("/api/") for path in found["paths"])


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        (
            "/campaigns/camp_zzzzzzzz",
            "Aucune campagne «\u00a0camp_zzzzzzzz\u00a0» n\u2019est connue",
        ),
        ("/units/zzzzzzzz", "Aucune unité de travail «\u00a0zzzzzzzz\u00a0» n\u2019est connue ici"),
        ("/workers/zzzzzzzz", "Aucun nœud «\u00a0zzzzzzzz\u00a0» n\u2019est connu ici"),
        ("/log/9999", "Rien ne s\u2019appelle «\u00a09999\u00a0» dans le journal"),
        ("/releases/{moving}", "La campagne est dans l\u2019état «\u00a0en cours\u00a0»"),
        ("/log/authors/nobody", "«\u00a0nobody\u00a0» n\u2019est pas la clé d\u2019un auteur"),
    ],
)
def test_a_mistyped_name_is_refused_in_the_readers_language(
    grid: Grid, path: str, cause: str
) -> None:
    browser = grid.enter(*Role)
    page = browser.get(path.format(moving=grid.moving), headers={"accept-language": "fr"})
    assert page.status in {404, 422, 503}
    assert cause in page.text
    assert '<div class="problem" role="alert">' in page.text
    english = browser.get(path.format(moving=grid.moving), headers={"accept-language": "en"}).text
    assert cause not in english
    assert "<span lang=" not in english


def test_a_page_about_one_thing_is_json_too(grid: Grid) -> None:
    """By its address or by what is asked for, the very answer of the API."""
    bundle = str(grid.world.bundle.digest)
    same = {
        "/": "/health",
        f"/campaigns/{grid.moving}": "",
        f"/units/{grid.late_unit}": "",
        f"/workers/{grid.workers[0].name}": "",
        f"/bundles/{bundle}": "",
        f"/mine/{bundle}": "",
        f"/runs/{grid.released}": "",
        f"/releases/{grid.released}": "",
        "/log/3": "",
        "/log/search?q=3": "/log-search?q=3",
        f"/log/campaigns/{grid.released}/evidence": f"/log-evidence/{grid.released}",
    }
    browser = grid.enter(*Role)
    for path, api in same.items():
        told = browser.get("/api/v1" + (api or path)).json
        mark = "&" if "?" in path else "?"
        assert told == browser.get(f"{path}{mark}format=json").json, path
        asked = browser.get(path, headers={"accept": "application/json"})
        assert told == asked.json, path
        assert "Accept" in asked.header("vary")
        assert browser.get(path).status in {200, 303}, path
    two = browser.get("/log/checkpoints?format=json").json["items"]
    newest = two[0]["size"]
    assert browser.get(f"/log/checkpoints/{newest}?format=json").json["size"] == int(newest)
    beyond = browser.get("/campaigns/camp_zzzzzzzz?format=json")
    assert (beyond.status, beyond.json["code"]) == (404, "unknown")


@pytest.mark.parametrize("path", ["/account?format=json", "/log/3?format=csv", "/log/3?format=x"])
def test_a_form_that_a_page_does_not_have_is_refused(grid: Grid, path: str) -> None:
    answer = grid.enter(Role.OPERATOR).get(path)
    assert answer.status == 422
    assert "format" in answer.text


def test_a_session_outlives_the_pages(grid: Grid) -> None:
    browser = grid.enter(Role.VIEWER)
    grid.open(grid.origin)
    browser.app = grid.app
    assert browser.get("/workers").status == 200
