"""The timeline of a campaign: the attempts of one round, chosen in the address."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request, Response

from scheduler.service.desk import Desk
from scheduler.views.timeline import Effort, Timeline, timeline
from scheduler.web import glance
from scheduler.web import words as states
from scheduler.web.pages import API, WATCHERS
from scheduler.web.reasons import told
from scheduler.web.tables import cut, unit_ident, worker_ident
from web.kit import Crumb, Kit
from web.listing import Column, Sort, Table, Text, of
from web.listing.openapi import description
from web.sentences import say
from web.signin.access import needs


def _took(row: Effort) -> timedelta | None:
    one = row.attempt
    return None if one.ended_at is None else one.ended_at - one.leased_at


ATTEMPTS: Table[Effort] = Table(
    name="attempts",
    caption=say("Attempts of the round"),
    columns=[
        Column("unit", say("Work unit"), lambda row: unit_ident(row.work.unit), "unit"),
        Column(
            "number",
            say("Attempt"),
            lambda row: row.attempt.number,
            number=True,
            schema="integer",
        ),
        Column("worker", say("Worker"), lambda row: worker_ident(row.attempt.worker)),
        Column("state", say("State"), lambda row: states.ATTEMPTS[row.attempt.state]),
        Column("reason", say("Why"), lambda row: told(row.attempt.why, row.attempt.reason)),
        Column("leased_at", say("Begun"), lambda row: row.attempt.leased_at),
        Column("ended_at", say("Ended"), lambda row: row.attempt.ended_at),
        Column("took", say("Took"), _took, number=True, schema="number"),
    ],
    sorts=[Sort("unit", lambda row: (row.work.unit, row.attempt.number), (str, int))],
    filters=[Text("round", say("Round"), most=6, pattern="[1-9][0-9]{0,5}")],
)


def timeline_pages(kit: Kit, desk: Desk) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/campaigns/{prefix}/timeline", dependencies=[needs(*WATCHERS)],
                include_in_schema=False)  # fmt: skip
    @router.get(
        f"{API}/campaigns/{{prefix}}/timeline",
        dependencies=[needs(*WATCHERS)],
        openapi_extra=description(ATTEMPTS),
    )
    def one(request: Request, prefix: str) -> Response:
        state = kit.state(request, ATTEMPTS)
        number = int(str(state.filters.get("round", "0")))
        found = timeline(desk, prefix, cut(state), number=number)
        here = f"/campaigns/{found.run.campaign}"
        return kit.listing(
            request,
            "resources/timeline.html",
            of(ATTEMPTS, state, found.rows, say("No attempt was made in this round.")),
            title=say("Timeline, round {number}", number=found.number)
            if found.number
            else say("Timeline"),
            trail=[Crumb(say("Campaigns"), "/campaigns"), Crumb(found.run.title, here)],
            found=found,
            chart=glance.lanes_chart(
                found.lanes,
                say("Attempts of round {number}", number=found.number),
                kit.speech(kit.language(request)),
            ),
            steps=_steps(found, here),
        )

    return router


def _steps(found: Timeline, here: str) -> list[tuple[str, int]]:
    """The ways to the rounds beside this one, and to the first and newest."""
    last = found.run.round
    wanted = {1, found.number - 1, found.number + 1, last} - {found.number}
    return [
        (f"{here}/timeline?round={number}", number)
        for number in sorted(wanted)
        if 1 <= number <= last
    ]
