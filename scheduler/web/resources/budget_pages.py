"""Privacy budgets: by vote and by campaign, and what the scheduler cannot know about them."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request, Response

from scheduler.service.desk import Desk
from scheduler.views import budgets
from scheduler.views.budgets import Budget, Cost, Territory
from scheduler.views.voted import Documents
from scheduler.web import plainly
from scheduler.web import words as states
from scheduler.web.pages import API, WATCHERS
from scheduler.web.resources.words import STANDINGS
from scheduler.web.tables import campaign_ident, cut
from web.cells import Cell, Exact, Link, Share
from web.kit import Crumb, Kit
from web.listing import Column, Sort, Table, of
from web.listing.openapi import description
from web.sentences import Sentence, say
from web.signin.access import needs

_BUDGETS = Crumb(say("Privacy budgets"), "/budgets")
_DIGITS = 2  # of an epsilon; more would pretend


def _epsilon(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _rho(text: str) -> Cell:
    return Exact(text) if text else None


VOTED: Table[Budget] = Table(
    name="budgets",
    caption=say("Budgets by vote, for one person who takes part in everything"),
    columns=[
        Column(
            "title",
            say("Title"),
            lambda row: Link(f"/bundles/{row.vote.bundle[7:]}", row.vote.title),
        ),
        Column("state", say("Vote"), lambda row: STANDINGS[row.vote.standing]),
        Column(
            "share",
            say("Used"),
            lambda row: None if row.share is None else Share(row.share),
            schema="number",
        ),
        Column("voted", say("Voted (zCDP)"), lambda row: _rho(row.voted), number=True),
        Column("started", say("Started (zCDP)"), lambda row: _rho(row.started), number=True),
        Column("opened", say("Opened (zCDP)"), lambda row: _rho(row.opened), number=True),
        Column(
            "epsilon_opened",
            say("Opened (epsilon)"),
            lambda row: _epsilon(row.epsilon_opened),
            number=True,
            schema="number",
        ),
        Column(
            "epsilon_voted",
            say("Voted (epsilon)"),
            lambda row: _epsilon(row.epsilon_voted),
            number=True,
            schema="number",
            page=False,
        ),
        Column(
            "campaign",
            say("One campaign (zCDP)"),
            lambda row: _rho(row.campaign),
            number=True,
            page=False,
        ),
        Column(
            "left",
            say("Campaigns left"),
            lambda row: row.vote.left,
            number=True,
            schema="integer",
        ),
        Column(
            "received_at", say("Voted on"), lambda row: row.vote.received_at, sort="received_at"
        ),
    ],
    sorts=[
        Sort(
            "received_at",
            lambda row: (row.vote.received_at, row.vote.authorisation),
            (datetime, str),
            descending=True,
        )
    ],
)
COSTS: Table[Cost] = Table(
    name="costs",
    caption=say("Campaigns and what they cost one person who took part in all of their rounds"),
    columns=[
        Column("title", say("Campaign"), lambda row: Link(f"/campaigns/{row.campaign}", row.title)),
        Column("campaign", say("Id"), lambda row: campaign_ident(row.campaign)),
        Column("state", say("State"), lambda row: states.CAMPAIGNS[row.state]),
        Column(
            "opened", say("Rounds opened"), lambda row: row.opened, number=True, schema="integer"
        ),
        Column("rounds", say("of"), lambda row: row.rounds, number=True, schema="integer"),
        Column("voted", say("Voted (zCDP)"), lambda row: _rho(row.voted), number=True),
        Column("spent", say("Opened (zCDP)"), lambda row: _rho(row.spent), number=True),
        Column(
            "epsilon",
            say("Opened (epsilon)"),
            lambda row: _epsilon(row.epsilon),
            number=True,
            schema="number",
        ),
        Column("release", say("Release in the log"), lambda row: _entry(row.release_index)),
        Column("created_at", say("Started"), lambda row: row.created_at, sort="created_at"),
    ],
    sorts=[
        Sort(
            "created_at",
            lambda row: (row.created_at, row.campaign),
            (datetime, str),
            descending=True,
        )
    ],
)


def _entry(index: int | None) -> Cell:
    return None if index is None else Link(f"/log/{index}", say("entry {index}", index=index))


def budget_pages(kit: Kit, desk: Desk, documents: Documents) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/budgets", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    @router.get(f"{API}/budgets", dependencies=[needs(*WATCHERS)], openapi_extra=description(VOTED))
    def voted(request: Request) -> Response:
        state = kit.state(request, VOTED)
        rows = budgets.budgets(desk, documents, cut(state))
        why = say("No vote of the college has come in yet.")
        return kit.listing(
            request,
            "resources/budgets.html",
            of(VOTED, state, rows, why),
            title=say("Privacy budgets"),
            facts=_facts(budgets.territory(desk, documents)),
        )

    @router.get("/budgets/campaigns", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    @router.get(
        f"{API}/budgets/campaigns",
        dependencies=[needs(*WATCHERS)],
        openapi_extra=description(COSTS),
    )
    def spent(request: Request) -> Response:
        state = kit.state(request, COSTS)
        why = say("A campaign begins once the cooperative has authorised an algorithm.")
        return kit.listing(
            request,
            "resources/costs.html",
            of(COSTS, state, budgets.costs(desk, cut(state)), why),
            title=say("Costs of campaigns"),
            trail=[_BUDGETS],
        )

    @router.get(
        f"{API}/budgets/territory",
        dependencies=[needs(*WATCHERS)],
        openapi_extra=plainly.description(Territory),
    )
    def together() -> Response:
        return plainly.answer(budgets.territory(desk, documents))

    return router


def _facts(found: Territory) -> list[tuple[Sentence, Cell]]:
    votes: Cell = found.votes
    if found.more:
        votes = say("over {number}", number=found.votes)
    return [
        (say("Votes in force"), votes),
        (say("Voted together (zCDP)"), _rho(found.voted)),
        (say("Started together (zCDP)"), _rho(found.started)),
        (say("Opened together (zCDP)"), _rho(found.opened)),
        (say("Opened together (epsilon at delta 10⁻⁶)"), _epsilon(found.epsilon_opened)),
        (say("Every ledger stops at (zCDP)"), _rho(found.ledger_cap)),
        (say("The registry stops one owner at (zCDP)"), _rho(found.owner_cap)),
    ]
