"""Bundles and authorisations: the list, and one with its votes and campaigns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from fastapi import APIRouter, Request, Response

from scheduler.service.desk import Desk
from scheduler.views import bundles
from scheduler.views.bundles import BundleDetail, BundleLine, Vote
from scheduler.views.voted import Documents
from scheduler.web import plainly
from scheduler.web import words as states
from scheduler.web.pages import API, WATCHERS
from scheduler.web.reasons import told
from scheduler.web.resources.words import CLASSES, PROTECTIONS, STANDINGS
from scheduler.web.tables import cut
from web.cells import Cell, Exact, Ident, Link, Size
from web.kit import Crumb, Kit
from web.languages import Language
from web.listing import Choice, Column, Sort, Table, Text, of
from web.listing.openapi import description
from web.sentences import Sentence, say
from web.signin.access import needs

_BUNDLES = Crumb(say("Algorithm bundles"), "/bundles")
Rows = Sequence[Sequence[Cell]]


def _joined(parts: Iterable[Sentence]) -> Sentence | None:
    said: Sentence | None = None
    for part in parts:
        said = part if said is None else say("{first}, {second}", first=said, second=part)
    return said


def _protections(row: BundleLine) -> Sentence | None:
    return _joined(PROTECTIONS[one] for one in row.contents.protections) if row.contents else None


def _libraries(row: BundleLine) -> str | None:
    return ", ".join(row.contents.libraries) or None if row.contents else None


BUNDLES: Table[BundleLine] = Table(
    name="bundles",
    caption=say("Algorithm bundles"),
    columns=[
        Column("name", say("Name"), lambda row: Link(f"/bundles/{row.bundle[7:]}", row.name)),
        Column("version", say("Version"), lambda row: row.version),
        Column("bundle", say("Bundle"), lambda row: Ident(row.bundle, letters=8)),
        Column("state", say("Vote"), lambda row: STANDINGS[row.standing]),
        Column(
            "until", say("In force until"), lambda row: row.vote.not_after if row.vote else None
        ),
        Column(
            "left",
            say("Campaigns left"),
            lambda row: row.vote.left if row.vote else None,
            number=True,
            schema="integer",
        ),
        Column("protection", say("Protection"), _protections),
        Column("libraries", say("Libraries"), _libraries, page=False),
        Column(
            "state_bytes",
            say("State between rounds"),
            lambda row: Size(row.contents.state_bytes) if row.contents else None,
            number=True,
            schema="integer",
            page=False,
        ),
        Column("author", say("Author"), lambda row: Ident(row.author), page=False),
        Column("submitted_at", say("Submitted"), lambda row: row.submitted_at, sort="submitted_at"),
    ],
    sorts=[
        Sort(
            "submitted_at",
            lambda row: (row.submitted_at, row.bundle),
            (datetime, str),
            descending=True,
        )
    ],
    filters=[
        Choice(
            "state",
            say("Vote"),
            options=[
                ("submitted", say("not voted yet, as far as this scheduler knows")),
                ("authorised", say("authorised")),
                ("ended", say("over or suspended")),
            ],
        ),
        Text(
            "author",
            say("The key of the author begins with"),
            most=80,
            pattern=r"[A-Za-z0-9:+/=_-]+",
        ),
    ],
)


def bundle_pages(kit: Kit, desk: Desk, documents: Documents) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/bundles", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    @router.get(
        f"{API}/bundles", dependencies=[needs(*WATCHERS)], openapi_extra=description(BUNDLES)
    )
    def listed(request: Request) -> Response:
        state = kit.state(request, BUNDLES)
        rows = bundles.bundles(
            desk,
            documents,
            cut(state),
            standing=state.filters.get("state", ""),
            author=state.filters.get("author", ""),
        )
        why = say(
            "An author submits a bundle with `cadastre bundle submit`; then the college votes."
        )
        if state.filters:
            why = say("No bundle matches these filters.")
        return kit.listing(request, "resources/list.html", of(BUNDLES, state, rows, why))

    @router.get("/bundles/{prefix}", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    def one(request: Request, prefix: str) -> Response:
        found = bundles.bundle(desk, documents, prefix)
        return kit.page(
            request,
            "resources/bundle.html",
            title=f"{found.line.name} {found.line.version}",
            trail=[_BUNDLES],
            data=lambda: plainly.answer(found),
            found=found,
            facts=_facts(found, kit.language(request)),
            votes=[_vote(vote) for vote in found.votes],
            runs=_runs(found),
        )

    @router.get(
        f"{API}/bundles/{{prefix}}",
        dependencies=[needs(*WATCHERS)],
        openapi_extra=plainly.description(BundleDetail),
    )
    def as_json(prefix: str) -> Response:
        return plainly.answer(bundles.bundle(desk, documents, prefix))

    return router


def _facts(found: BundleDetail, language: Language) -> list[tuple[Sentence, Cell]]:
    line, inside = found.line, found.line.contents
    facts: list[tuple[Sentence, Cell]] = [
        (say("Vote"), STANDINGS[line.standing]),
        (say("Bundle"), Ident(line.bundle)),
        (say("Author"), Ident(line.author)),
        (say("Submitted"), line.submitted_at),
        (say("Size of the archive"), Size(found.size)),
    ]
    if inside is None:
        return [
            *facts,
            (say("Manifest"), say("Its bytes are not here any more, or do not verify.")),
        ]
    title = inside.title_fr if language is Language.FR else inside.title_en
    state: Cell = Size(inside.state_bytes) if inside.state_bytes else say("none")
    return [
        (say("Title"), title),
        *facts,
        (say("Protection"), _protections(line)),
        (say("Runs on"), _joined(CLASSES[one] for one in inside.classes)),
        (say("Libraries"), _libraries(line) or say("none")),
        (say("Rounds at most"), inside.rounds),
        (say("State between rounds"), state),
        (say("Cost of a campaign (zCDP)"), Exact(inside.rho)),
        (say("Licence"), inside.licence),
    ]


def _vote(vote: Vote) -> list[tuple[Sentence, Cell]]:
    entry = vote.log_index
    place: Cell = (
        say("not in the log yet")
        if entry is None
        else Link(f"/log/{entry}", say("entry {index}", index=entry))
    )
    facts: list[tuple[Sentence, Cell]] = [
        (say("Vote"), STANDINGS[vote.standing]),
        (say("Purpose"), vote.purpose),
        (say("In force from"), vote.not_before),
        (say("In force until"), vote.not_after),
        (say("Campaigns"), say("{used} of {most}", used=vote.used, most=vote.campaigns)),
    ]
    if vote.suspended_at is not None:
        facts[1:1] = [
            (say("Suspended"), vote.suspended_at),
            (say("Why"), vote.suspended_because),
        ]
    if vote.terms is not None:
        facts += [
            (say("Cost of a campaign (zCDP)"), Exact(vote.terms.rho)),
            (say("Budget of all of them together (zCDP)"), Exact(vote.terms.rho_budget)),
            (say("Tables"), ", ".join(vote.terms.tables) or None),
            *((say("Runtime image"), Ident(image)) for image in vote.terms.images),
        ]
    return [
        *facts,
        (say("Authorisation"), Ident(vote.authorisation)),
        (say("In the log"), place),
    ]


def _runs(found: BundleDetail) -> Rows:
    return [
        [
            Link(f"/campaigns/{run.campaign}", run.title),
            states.CAMPAIGNS[run.state],
            told(run.why, run.reason),
            say("{number} of {most} at most", number=run.round, most=run.rounds),
            run.created_at,
        ]
        for run in found.runs
    ]
