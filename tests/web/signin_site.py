"""A small site with every kind of route, behind the real kit, gate and pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, StreamingResponse

from tests.web.signin_browser import Answer, Browser
from trust.clock import ManualClock
from trust.entropy import seeded
from web import forms, visitors
from web.application import application
from web.brand import Brand
from web.kit import Kit
from web.signin import visits
from web.signin.access import anybody, needs, somebody
from web.signin.address import PublicAddress
from web.signin.entrance import Entrance, shut_out
from web.signin.gate import Gate
from web.signin.memory import MemoryStore
from web.signin.oidc.configuration import IssuerConfiguration
from web.signin.pages import pages
from web.signin.roles import Role

START = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
HTTPS = "https://grille.example.fr"
LOOPBACK = "http://127.0.0.1:8480"


@cache
def kit() -> Kit:
    return Kit(clock=ManualClock(START), brand=Brand("Essai"))


@dataclass
class Site:
    """The site, its clock and its store, in reach of a test."""

    origin: str = HTTPS
    issuer: IssuerConfiguration | None = None
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    store: MemoryStore = field(default_factory=MemoryStore)
    seed: bytes = b"site"
    watched: str = ""  # whose sessions end while they follow the stream

    def __post_init__(self) -> None:
        self.entrance = Entrance(
            address=PublicAddress.parse(self.origin),
            store=self.store,
            clock=self.clock,
            entropy=seeded(self.seed),
            contact="l'équipe de la grille",
            issuer=self.issuer,
        )
        self.done: list[str] = []
        self.app = build(self, routes(self))

    def shut_out(self, subject: str) -> tuple[int, int]:
        """As `cadastre scheduler shut-out` does it: how many sessions and keys ended."""
        return shut_out(self.entrance.credentials, self.entrance.sessions, subject)

    def browser(self, address: str = "192.0.2.7") -> Browser:
        return Browser(self.app, self.origin, address)

    def enter(self, *roles: Role, name: str = "Ada", browser: Browser | None = None) -> Browser:
        """Somebody with `roles`, signed in by an invitation."""
        token = self.entrance.credentials.invite(name, roles)
        browser = browser or self.browser()
        answer = present(browser, token)
        assert (answer.status, answer.location) == (303, "/account"), answer.text
        return browser


def present(browser: Browser, token: str, back_to: str = "") -> Answer:
    """The token on the sign-in page's form."""
    page = browser.get(f"/sign-in?again=1&next={back_to}")
    return browser.send(page, "/sign-in", token=token, next=back_to)


def build(site: Site, *routers: APIRouter) -> FastAPI:
    made = kit()
    return application(
        made,
        title="Essai",
        routers=[pages(made, site.entrance), *routers],
        middleware=[Middleware(Gate, entrance=site.entrance)],
    )


def routes(site: Site) -> APIRouter:  # noqa: C901 - one short route after the other
    router = APIRouter()

    @router.get("/", dependencies=[anybody()])
    def first(request: Request) -> Response:
        return kit().page(request, "web/base.html", title="Accueil")

    @router.get("/workers", dependencies=[needs(Role.OPERATOR, Role.VIEWER)])
    def workers() -> Response:
        return PlainTextResponse("twelve workers")

    @router.get("/export", dependencies=[needs(Role.OPERATOR)])
    def export() -> Response:
        """Somebody forgot whose this is."""
        return PlainTextResponse("private", headers={"Cache-Control": "public, max-age=3600"})

    @router.get("/mine", dependencies=[somebody()])
    def mine(request: Request) -> Response:
        return kit().page(request, "web/base.html", title="À moi")

    @router.post("/workers/{name}/ban", dependencies=[needs(Role.OPERATOR)])
    @router.post("/api/v1/workers/{name}/ban", dependencies=[needs(Role.OPERATOR)])
    async def ban(request: Request, name: str) -> Response:
        form = await forms.read(request)
        site.done.append(f"{name}: {form.text('reason')}")
        return PlainTextResponse("banned")

    @router.post("/drain", dependencies=[needs(Role.OPERATOR, delicate=True)])
    def drain() -> Response:
        site.done.append("drained")
        return PlainTextResponse("drained")

    @router.get("/verify", dependencies=[anybody(forms=True)])
    def ask(request: Request) -> Response:
        words: dict[str, Any] = {"issuer": "", "again": False, "refused": None, "back_to": "/"}
        return kit().page(request, "web/signin/enter.html", title="Preuve", longest=100, **words)

    @router.post("/verify", dependencies=[anybody()])
    def verify() -> Response:
        return PlainTextResponse("verified")

    @router.get("/api/v1/me", dependencies=[somebody()])
    def me(request: Request) -> dict[str, object]:
        person = visits.person(request)
        return {"name": person.name, "roles": sorted(person.roles)}

    @router.get("/api/v1/tag", dependencies=[anybody()])
    def tag(request: Request) -> str:
        return visitors.of(request).tag

    @router.post("/api/v1/ban", dependencies=[needs(Role.OPERATOR)])
    def ban_by_program() -> dict[str, bool]:
        site.done.append("by program")
        return {"banned": True}

    @router.get("/live", dependencies=[needs(Role.OPERATOR)])
    def live() -> Response:
        async def ticks() -> AsyncIterator[bytes]:
            for count in range(1000):
                site.clock.advance(20.0)
                if count == 5:
                    site.store.end_sessions_of(site.watched)
                yield b"tick\n"

        return StreamingResponse(ticks(), media_type="text/event-stream")

    return router
