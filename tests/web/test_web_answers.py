"""What every answer carries, and what no answer tells."""

from __future__ import annotations

import dataclasses
import logging
import re
from typing import Any

import pytest
from fastapi import APIRouter, Response
from starlette.middleware import Middleware
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.web.sample import surface
from trust.clock import ManualClock
from trust.problem import Kind, Problem
from web import problems
from web.application import application
from web.errors import BadParameter, Worded
from web.headers import HEADERS, POLICY
from web.kit import Kit
from web.languages import Language
from web.sentences import Foreign, say

MACHINE = {"accept": "application/json"}


@pytest.fixture(scope="module")
def made() -> Kit:
    return surface.kit(ManualClock(surface.START))


@pytest.fixture
def client(made: Kit) -> TestClient:
    return TestClient(surface.surface(made)[0])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/workers?format=csv", 200),
        ("GET", "/nothing", 404),
        ("GET", "/assets/kit.css", 404),
        ("POST", "/", 405),
        ("GET", "/workers?size=0", 422),
        ("GET", "/refused", 403),
        ("GET", "/broken", 500),
        ("GET", "/typed/x", 422),
        ("GET", "/api/v1/openapi.json", 200),
    ],
)
def test_every_answer_carries_the_headers(
    client: TestClient, method: str, path: str, status: int
) -> None:
    for headers in ({}, MACHINE):
        answer = client.request(method, path, headers=headers)
        assert answer.status_code == status
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert answer.headers["cache-control"] == "no-store"


def test_the_policy_has_nothing_unsafe() -> None:
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none'")
    assert re.findall(r"(?:https?:|\*|blob:)", POLICY) == []


def test_an_unforeseen_failure_tells_its_number_alone(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "cadastre.web"):
        page = client.get("/broken")
    assert "hunter2" not in page.text
    number = re.search(r"numéro ([0-9a-f]{8})", page.text)
    assert number is not None
    assert number[1] in caplog.text
    assert "hunter2" in caplog.text  # for who may read the journal
    told = client.get("/broken", headers=MACHINE).json()
    assert told["code"] == "internal"
    assert "hunter2" not in str(told)


def test_a_refusal_is_a_document_for_machines_and_a_page_for_people(client: TestClient) -> None:
    answer = client.get("/refused", headers=MACHINE)
    assert answer.headers["content-type"] == problems.MEDIA_TYPE
    assert answer.json() == {
        "type": "urn:cadastre:problem:sample-refused",
        "title": "Ce n\u2019est pas autorisé",
        "status": 403,
        "detail": "the campaign has <b>ended</b>",
        "code": "sample-refused",
        "remedy": "start another one",
        "retryable": False,
        "ids": {"campaign": "c-1"},
    }
    page = client.get("/refused").text
    assert "The campaign has &lt;b&gt;ended&lt;/b&gt;." in page
    assert '<div class="problem" role="alert" lang="en">' in page  # nobody told them here
    assert "c-1" in page


def test_a_surface_says_other_rooms_refusals_in_words_of_its_own(made: Kit) -> None:
    def worded(problem: Problem) -> Worded:
        foreign = Foreign(problem.sentence)
        # Any two messages that have their French do here.
        return Worded(say("Filter: {word}", word=foreign), say("there is nothing at this address"))

    told = dataclasses.replace(made, worded=worded)
    client = TestClient(surface.surface(told)[0])
    page = client.get("/refused").text
    assert '<div class="problem" role="alert">' in page
    quoted = '<span lang="en">the campaign has &lt;b&gt;ended&lt;/b&gt;</span>.'
    assert quoted in page
    assert "Il n\u2019y a rien à cette adresse." in page
    assert "<span lang=" not in client.get("/refused?lang=en").text
    answer = client.get("/refused?lang=fr", headers=MACHINE)
    assert answer.headers["content-language"] == "fr"
    assert answer.json()["detail"].endswith("the campaign has <b>ended</b>")
    assert answer.json()["remedy"] == "il n\u2019y a rien à cette adresse"
    assert answer.json()["code"] == "sample-refused"


def test_refusals_of_this_room_speak_both_languages(client: TestClient) -> None:
    french = client.get("/workers?color=red").text
    assert "n\u2019a pas de paramètre «\u00a0color\u00a0»" in french
    english = client.get("/workers?color=red&lang=en").text
    assert "This list has no parameter “color”" in english
    assert client.get("/typed/x?lang=en", headers=MACHINE).json()["ids"] == {"parameter": "number"}


def test_every_kind_has_a_status_and_a_title(made: Kit) -> None:
    assert set(problems.STATUS) == set(problems._TITLES) == set(Kind)
    for title in problems._TITLES.values():
        assert made.catalogues.find(Language.FR, title) is not None


def test_a_retryable_refusal_says_when(made: Kit) -> None:
    class Later(Problem):
        """Not now."""

        code = "later"
        kind = Kind.UNAVAILABLE
        retryable = True

    router = APIRouter()

    @router.get("/later")
    def later() -> Response:
        raise Later("not now", remedy="wait")

    client = TestClient(application(made, title="x", routers=[router]))
    answer = client.get("/later")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_what_middleware_refuses_is_answered_alike(made: Kit) -> None:
    class Gate:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            raise BadParameter("csrf", say("the form has a field twice"))

    client = TestClient(
        application(made, title="x", routers=[APIRouter()], middleware=[Middleware(Gate)])
    )
    answer = client.get("/")
    assert answer.status_code == 422
    assert "deux fois le même champ" in answer.text
    assert answer.headers["content-security-policy"] == POLICY


def test_half_an_answer_is_not_followed_by_another(made: Kit) -> None:
    class Half(Response):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise RuntimeError("in the middle")

    router = APIRouter()

    @router.get("/half")
    def half() -> Any:
        return Half()

    client = TestClient(application(made, title="x", routers=[router]))
    with pytest.raises(RuntimeError, match="in the middle"):
        client.get("/half")


def test_choices_are_remembered(client: TestClient) -> None:
    answer = client.get("/workers?lang=en&theme=dark")
    cookies = answer.headers.get_list("set-cookie")
    assert any(one.startswith("cadastre_lang=en; Path=/; ") for one in cookies)
    assert any(one.startswith("cadastre_theme=dark; ") for one in cookies)
    assert all("SameSite=Lax" in one for one in cookies)
    again = client.get("/workers").text
    assert '<html lang="en" data-theme="dark"' in again
    assert client.get("/workers?lang=<x>&theme=pink").headers.get_list("set-cookie") == []
    secure = TestClient(client.app, base_url="https://testserver")
    assert "; Secure" in secure.get("/workers?lang=en").headers["set-cookie"]


def test_switches_keep_the_list_and_lead_nowhere_else(client: TestClient) -> None:
    page = client.get("/workers?state=lost&lang=fr").text
    assert 'href="?state=lost&amp;lang=en"' in page
    assert re.findall(r'(?:href|src|action)="(?!/|\?|#)[^"]*"', page) == []


def test_the_navigation_shows_what_a_role_may_see(client: TestClient) -> None:
    page = client.get("/workers").text
    assert 'href="/workers" aria-current="page"' in page
    assert "/log" not in page  # for auditors, and this visitor is none


def test_no_page_documents_itself_from_another_host(client: TestClient) -> None:
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404


@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*;q=x", ""])
def test_a_wrong_format_is_refused_in_some_form(client: TestClient, accept: str) -> None:
    answer = client.get("/workers?format=xml", headers={"accept": accept})
    assert answer.status_code == 422
    assert answer.headers["content-type"].split(";")[0] in {"text/html", problems.MEDIA_TYPE}
