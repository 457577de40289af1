"""The pages put together: kit, sign-in, routes and the server that they run on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from scheduler.errors import PagesRefused
from scheduler.judging import Judging
from scheduler.service.desk import Desk
from scheduler.views.health import Absent
from scheduler.views.voted import Documents
from scheduler.views.watching import Watch
from scheduler.web.actions.api import api
from scheduler.web.actions.hands import Hands, here
from scheduler.web.actions.pages import actions
from scheduler.web.auditors import room as auditors
from scheduler.web.authors.pages import author_pages
from scheduler.web.pages import pages
from scheduler.web.refusals import worded
from scheduler.web.resources.room import resource_pages
from scheduler.web.signin_store import SignInTables
from web.application import application
from web.brand import Brand
from web.kit import Entry, Kit, Room
from web.live.broadcast import Broadcast
from web.sentences import say
from web.serving import WebServer
from web.signin import pages as signin
from web.signin.address import PublicAddress
from web.signin.entrance import Entrance
from web.signin.gate import Gate
from web.signin.oidc import configuration as issuers
from web.signin.roles import Role

_LOG = logging.getLogger("cadastre.scheduler.pages")
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Settings:
    """Where the pages are. `address` is the public one, "" for the one listened on."""

    host: str = _LOOPBACK
    port: int = 0  # 0: any that is free
    address: str = ""
    issuer: Path | None = None  # the file about the identity provider
    zone: str = "Europe/Paris"


def room(desk: Desk, zone: str = "UTC") -> Kit:
    """The kit of these pages. Raises PagesRefused for an unknown time zone."""
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise PagesRefused(
            f"{zone[:60]!r} is no time zone of this machine", remedy="name one like Europe/Paris"
        ) from error
    watchers = frozenset({Role.OPERATOR.value, Role.AUDITOR.value, Role.VIEWER.value})
    doers = frozenset({Role.OPERATOR.value, Role.AUDITOR.value})
    return Kit(
        clock=desk.store.clock,
        brand=Brand(desk.territory),
        rooms=[
            Room("scheduler", "scheduler.web"),
            Room("actions", "scheduler.web.actions"),
            Room("auditors", "scheduler.web.auditors"),
            Room("authors", "scheduler.web.authors"),
            Room("resources", "scheduler.web.resources"),
        ],
        navigation=[
            Entry(say("Health"), "/", watchers),
            Entry(say("Alerts"), "/alerts", watchers),
            Entry(say("Campaigns"), "/campaigns", watchers, ("/units", "/runs", "/releases")),
            Entry(say("Workers"), "/workers", watchers, ("/sites",)),
            Entry(say("Queue"), "/queue", watchers),
            Entry(say("Bundles"), "/bundles", watchers, ("/mine",)),
            Entry(
                say("My bundles"),
                "/mine",
                frozenset({Role.AUTHOR.value}),
                ("/runs", "/releases"),
            ),
            Entry(say("Budgets"), "/budgets", watchers),
            Entry(say("Energy"), "/energy", watchers),
            Entry(say("Actions"), "/actions", doers),
            Entry(say("Log"), "/log"),
        ],
        zone=place,
        worded=worded,
    )


def surface(
    kit: Kit,
    desk: Desk,
    entrance: Entrance,
    absent: Callable[[], Sequence[Absent]],
    *,
    hands: Hands | None = None,
    judged: Judging | None = None,
    watch: Watch | None = None,
) -> tuple[FastAPI, list[Broadcast]]:
    """The application, and the live parts that its end has to close.

    `hands` run what changes the grid where the scheduler's bell rings; `judged` are thresholds and
    factors, and `watch` is who judges by them: its memory of since when is the program's own.
    """
    doing, judged = hands or Hands(), judged or Judging()
    watch = watch or Watch(desk, Documents(desk), absent, judged.alerts)
    router, live = pages(kit, desk, absent, watch)
    resources, moving = resource_pages(kit, desk, watch, judged)
    acts, news = actions(kit, desk, doing)
    app = application(
        kit,
        title="Cadastre scheduler",
        routers=[
            signin.pages(kit, entrance),
            router,
            *resources,
            acts,
            api(desk, doing),
            *auditors.routers(kit, desk),
            author_pages(kit, desk, judged.places),
        ],
        middleware=[Middleware(Gate, entrance=entrance)],
    )
    return app, [*live.values(), *moving, news]


class Pages:
    """The pages of a running scheduler.

    Raises PagesRefused when the address is not free, ConfigurationRefused for one that may not be.
    """

    def __init__(
        self,
        desk: Desk,
        settings: Settings,
        absent: Callable[[], Sequence[Absent]],
        judged: Judging | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._store = SignInTables(desk.store)
        kit = room(desk, settings.zone)
        issuer = issuers.load(settings.issuer) if settings.issuer else None
        # The port is part of the address that everything is put together with: taken first.
        later = _Later()
        try:
            self._server = WebServer(
                later,
                settings.host,
                settings.port,
                closing=self._close,
                proxies=_LOOPBACK if settings.address else "",
            )
        except OSError as error:
            raise PagesRefused(
                f"the pages cannot listen on {settings.host}:{settings.port}: {error.strerror}",
                remedy="name an address that is free with --web-listen HOST:PORT",
            ) from error
        address = settings.address or f"http://{settings.host}:{self._server.port}"
        self.entrance = Entrance(
            address=PublicAddress.parse(address),
            store=self._store,
            clock=desk.store.clock,
            entropy=desk.entropy,
            contact=desk.territory,
            issuer=issuer,
        )
        later.app, self._live = surface(
            kit, desk, self.entrance, absent, hands=here(), judged=judged, watch=watch
        )

    def _close(self) -> None:
        for one in self._live:
            one.close()

    @property
    def address(self) -> str:
        """Where a browser finds them."""
        return self.entrance.address.origin

    def start(self) -> None:
        """Answer from now on."""
        self._server.start()
        _LOG.info("pages", extra={"address": self.address})

    def stop(self) -> None:
        """End live parts and answer no more."""
        self._server.stop()

    def start_line(self) -> str:
        """The address that signs the first operator in, once; "" where somebody can already."""
        if self.entrance.flow or self._store.operator_can_enter(self.entrance.clock.now()):
            self.entrance.credentials.end_start()
            return ""
        return self.entrance.start_line()[0]

    def sweep(self) -> int:
        """Forget sessions and tokens that are over."""
        return self.entrance.sweep()


class _Later:
    """Stands on the address before the application that needs to know it."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
