"""One field for everything that the log holds; what fits several things is a list of them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from scheduler.errors import InputRefused
from scheduler.service.desk import Desk
from scheduler.views import search
from scheduler.views.search import Hit, HitKind
from scheduler.web import plainly, words
from scheduler.web.auditors.log_pages import API, LOG
from scheduler.web.auditors.tables import WORKS
from scheduler.web.tables import cut
from trust.errors import KeyRefused
from trust.keys import PublicKey
from web import formats
from web.cells import Cell, Ident, Link
from web.formats import Format
from web.kit import Kit
from web.listing import of
from web.listing.openapi import description
from web.sentences import Sentence, say
from web.signin.access import anybody

_WORDS = {
    HitKind.ENTRY: say("Entry"),
    HitKind.CAMPAIGN: say("Campaign"),
    HitKind.VOTE: say("Authorisation"),
    HitKind.BUNDLE: say("Bundle"),
    HitKind.AUTHOR: say("Author"),
}


def search_pages(kit: Kit, desk: Desk) -> APIRouter:
    """Finding, and what an author has made."""
    router = APIRouter()

    @router.get("/log/search", dependencies=[anybody()], include_in_schema=False)
    def found(request: Request, q: str = "") -> Response:
        hits = search.search(desk, q)
        page = formats.of(request) is Format.HTML
        if page and len(hits.found) == 1 and not hits.more:
            return RedirectResponse(place(hits.found[0]), status_code=303)
        return kit.page(
            request,
            "auditors/search.html",
            title=say("Search the log"),
            trail=[LOG],
            data=lambda: plainly.answer(hits),
            asked=q[: search.LONGEST],
            hits=[_row(hit) for hit in hits.found],
            more=hits.more,
            most=search.MOST,
        )

    @router.get(
        f"{API}/log-search",
        dependencies=[anybody()],
        openapi_extra=plainly.description(search.Hits),
    )
    def as_json(q: str) -> Response:
        return plainly.answer(search.search(desk, q))

    @router.get("/log/authors/{key}", dependencies=[anybody()], include_in_schema=False)
    @router.get(
        f"{API}/log-authors/{{key}}",
        dependencies=[anybody()],
        openapi_extra=description(WORKS),
    )
    def author(request: Request, key: str) -> Response:
        try:
            known = PublicKey.parse(key)
        except KeyRefused as error:
            raise InputRefused(
                f"{key[:80]!r} is no author's key", remedy="write the whole key, ed25519:…"
            ) from error
        state = kit.state(request, WORKS)
        rows = search.works(desk, str(known), cut(state))
        return kit.listing(
            request,
            "auditors/author.html",
            of(WORKS, state, rows, say("This key has signed no bundle here.")),
            title=say("Author {fingerprint}", fingerprint=known.keyid),
            trail=[LOG],
            facts=[
                (say("Key"), Ident(str(known), letters=43)),
                (say("Fingerprint"), Ident(known.keyid, letters=16)),
            ],
        )

    return router


def place(hit: Hit) -> str:
    """The page of what was found."""
    match hit.kind:
        case HitKind.CAMPAIGN:
            return f"/log?campaign={hit.name}"
        case HitKind.BUNDLE:
            return f"/log?bundle={hit.name}"
        case HitKind.AUTHOR:
            return f"/log/authors/{hit.name}"
    return f"/log/{hit.index}"


def _row(hit: Hit) -> list[Cell | Sentence]:
    what: Sentence | str = hit.title
    if hit.kind is HitKind.ENTRY:
        what = say("{index}: {what}", index=str(hit.index), what=words.entry_word(hit.entry))
    return [Link(place(hit), _WORDS[hit.kind]), Ident(hit.name, place(hit)), what]
