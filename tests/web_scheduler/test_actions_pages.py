"""Actions on pages and for programs: who may, how it is confirmed, what is refused, what is left.

Every test that sends something asks the log afterwards: what was refused left nothing there.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from jobs.errors import ParametersRefused
from scheduler.domain.allowing import SENTENCES, Obstacle
from scheduler.store.tables import ActionRow, CampaignRow, LogRow, MemberRow, UnitRow, WorkerRow
from scheduler.web.actions import settings, words
from tests.web.signin_browser import Answer, Browser
from tests.web_scheduler.territory import HOSTILE, Grid, grid_in
from trust.documents.actions import Act, Means
from trust.documents.rules import Bound
from trust.ids import Digest
from trust.log.entry import Kind
from web import catalogues
from web.extraction import complaints
from web.forms import Form
from web.languages import Language
from web.signin import lifetimes
from web.signin.access import declarations
from web.signin.roles import Role
from web.speech import Speech

NONCE = re.compile(r'name="request" value="([0-9a-f]{32})"')
WHY = "the parameters were wrong"
MACHINE = {"accept": "application/json"}
EVIL = "https://evil.example"


@pytest.fixture
def acted(tmp_path: Path) -> Iterator[Grid]:
    """A grid of its own: these tests change it."""
    made = grid_in(tmp_path)
    yield made
    made.close()


def turn(grid: Grid) -> None:
    asyncio.run(grid.world.turn())


def worker_of(grid: Grid, place: int = 0) -> str:
    def find(tx: Any) -> list[str]:
        return sorted(tx.session.exec(select(WorkerRow.name)))

    return grid.world.desk.store.read("w", find)[place]


def done(grid: Grid) -> list[ActionRow]:
    """Deeds that were done by hand on these pages; as many entries are queued or in the log."""

    def find(tx: Any) -> tuple[list[ActionRow], int]:
        query = select(ActionRow).join(LogRow, LogRow.digest == ActionRow.digest)
        rows = tx.session.exec(query.order_by(LogRow.id)).all()
        entries = tx.session.exec(select(LogRow.id).where(LogRow.kind == Kind.ACTION.value)).all()
        return list(rows), len(entries)

    rows, entries = grid.world.desk.store.read("deeds", find)
    assert len(rows) == entries
    return [row for row in rows if row.means != Means.CERTIFICATE.value]


def paths(grid: Grid) -> list[str]:
    worker = worker_of(grid)
    return [
        f"/actions/cancel-campaign/{grid.moving}",
        f"/actions/retry-unit/{grid.late_unit}",
        f"/actions/drain-worker/{worker}",
        f"/actions/resume-worker/{worker}",
        f"/actions/exclude-worker/{worker}",
        f"/actions/start-campaign/{grid.world.bundle.digest}",
    ]


def possible(grid: Grid) -> list[str]:
    """Those of them that nothing stands in the way of."""
    return [path for path in paths(grid) if "resume" not in path and "retry" not in path]


def speech(language: Language) -> Speech:
    return Speech(language, catalogues.load(["web"]), datetime(2026, 11, 30, tzinfo=UTC))


def nonce(page: Answer) -> str:
    found = NONCE.search(page.text)
    assert found, page.text
    return found[1]


def vote(page: Answer) -> str:
    found = re.search(r'name="vote" value="(auth_[0-9a-z]+)"', page.text)
    return found[1] if found else ""


def word(path: str) -> str:
    return "counts" if "sha256" in path else path.rpartition("_")[2][:8]


def confirm(browser: Browser, path: str, **changed: str) -> Answer:
    """The form at `path`, filled in and sent as a browser does."""
    page = browser.get(path)
    assert page.status == 200, page.text
    fields = {"word": word(path), "reason": WHY, "request": nonce(page)}
    if "sha256" in path:
        fields |= {"parameters": '{"zones": 3}', "vote": vote(page)}
    return browser.send(page, path, **{**fields, **changed})


def test_a_cancellation_from_its_button_to_its_entry(acted: Grid) -> None:
    browser = acted.enter(Role.OPERATOR)
    path = f"/actions/cancel-campaign/{acted.moving}"
    assert f'href="{path}"' in browser.get(f"/campaigns/{acted.moving}").text
    answer = confirm(browser, path)
    assert answer.status == 303
    assert answer.location.startswith("/actions/deed_")
    queued = browser.get(answer.location, headers={"accept-language": "fr"}).text
    assert "Regarder de nouveau" in queued
    turn(acted)
    shown = browser.get(answer.location, headers={"accept-language": "fr"}).text
    assert WHY in shown
    (row,) = done(acted)
    found = re.search(r'class="button" href="(/log/\d+)"', shown)
    assert found
    for language, said in (("fr", "a annulé"), ("en", "cancelled")):
        entry = acted.enter().get(found[1], headers={"accept-language": language}).text
        assert f"({row.account}) {said} {acted.moving}" in entry
        assert WHY in entry
        assert "Ada" not in entry
    campaign = browser.get(f"/campaigns/{acted.moving}").text
    assert f'href="{path}"' not in campaign
    assert WHY in campaign


def test_roles_are_asked_at_every_address(acted: Grid) -> None:
    visitors = [acted.enter(role) for role in (Role.VIEWER, Role.AUDITOR, Role.AUTHOR)]
    operator = acted.enter(Role.OPERATOR)
    for path in paths(acted):
        assert operator.get(path).status == 200, path
        form = {"word": word(path), "reason": WHY, "request": "0" * 32}
        for visitor in visitors:
            assert visitor.get(path).status == 403, path
            own = visitor.get("/log").csrf  # the form to sign out is on every page
            assert visitor.post(path, {"csrf": own, **form}).status == 403, path
        nobody = acted.enter()
        assert nobody.get(path).status == 303
        assert nobody.post(path, form).status in {401, 403}
    for visitor, status in zip(visitors, (403, 200, 403), strict=True):
        assert visitor.get("/actions").status == status
        assert visitor.get("/api/v1/actions").status == status
    worker = f"/workers/{worker_of(acted)}"
    assert [visitor.get(worker).status for visitor in visitors] == [200, 200, 403]
    assert all("exclude-worker" not in visitor.get(worker).text for visitor in visitors[:2])
    for page in (f"/campaigns/{acted.moving}", "/campaigns"):
        assert "/actions/" in operator.get(page).text
        assert "/actions/cancel" not in visitors[0].get(page).text
        assert "/actions/start" not in visitors[0].get(page).text
    assert "/actions/retry" not in visitors[0].get(f"/units/{acted.late_unit}").text
    assert done(acted) == []


def test_whatever_changes_the_grid_wants_an_operator(acted: Grid) -> None:
    for path, found in declarations(acted.app.routes):
        if path.startswith(("/actions/{act}", "/actions/start-campaign")):
            assert [one.roles for one in found] == [frozenset({Role.OPERATOR})]
            assert all(one.delicate for one in found)


def test_another_site_or_another_session_cannot_send_it(acted: Grid) -> None:
    operator, other = acted.enter(Role.OPERATOR), acted.enter(Role.OPERATOR)
    for path in possible(acted):
        page = operator.get(path)
        form = {"word": word(path), "reason": WHY, "request": nonce(page)}
        foreign = other.get(path).csrf
        for attempt in (
            operator.post(path, form),
            operator.post(path, {"csrf": "", **form}),
            operator.post(path, {"csrf": foreign, **form}),
            operator.post(path, {"csrf": page.csrf, **form}, source=EVIL),
            operator.post(path, {"csrf": page.csrf, **form}, source="null"),
            operator.post(
                path, {"csrf": page.csrf, **form}, headers={"content-type": "text/plain"}
            ),
        ):
            assert attempt.status == 403, path
        assert operator.get(f"{path}?word={word(path)}&reason={WHY}").status == 200
    assert done(acted) == []


def test_a_wrong_word_no_reason_or_no_form_does_nothing(acted: Grid) -> None:
    operator = acted.enter(Role.OPERATOR)
    wrong = [
        {"word": ""},
        {"word": "00000000"},
        {"word": "<b>"},
        {"reason": ""},
        {"reason": "test"},
        {"reason": "\u202e \u200b\u2066 \n"},
        {"reason": "x" * 201},
        {"reason": "x" * 401},
        {"request": ""},
        {"request": "1"},
    ]
    for path in possible(acted):
        for fields in wrong:
            answer = confirm(operator, path, **fields)
            assert answer.status == 422, (path, fields)
        assert confirm(operator, path, word=word(path).upper() + " ").status == 422
    page = operator.get(f"/actions/cancel-campaign/{acted.moving}")
    # The word of one campaign does not confirm another one's end.
    assert (
        operator.send(
            page,
            f"/actions/cancel-campaign/{acted.released}",
            word=word(acted.moving),
            reason=WHY,
            request=nonce(page),
        ).status
        == 422
    )
    for path in ("/actions/erase-log/x", "/actions/start-campaign/x", "/actions/deed_x",
                 "/actions/cancel-campaign/..%2f..", "/actions/drain-worker/wrk_'--"):  # fmt: skip
        assert operator.get(path).status in {404, 422}, path
    assert done(acted) == []


def test_sending_a_form_twice_does_it_once(acted: Grid) -> None:
    operator = acted.enter(Role.OPERATOR)
    path = f"/actions/cancel-campaign/{acted.moving}"
    page, late = operator.get(path), operator.get(path)
    fields = {"word": word(path), "reason": WHY}
    answers = [operator.send(page, path, request=nonce(page), **fields) for _ in range(3)]
    assert {answer.status for answer in answers} == {303}
    assert len({answer.location for answer in answers}) == 1
    another = operator.send(late, path, request=nonce(late), **fields)
    assert another.status == 409
    assert "La campagne est terminée" in another.text
    changed = operator.send(page, path, request=nonce(page), word=word(path), reason="other one")
    assert changed.status == 409
    assert len(done(acted)) == 1


def test_nothing_that_somebody_wrote_runs(acted: Grid) -> None:
    operator = acted.enter(Role.OPERATOR)
    for path in (
        f"/actions/drain-worker/{worker_of(acted)}",
        f"/actions/cancel-campaign/{acted.moving}",
    ):
        form = operator.get(path)
        assert "<img src=x" not in form.text
        answer = confirm(operator, path, reason=f"{HOSTILE} \u202e{{{{7*7}}}} {{reason}}")
        assert answer.status == 303
    turn(acted)
    (first, second) = done(acted)
    seen = 0
    for page in (
        f"/actions/{first.id}",
        f"/actions/{second.id}",
        "/actions",
        f"/workers/{first.worker}",
        f"/log/{second.digest}",
        f"/log/{first.digest}",
        f"/campaigns/{acted.moving}",
        "/",
        f"/actions/cancel-campaign/{acted.moving}",
    ):
        text = operator.get(page).text
        assert "<img src=x" not in text, page
        assert "\u202e" not in text, page
        assert "49 {reason}" not in text, page
        seen += "&lt;img src=x onerror=alert(1)&gt;" in text
    assert seen >= 6
    assert HOSTILE not in acted.enter().get(f"/log/{first.digest}").text


def test_a_session_that_was_proved_long_ago_signs_in_again_first(acted: Grid) -> None:
    operator = acted.enter(Role.OPERATOR)
    path = f"/actions/cancel-campaign/{acted.moving}"
    page = operator.get(path)
    acted.world.clock.advance(lifetimes.FRESH.total_seconds() + 1)
    assert operator.get(f"/campaigns/{acted.moving}").status == 200
    again = operator.get(path)
    assert again.status == 303
    assert again.location.startswith("/sign-in")
    answer = operator.send(page, path, word=word(path), reason=WHY, request=nonce(page))
    assert answer.status in {401, 403}
    assert done(acted) == []


def test_a_worker_is_drained_let_again_and_excluded(acted: Grid) -> None:
    operator = acted.enter(Role.OPERATOR)
    worker = worker_of(acted)
    own = f"/workers/{worker}"

    def stored() -> tuple[bool, bool]:
        def find(tx: Any) -> tuple[bool, bool]:
            row, member = tx.session.get(WorkerRow, worker), tx.session.get(MemberRow, worker)
            return row.drained_at is not None, member.banned_at is not None

        return acted.world.desk.store.read("w", find)

    assert f'href="{own}"' in operator.get("/workers").text
    for act, state in (("drain", (True, False)), ("resume", (False, False)),
                       ("drain", (True, False)), ("exclude", (True, True))):  # fmt: skip
        path = f"/actions/{act}-worker/{worker}"
        assert f'href="{path}"' in operator.get(own).text
        assert confirm(operator, path).status == 303
        assert stored() == state
        acted.world.clock.advance(1)
    for act in ("drain", "resume", "exclude"):
        refused = operator.get(f"/actions/{act}-worker/{worker}")
        assert "est déjà exclu" in refused.text
        assert '<form class="confirm"' not in refused.text
    assert "exclude-worker" not in operator.get(own).text
    history = operator.get(f"/api/v1/actions?worker={worker}", headers=MACHINE).json
    assert [row["act"] for row in history["items"]] == [
        "exclude-worker", "drain-worker", "resume-worker", "drain-worker",
    ]  # fmt: skip
    turn(acted)
    entry = acted.enter().get(f"/log/{done(acted)[0].digest}", headers={"accept-language": "en"})
    assert "their reason is sealed" in entry.text
    assert WHY not in entry.text


def test_a_unit_is_tried_again_or_the_page_says_why_not(acted: Grid) -> None:
    operator = acted.enter(Role.OPERATOR)
    path = f"/actions/retry-unit/{acted.late_unit}"

    def becomes(tx: Any) -> None:
        row = tx.session.get(UnitRow, acted.late_unit)
        assert row.state == "ready"
        row.state, row.not_before = "waiting", tx.now + timedelta(minutes=2)

    assert "pas possible en l\u2019état" in operator.get(path).text
    assert "attend que son nœud demande du travail" in operator.get(path).text
    own = {"csrf": operator.get("/log").csrf, "word": word(path), "request": "0" * 32}
    assert operator.post(path, {**own, "reason": WHY}).status == 409
    assert done(acted) == []
    acted.world.desk.store.run("back-off", becomes)
    assert f'href="{path}"' in operator.get(f"/units/{acted.late_unit}").text
    assert confirm(operator, path).status == 303
    (row,) = done(acted)
    assert (row.unit, row.campaign) == (acted.late_unit, acted.moving)
    unit = acted.world.desk.store.read("u", lambda tx: tx.session.get(UnitRow, row.unit))
    assert unit.state == "ready"


BOUNDS = {
    "epochs": Bound("integer", "1", "64", ()),
    "rate": Bound("decimal", "0.01", "1", ()),
    "model": Bound("choice", None, None, ("gcn", "sage")),
    "note": Bound("text", None, "80", ()),
}


def test_the_form_proposes_what_the_author_does() -> None:
    fields = settings.settings(BOUNDS, {"epochs": "8", "model": "sage"})
    proposed = json.loads(settings.template(fields))
    assert proposed == {"epochs": 8, "rate": "0.01", "model": "sage", "note": ""}
    (model, *_) = (one for one in settings.settings(BOUNDS, {}) if one.name == "model")
    assert (model.value, model.choices) == ("gcn", ("gcn", "sage"))


def test_fields_become_the_object_that_would_have_been_written() -> None:
    typed = {"epochs": "12", "rate": "0,25", "model": "gcn", "note": "été"}
    sent = Form({settings.PREFIX + name: value for name, value in typed.items()})
    found = json.loads(settings.written(sent, BOUNDS, speech(Language.FR)))
    assert found == {"epochs": 12, "rate": "0.25", "model": "gcn", "note": "été"}
    own = Form({**sent.fields, settings.WRITTEN: '{"epochs": 3}'})
    assert settings.written(own, BOUNDS, speech(Language.FR)) == b'{"epochs": 3}'
    for name, value in (("epochs", "65"), ("epochs", "1e1"), ("rate", "x"), ("model", "gat")):
        other = Form({**sent.fields, settings.PREFIX + name: value})
        with pytest.raises(ParametersRefused, match=name):
            settings.written(other, BOUNDS, speech(Language.FR))
    with pytest.raises(ParametersRefused, match="rate: missing"):
        settings.written(Form({settings.PREFIX + "epochs": "1"}), BOUNDS, speech(Language.FR))


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("proposed", ["1234", "1234.5", "0.25", "1e3", "123456789012345678901234"])
def test_what_the_form_proposes_comes_back_as_it_was(language: Language, proposed: str) -> None:
    """Shown as "1,234" in English, a proposal of 1234 came back as 1.234 and was started so."""
    bounds = {"rate": Bound("decimal", "0", "1" + "0" * 25, ())}
    (field,) = settings.settings(bounds, {"rate": proposed})
    sent = Form({field.field: speech(language).typed(field.value)})
    found = json.loads(settings.written(sent, bounds, speech(language)))
    assert Decimal(found["rate"]) == Decimal(proposed)


@pytest.mark.parametrize(
    ("language", "typed"), [(Language.EN, "1,234"), (Language.FR, "1.234,5"), (Language.FR, "1 2")]
)
def test_no_number_is_read_that_may_mean_two_things(language: Language, typed: str) -> None:
    bounds = {"rate": Bound("decimal", "0", "5000", ())}
    with pytest.raises(ParametersRefused, match="rate: expected a decimal"):
        settings.written(Form({settings.PREFIX + "rate": typed}), bounds, speech(language))


def test_a_start_is_of_the_vote_that_its_form_has_shown(acted: Grid) -> None:
    """Between the form and its sending the college may have voted other bounds and costs."""
    operator = acted.enter(Role.OPERATOR)
    path = f"/actions/start-campaign/{acted.world.bundle.digest}"
    page = operator.get(path)
    fields = {"word": "counts", "reason": WHY, "request": nonce(page), "set-zones": "4"}
    acted.world.clock.advance(1)
    asyncio.run(acted.world.authorised(title="Another vote"))
    shown = vote(operator.get(path))
    assert shown != vote(page)
    for sent in ({"vote": vote(page)}, {}):
        refused = operator.send(page, path, **fields, **sent)
        assert refused.status == 409
        assert "a changé entre-temps" in refused.text
    assert done(acted) == []
    assert operator.send(page, path, **fields, vote=shown).status == 303


def test_the_start_form_has_a_field_each_and_says_what_it_costs(acted: Grid) -> None:
    operator = acted.enter(Role.OPERATOR)
    path = f"/actions/start-campaign/{acted.world.bundle.digest}"
    page = operator.get(path, headers={"accept-language": "fr"})
    assert 'type="number" step="1" min="1" max="9" value="1"' in page.text
    assert "Un nombre entier de 1 à 9" in page.text
    assert "integer" not in page.text
    told = re.sub(r"<[^>]+>|\s+", " ", page.text)
    assert re.search(r"Campagnes restantes +\d+ sur \d+", told), told
    assert re.search(r"Coût d\u2019une campagne \(zCDP\) +0,1 ", told), told
    assert "commute" in told  # the table that it reads
    assert 'class="danger"' not in page.text
    assert 'href="/actions/start-campaign"' in page.text.partition("<form class")[2]
    fields = {"word": "counts", "reason": WHY, "request": nonce(page), "vote": vote(page)}
    wrong = operator.send(page, path, **fields, **{"set-zones": "10"})
    assert wrong.status == 422
    assert done(acted) == []
    assert operator.send(page, path, **fields, **{"set-zones": "4"}).status == 303
    left = operator.get("/actions/start-campaign").text
    (row,) = done(acted)

    def find(tx: Any) -> CampaignRow:
        return tx.session.get(CampaignRow, row.campaign)

    started = acted.world.desk.store.read("c", find)
    assert acted.world.desk.blobs.get(Digest(started.parameters)) == b'{"zones":4}'
    assert "Campagnes restantes" in left


def test_what_cannot_be_undone_looks_so_and_has_a_way_back(acted: Grid) -> None:
    operator = acted.enter(Role.OPERATOR)
    worker = worker_of(acted)
    for path, back, grave in (
        (f"/actions/cancel-campaign/{acted.moving}", f"/campaigns/{acted.moving}", True),
        (f"/actions/exclude-worker/{worker}", f"/workers/{worker}", True),
        (f"/actions/drain-worker/{worker}", f"/workers/{worker}", False),
    ):
        form = operator.get(path).text.partition('<form class="confirm')[2]
        assert f'<a href="{back}">' in form, path
        assert ('class="danger"' in form) == grave, path


def test_a_campaign_is_started_with_its_parameters(acted: Grid) -> None:
    operator = acted.enter(Role.OPERATOR)
    offers = operator.get("/actions/start-campaign").text
    path = f"/actions/start-campaign/{acted.world.bundle.digest}"
    assert f'href="{path}"' in offers
    assert "&lt;img" in offers
    form = operator.get(path).text
    assert "&#34;zones&#34;: 1" in form
    for bad in (
        "",
        "{}",
        '{"zones": 10}',
        '{"zones": 3, "zones": 4}',
        "[",
        '{"zones": "<script>"}',
    ):
        assert confirm(operator, path, parameters=bad).status == 422, bad
    answer = confirm(operator, path)
    assert answer.status == 303
    (row,) = done(acted)

    def find(tx: Any) -> CampaignRow:
        return tx.session.get(CampaignRow, row.campaign)

    assert acted.world.desk.store.read("c", find).started_by == row.account
    assert operator.get(f"/campaigns/{row.campaign}").status == 200


def token(grid: Grid, *roles: Role) -> dict[str, str]:
    credentials = grid.entrance.credentials
    person = credentials.redeem(credentials.invite("Inès Martin", roles)).person
    return {"authorization": f"Bearer {credentials.api(person, set(roles), 'script')}"}


def call(grid: Grid, body: Any, headers: dict[str, str], **options: Any) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"content-type": "application/json", "accept": "application/json", **headers}
    return grid.enter().ask("POST", "/api/v1/actions", body=raw, headers=sent, **options)


def test_a_program_does_the_same_with_its_token(acted: Grid) -> None:
    operator = token(acted, Role.OPERATOR)
    asked = {"act": "cancel-campaign", "subject": acted.moving, "reason": WHY, "request": "k1"}
    first, again = call(acted, asked, operator), call(acted, asked, operator)
    assert (first.status, again.status) == (201, 201)
    assert first.json["action"] == again.json["action"]
    assert first.json["means"] == "program"
    assert first.header("location") == f"/api/v1/actions/{first.json['action']}"
    got = acted.enter().get(first.header("location"), headers=operator)
    assert got.json == first.json
    late = call(acted, {**asked, "request": "k2"}, operator)
    assert late.status == 409
    assert late.json["code"] == "action-refused"
    started = call(
        acted,
        {
            **asked,
            "act": "start-campaign",
            "subject": acted.world.bundle.digest,
            "request": "k3",
            "parameters": {"zones": 2},
        },
        operator,
    )
    assert started.status == 201, started.text
    assert [row.act for row in done(acted)] == ["cancel-campaign", "start-campaign"]


def test_a_program_without_the_role_or_with_nonsense_does_nothing(acted: Grid) -> None:
    asked = {"act": "cancel-campaign", "subject": acted.moving, "reason": WHY, "request": "k1"}
    for role in (Role.VIEWER, Role.AUDITOR, Role.AUTHOR):
        assert call(acted, asked, token(acted, role)).status == 403
    assert call(acted, asked, {}).status in {401, 403}
    assert call(acted, asked, {"authorization": "Bearer cadastre-api-v1.x"}).status == 401
    operator = token(acted, Role.OPERATOR)
    for body, status in (
        (b"", 422),
        (b"[]", 422),
        (b"{" * 3000, 422),
        (b'{"act":"cancel-campaign","act":"drain-worker"}', 422),
        ({**asked, "act": "erase-log"}, 422),
        ({**asked, "actor": "somebody"}, 422),
        ({**asked, "reason": 5}, 422),
        ({**asked, "reason": "\u200b"}, 422),
        ({**asked, "reason": "x" * 201}, 422),
        ({**asked, "request": "k" * 129}, 422),
        ({**asked, "request": "\ud800"}, 422),
        ({**asked, "subject": "\ud800aaaaaaaaaa"}, 404),
        (
            b'{"act":"start-campaign","subject":"counts00","reason":"why","request":"k",'
            b'"parameters":{"a":' + b"[" * 900 + b"]" * 900 + b"}}",
            404,
        ),
        ({**asked, "subject": "camp_zzzzzzzzzz"}, 404),
        ({**asked, "subject": "../../etc"}, 404),
        ({**asked, "parameters": {}}, 422),
        (b" " * 200_000, 422),
    ):
        answer = call(acted, body, operator)
        assert answer.status == status, (body, answer.text)
    assert call(acted, asked, {**operator, "content-type": "text/plain"}).status == 422
    # A person's session sends no program's request, whatever token it shows beside it.
    browser = acted.enter(Role.OPERATOR)
    page = browser.get(f"/actions/cancel-campaign/{acted.moving}")
    sent = {"content-type": "application/json", "x-csrf-token": page.csrf}
    raw = json.dumps(asked).encode()
    answer = browser.ask("POST", "/api/v1/actions", body=raw, headers=sent)
    assert answer.status in {401, 403}
    # Nor does a program's token open a form.
    assert acted.enter().get("/actions/start-campaign/x", headers=operator).status == 303
    assert done(acted) == []


def test_the_list_is_read_in_pages_and_as_csv(acted: Grid) -> None:
    operator = acted.enter(Role.OPERATOR)
    for place in range(3):
        path = f"/actions/drain-worker/{worker_of(acted, place)}"
        assert confirm(operator, path).status == 303
        acted.world.clock.advance(timedelta(seconds=5).total_seconds())
    rows = operator.get("/api/v1/actions?act=drain-worker", headers=MACHINE).json["items"]
    assert len(rows) == 3
    csv = operator.get("/actions?act=drain-worker&format=csv").text
    assert csv.count("drain-worker") == 3
    assert operator.get("/actions?campaign=camp_00000000").status == 404
    assert operator.get(f"/actions?campaign={acted.moving}").status == 200
    assert operator.get("/actions?act=x").status == 422


def test_the_words_are_all_there_and_the_services_own() -> None:
    assert complaints("scheduler.web.actions") == []
    assert set(words.ACTS) == set(words.VERBS) == set(words.EFFECTS) == set(Act)
    assert set(words.MEANS) == set(Means)
    assert SENTENCES == words.OBSTACLES
    assert set(SENTENCES) == set(Obstacle)
