"""The ASGI application of a surface: its routes, and what holds for every one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trust.entropy import SYSTEM, Entropy
from trust.problem import Problem
from web import files, languages, problems, themes
from web.errors import BadParameter, MethodRefused, NoSuchPage
from web.headers import Headers
from web.kit import Kit
from web.listing.openapi import with_refusals
from web.sentences import say

OPENAPI = "/api/v1/openapi.json"
ALIVE = "/healthz"  # for whoever restarts it, or a proxy in front: by any name, without a session
_YEAR = 365 * 24 * 3600  # seconds that a choice of language or theme is remembered


class Site(FastAPI):
    """FastAPI whose every answer, its own failures' too, carries the headers."""

    def build_middleware_stack(self) -> ASGIApp:
        return Headers(super().build_middleware_stack())

    def openapi(self) -> dict[str, Any]:
        """The API's description, with the refusals that any operation may answer with."""
        if self.openapi_schema is None:
            self.openapi_schema = with_refusals(super().openapi())
        return self.openapi_schema


def application(
    kit: Kit,
    *,
    title: str,
    version: str = "1",
    routers: Iterable[APIRouter],
    middleware: Sequence[Middleware] = (),
    entropy: Entropy = SYSTEM,
    **options: Any,
) -> FastAPI:
    """The surface `title` of `routers`; `middleware` (sign-in) may refuse with a Problem.

    `options` are FastAPI's (a lifespan). There is no page of the API's documentation, since it
    would load scripts from another host; its description is at `/api/v1/openapi.json`.
    """
    site = Site(
        title=title,
        version=version,
        openapi_url=OPENAPI,
        docs_url=None,
        redoc_url=None,
        middleware=[
            Middleware(Net, kit=kit, entropy=entropy),
            Middleware(Choices),
            *middleware,
        ],
        exception_handlers={
            HTTPException: _as_problem,
            RequestValidationError: _as_parameter,
        },
        **options,
    )
    site.router.routes.append(Route(files.PREFIX + "{name:path}", kit.assets.answer))
    site.router.routes.append(Route(ALIVE, _alive))
    for router in routers:
        site.include_router(router)
    return site


async def _alive(_: Request) -> Response:
    """The pages answer; nothing is looked at, so that asking costs nothing."""
    return PlainTextResponse("alive\n", headers={"Cache-Control": "no-store"})


class Net:
    """Catches whatever comes out of the rest and answers with it, once, in the reader's form."""

    def __init__(self, app: ASGIApp, kit: Kit, entropy: Entropy) -> None:
        self._app, self._kit, self._entropy = app, kit, entropy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            said = problems.of(error, self._entropy, self._kit)
            if begun:
                raise  # half an answer is out: the connection has to break
            request = Request(scope, receive)
            await problems.answer(self._kit, request, said)(scope, receive, send)


class Choices:
    """Remembers the language or the theme that an address chose."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["query_string"]:
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        language = languages.parse(request.query_params.get(languages.PARAMETER, ""))
        theme = themes.parse(request.query_params.get(themes.PARAMETER, ""))
        chosen = {languages.COOKIE: language, themes.COOKIE: theme}
        secure = "; Secure" if request.url.scheme == "https" else ""

        async def remembering(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in chosen.items():
                    if value is not None:
                        headers.append(
                            "Set-Cookie",
                            f"{name}={value.value}; Path=/; Max-Age={_YEAR}; SameSite=Lax{secure}",
                        )
            await send(message)

        await self._app(scope, receive, remembering)


async def _as_problem(request: Request, error: Exception) -> Response:
    """What the router itself says, as a refusal of ours (`Net` answers with it)."""
    del request
    raise _routing(error) from None


def _routing(error: Exception) -> Problem:
    status = error.status_code if isinstance(error, HTTPException) else 0
    if status == HTTPStatus.NOT_FOUND:
        return NoSuchPage()
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return MethodRefused()
    if status == HTTPStatus.BAD_REQUEST:
        return BadParameter("body", say("the request's body cannot be read"))
    raise error


async def _as_parameter(request: Request, error: Exception) -> Response:
    """FastAPI's own validation, as a refusal that names the first parameter."""
    del request
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    name = ".".join(str(part) for part in first.get("loc", ("", "body"))[1:]) or "body"
    raise BadParameter(
        name, say("“{name}” is missing, of another type or out of its bounds", name=name)
    ) from None
