"""Alerts: what needs somebody, since when, against which threshold."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from scheduler.views.watching import Watch
from scheduler.web.pages import API, WATCHERS
from scheduler.web.resources.alert_words import KINDS, Told, amount, bounds, tell
from web.cells import Cell, Ident, Link
from web.kit import Crumb, Kit
from web.listing import Column, Sort, Table, in_memory
from web.listing.openapi import description
from web.sentences import say
from web.signin.access import needs

_ORDER = {kind: number for number, kind in enumerate(KINDS)}


def _which(row: Told) -> Cell:
    """Whose alert it is: a unit, campaign, worker or bundle; a witness has a name."""
    return Ident(row.alert.which, letters=8) if row.alert.which else None


ALERTS: Table[Told] = Table(
    name="alerts",
    caption=say("Alerts"),
    columns=[
        Column("kind", say("Alert"), lambda row: row.status, sort="kind"),
        Column("sentence", say("What it says"), lambda row: row.sentence),
        Column("since", say("Since"), lambda row: row.alert.since),
        Column(
            "figure",
            say("Figure"),
            lambda row: amount(row.alert.figure, row.alert.unit),
            number=True,
            schema="number",
        ),
        Column(
            "threshold",
            say("Threshold"),
            lambda row: amount(row.alert.threshold, row.alert.unit),
            number=True,
            schema="number",
        ),
        Column("further", say("Look further"), lambda row: Link(row.href, row.link)),
        Column("which", say("Id"), _which),
        Column(
            "dated",
            say("Dated by"),
            lambda row: say("first seen") if row.alert.seen else say("the record"),
            page=False,
        ),
    ],
    sorts=[
        Sort("kind", lambda row: (_ORDER[row.alert.kind], row.alert.which), (int, str)),
    ],
)


def alert_pages(kit: Kit, watch: Watch) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/alerts", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    @router.get(f"{API}/alerts", dependencies=[needs(*WATCHERS)], openapi_extra=description(ALERTS))
    def listed(request: Request) -> Response:
        state = kit.state(request, ALERTS)
        rows = [tell(one) for one in watch.alerts()]
        why = say("No figure has reached its threshold.")
        return kit.listing(
            request,
            "resources/alerts.html",
            in_memory(ALERTS, state, rows, why),
            title=say("Alerts"),
            trail=[Crumb(say("Health"), "/")],
            told=rows,
            bounds=bounds(watch.thresholds),
        )

    return router
