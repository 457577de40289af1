"""Forms: bounded, every field once, a word typed exactly."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.web.sample import surface
from trust.clock import ManualClock
from web import forms
from web.application import application
from web.errors import BadParameter, FormRefused


@pytest.fixture(scope="module")
def client() -> TestClient:
    router = APIRouter()

    @router.post("/echo")
    async def echo(request: Request) -> dict[str, Any]:
        first = await forms.read(request, largest=1000)
        second = await forms.read(request, largest=1000)  # as sign-in and then the page do
        assert first == second
        return dict(first.fields)

    return TestClient(
        application(surface.kit(ManualClock(surface.START)), title="x", routers=[router])
    )


def test_a_form_is_read_by_who_checks_it_and_by_who_uses_it(client: TestClient) -> None:
    answer = client.post("/echo", data={"a": "é&=", "b": ""})
    assert answer.json() == {"a": "é&=", "b": ""}
    assert (
        client.post("/echo", content=b"", headers={"content-type": forms.MEDIA_TYPE}).json() == {}
    )


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"a=1&a=2", forms.MEDIA_TYPE),
        (b"a=%FF", forms.MEDIA_TYPE),
        (b"a", forms.MEDIA_TYPE),
        (b"a=\xe9", forms.MEDIA_TYPE),
        (b"&".join(b"a%d=1" % n for n in range(101)), forms.MEDIA_TYPE),
        (b"a=" + b"x" * 1000, forms.MEDIA_TYPE),
        (b"a=1", "multipart/form-data; boundary=x"),
        (b'{"a": 1}', "application/json"),
        (b"a=1", ""),
    ],
)
def test_another_form_is_refused(client: TestClient, body: bytes, kind: str) -> None:
    answer = client.post("/echo", content=body, headers={"content-type": kind})
    assert answer.status_code == 422
    assert "form-refused" in answer.text


def test_a_form_that_does_not_say_how_long_it_is_is_bounded_too(client: TestClient) -> None:
    def endless() -> Any:
        for _ in range(100):
            yield b"a" * 100

    answer = client.post("/echo", content=endless(), headers={"content-type": forms.MEDIA_TYPE})
    assert answer.status_code == 422


def test_a_word_is_typed_exactly() -> None:
    form = forms.Form({"word": " atelier-3 ", "reason": "broken disk"})
    form.confirmed("word", "atelier-3")
    assert form.text("reason", least=5) == "broken disk"
    for wrong in ("Atelier-3", "atelier-33", ""):
        with pytest.raises(BadParameter):
            form.confirmed("word", wrong or "x")
    with pytest.raises(BadParameter):
        form.text("reason", most=5)
    with pytest.raises(BadParameter):
        form.text("missing", least=1)


def test_the_samples_action_asks_for_its_word() -> None:
    client = TestClient(surface.surface(surface.kit(ManualClock(surface.START)))[0])
    page = client.get("/").text
    assert '<input type="hidden" name="csrf" value="token">' in page
    assert client.post("/ban", data={"word": "atelier-3"}).status_code == 200
    refused = client.post("/ban", data={"word": "atelier"})
    assert refused.status_code == 422
    assert "tapez exactement" in refused.text


@given(st.binary(max_size=200))
def test_no_body_does_worse_than_a_refusal(body: bytes) -> None:
    try:
        found = forms.parse(body)
    except FormRefused:
        return
    assert all(isinstance(value, str) for value in found.fields.values())
