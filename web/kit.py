"""The kit: what a web surface is made of, put together once at start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from trust.clock import Clock
from trust.problem import Problem
from web import catalogues, files, formats, languages, templating, themes, visitors
from web.brand import Brand
from web.errors import BadParameter, Worded
from web.formats import Format
from web.languages import Language
from web.listing.forms import as_csv, as_json
from web.listing.page import Listing
from web.listing.state import ListState
from web.listing.state import read as read_state
from web.listing.table import Table
from web.sentences import Sentence, say
from web.speech import Speech

# What an address shows depends on these as well.
VARY = "Cookie, Accept, Accept-Language"


@dataclass(frozen=True)
class Room:
    """A package with pages: templates in `templates/<prefix>/`, words in `locale/`.

    Scripts and styles of its own, if any, lie in `assets/`; their names are nobody else's.
    """

    prefix: str
    package: str


@dataclass(frozen=True)
class Crumb:
    """A step of the way here."""

    text: Sentence | str
    href: str = ""


@dataclass(frozen=True)
class Entry:
    """A line of the navigation; with `roles`, shown to their holders only.

    `also` are further paths whose pages belong to it.
    """

    text: Sentence
    href: str
    roles: frozenset[str] = frozenset()
    also: Sequence[str] = ()

    def current(self, path: str) -> bool:
        """Whether the page at `path` belongs to it."""
        return path == self.href or any(
            path == place or path.startswith(place + "/")
            for place in (self.href, *self.also)
            if place != "/"
        )


@dataclass(frozen=True)
class Kit:
    """Templates, words, files and customs of one surface. Raises CatalogueRefused, AssetRefused.

    `footer` links stand on every page (accessibility statement, log, source code). `worded` tells
    other rooms' refusals, which are written in English; what it does not know stays foreign.
    """

    clock: Clock
    brand: Brand
    rooms: Sequence[Room] = ()
    navigation: Sequence[Entry] = ()
    footer: Sequence[Entry] = ()
    zone: tzinfo = UTC
    worded: Callable[[Problem], Worded | None] | None = None
    catalogues: catalogues.Catalogues = field(init=False)
    assets: files.Assets = field(init=False)
    environment: Environment = field(init=False)

    def __post_init__(self) -> None:
        rooms = [Room("web", "web"), *self.rooms]
        made: dict[str, Any] = {
            "catalogues": catalogues.load([room.package for room in rooms]),
            "assets": files.load(
                extra=[
                    *self.brand.assets(),
                    *(asset for room in self.rooms for asset in files.of_room(room.package)),
                ]
            ),
            "environment": templating.environment({room.prefix: room.package for room in rooms}),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def speech(self, language: Language) -> Speech:
        """How `language` is spoken at this moment."""
        return Speech(language, self.catalogues, self.clock.now(), self.zone)

    def language(self, request: Request) -> Language:
        """The language that `request` is answered in."""
        return languages.of(request)

    def page(
        self,
        request: Request,
        template: str,
        *,
        title: Sentence | str,
        trail: Sequence[Crumb] = (),
        data: Callable[[], Response] | None = None,
        **model: Any,
    ) -> Response:
        """A whole page in the visitor's language, or the same view as JSON, which `data` makes.

        Raises BadParameter where the address names a form that this page does not have.
        """
        asked = formats.of(request)
        if asked is Format.JSON and data is not None:
            plain = data()
            plain.headers["Vary"] = VARY
            return plain
        # A header lists what its sender would rather have; an address means what it says.
        if asked is not Format.HTML and formats.PARAMETER in request.query_params:
            raise BadParameter(
                formats.PARAMETER, say("there is no {format} of this page", format=asked.upper())
            )
        return self.html(request, template, title=title, trail=trail, **model)

    def html(
        self,
        request: Request,
        template: str,
        *,
        title: Sentence | str,
        trail: Sequence[Crumb] = (),
        status: int = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
        **model: Any,
    ) -> Response:
        """A whole page in the visitor's language, whatever form was asked for."""
        speech = self.speech(languages.of(request))
        visitor = visitors.of(request)
        text = self._render(
            template,
            speech,
            {**model, "visitor": visitor, "csrf_field": visitors.CSRF_FIELD},
            title=title,
            trail=trail,
            brand=self.brand,
            theme=themes.of(request),
            themes=list(themes.Theme),
            languages=list(Language),
            navigation=[
                entry for entry in self.navigation if not entry.roles or entry.roles & visitor.roles
            ],
            footer=self.footer,
            here=request.url.path,
            switch=_switch(request),
        )
        answer = HTMLResponse(text, status_code=status, headers=headers)
        answer.headers["Content-Language"] = speech.language
        answer.headers["Vary"] = VARY
        return answer

    def state(self, request: Request, table: Table[Any]) -> ListState:
        """What the address asks of a list. Raises BadParameter."""
        return read_state(
            table, request.query_params.multi_items(), self.clock.now(), formats.of(request)
        )

    def listing(
        self,
        request: Request,
        template: str,
        listing: Listing[Any],
        *,
        title: Sentence | str = "",
        trail: Sequence[Crumb] = (),
        **model: Any,
    ) -> Response:
        """A list as a page (`template` calls `ui.listing(listing)`), as JSON or as CSV."""
        asked = formats.of(request)
        if asked is Format.HTML:
            return self.html(
                request,
                template,
                title=title or listing.table.caption,
                trail=trail,
                listing=listing,
                **model,
            )
        language = languages.of(request)
        speech = self.speech(language)
        headers = {"Content-Language": language.value, "Vary": VARY}
        if listing.next is not None:
            place = listing.state.place(listing.next)
            if formats.PARAMETER in request.query_params:
                # Who asked by the address follows the address: its size may fit no other form.
                place += f"&{formats.PARAMETER}={asked}"
            headers["Link"] = f'<{place}>; rel="next"'
        if asked is Format.JSON:
            return JSONResponse(as_json(listing, speech), headers=headers)
        headers["Content-Disposition"] = f'attachment; filename="{listing.table.name}.csv"'
        return Response(as_csv(listing, speech), headers=headers, media_type="text/csv")

    def fragment(self, template: str, language: Language, **model: object) -> str:
        """A part of a page, for a live stream: it knows no visitor, so one serves them all."""
        return self._render(template, self.speech(language), model)

    def _render(
        self, template: str, speech: Speech, model: Mapping[str, object], **more: object
    ) -> str:
        words: dict[str, object] = {
            "speech": speech,
            "_": speech.message,
            "ngettext": speech.counted,
            "asset": self.assets.path,
            "version": self.assets.version,
            "now": speech.now,
            **model,
        }
        macros = self.environment.get_template("web/macros.html").make_module(words)
        return self.environment.get_template(template).render(**words, ui=macros, **more)


def _switch(request: Request) -> Callable[..., str]:
    """Addresses of this very page with other parameters, for switches of language and theme."""

    def switched(**changes: str) -> str:
        asked = request.query_params.multi_items() if request.method == "GET" else []
        kept = [(name, value) for name, value in asked if name not in changes]
        return "?" + urlencode([*kept, *changes.items()])

    return switched
