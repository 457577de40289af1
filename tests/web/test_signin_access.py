"""A route that does not say who may use it: the program does not start, and nothing answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import PlainTextResponse

from tests.web.signin_browser import exchange
from tests.web.signin_site import HTTPS, Site, build
from web.signin.access import anybody, needs
from web.signin.errors import AccessUndeclared
from web.signin.roles import Role


@pytest.fixture
def site() -> Site:
    return Site()


def starting(app: FastAPI) -> None:
    """As a server starts it: through the lifespan, before any request."""

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        raise AssertionError(f"it started: {message}")

    asyncio.run(app({"type": "lifespan", "state": {}}, receive, send))


@pytest.mark.parametrize("kind", ["get", "post", "delete", "websocket"])
def test_a_route_without_a_declared_role_does_not_start(kind: str) -> None:
    site, router, outer = Site(), APIRouter(), APIRouter(prefix="/outer")
    getattr(router, kind)("/forgotten")(lambda: "secret")
    outer.include_router(router, prefix="/inner")
    app = build(site, outer)
    with pytest.raises(AccessUndeclared, match="/forgotten"):
        starting(app)
    # Nor does it answer, should a server not care about that.
    answer = exchange(app, "GET", "/", {"host": "grille.example.fr"}, b"", "", HTTPS)
    assert answer.status == 500


def test_a_mounted_application_is_refused_as_a_whole(site: Site) -> None:
    site.app.mount("/other", PlainTextResponse("secret"))
    with pytest.raises(AccessUndeclared, match="/other"):
        starting(site.app)


def test_a_plain_route_is_refused_too(site: Site) -> None:
    site.app.add_route("/plain", lambda request: PlainTextResponse("secret"))
    with pytest.raises(AccessUndeclared, match="/plain"):
        starting(site.app)


def test_a_route_that_looks_like_an_asset_is_refused(site: Site) -> None:
    site.app.add_api_route("/api/v1/openapi.jsonx", lambda: "secret")
    with pytest.raises(AccessUndeclared, match=r"openapi\.jsonx"):
        starting(site.app)


def test_a_route_that_was_added_later_does_not_answer(site: Site) -> None:
    assert site.browser().get("/").status == 200  # checked, and open for visitors
    site.app.add_api_route("/late", lambda: "secret")
    answer = site.enter(Role.OPERATOR).get("/late")
    assert answer.status == 500
    assert "secret" not in answer.text


def test_a_router_may_declare_for_all_its_routes() -> None:
    site, inner = Site(), APIRouter(dependencies=[needs(Role.OPERATOR)])
    inner.get("/one")(lambda: "one")
    outer = APIRouter()
    outer.get("/two")(lambda: "two")
    site.app = build(site, inner)
    site.app.include_router(outer, dependencies=[anybody()])
    browser = site.browser()
    assert browser.get("/one").status == 303
    assert browser.get("/two").json == "two"
    assert site.enter(Role.VIEWER, browser=browser).get("/one").status == 403
    assert site.enter(Role.OPERATOR, browser=browser).get("/one").json == "one"


def test_of_several_declarations_each_has_to_be_met() -> None:
    site, router = Site(), APIRouter(dependencies=[anybody()])
    router.get("/both", dependencies=[needs(Role.OPERATOR)])(lambda: "both")
    site.app = build(site, router)
    assert site.browser().get("/both").status == 303
    assert site.enter(Role.VIEWER).get("/both").status == 403
    assert site.enter(Role.OPERATOR).get("/both").json == "both"


def test_no_role_at_all_is_no_declaration() -> None:
    with pytest.raises(ValueError, match="name the roles"):
        needs()
