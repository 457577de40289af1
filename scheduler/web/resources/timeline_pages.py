"""The timeline of a campaign: all of its attempts, its rounds, or one round by the address."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request, Response

from scheduler.service.desk import Desk
from scheduler.views.stretches import Stretch, stretches
from scheduler.views.timeline import Effort, Timeline, timeline
from scheduler.web import words as states
from scheduler.web.pages import API, WATCHERS
from scheduler.web.reasons import told
from scheduler.web.resources.timeline_pictures import drawn
from scheduler.web.tables import cut, unit_ident, worker_ident
from web.kit import Crumb, Kit
from web.listing import Column, Sort, Table, Text, of
from web.listing.openapi import description
from web.sentences import Sentence, say
from web.signin.access import needs


def _took(row: Effort) -> timedelta | None:
    one = row.attempt
    return None if one.ended_at is None else one.ended_at - one.leased_at


ATTEMPTS: Table[Effort] = Table(
    name="attempts",
    caption=say("Attempts"),
    columns=[
        Column("unit", say("Work unit"), lambda row: unit_ident(row.work.unit), "unit"),
        Column("round", say("Round"), lambda row: row.work.round, number=True, schema="integer"),
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
    sorts=[
        Sort(
            "unit",
            lambda row: (row.work.round, row.work.unit, row.attempt.number),
            (int, str, int),
        )
    ],
    filters=[Text("round", say("Round"), most=6, pattern="[1-9][0-9]{0,5}")],
)
ROUNDS: Table[Stretch] = Table(
    name="rounds-over-time",
    caption=say("Rounds"),
    columns=[
        Column("round", say("Round"), lambda row: row.number, "round", number=True,
               schema="integer"),
        Column("state", say("State"), lambda row: states.ROUNDS[row.state]),
        Column("begun_at", say("Begun"), lambda row: row.begun_at),
        Column("ended_at", say("Ended"), lambda row: row.ended_at),
        Column("attempts", say("Attempts"), lambda row: row.attempts, number=True,
               schema="integer"),
        Column("failed", say("in vain"), lambda row: row.failed, number=True, schema="integer"),
    ],
    sorts=[Sort("round", lambda row: (row.number,), (int,))],
    exported=1000,
)  # fmt: skip


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
        why = say("No attempt was made yet.")
        if found.number:
            why = say("No attempt was made in this round.")
        return kit.listing(
            request,
            "resources/timeline.html",
            of(ATTEMPTS, state, found.rows, why),
            title=_title(found),
            trail=[Crumb(say("Campaigns"), "/campaigns"), Crumb(found.run.title, here)],
            found=found,
            chart=drawn(found, kit.speech(kit.language(request))),
            csv=_csv(found, here),
            whole=f"{here}/timeline",
            steps=_steps(found, here),
        )

    @router.get(
        f"{API}/campaigns/{{prefix}}/timeline/rounds",
        dependencies=[needs(*WATCHERS)],
        openapi_extra=description(ROUNDS),
    )
    def rounds(request: Request, prefix: str) -> Response:
        state = kit.state(request, ROUNDS)
        rows = stretches(desk, prefix, cut(state))
        why = say("The first round is planned as soon as what the campaign waits for is there.")
        return kit.listing(request, "resources/list.html", of(ROUNDS, state, rows, why))

    return router


def _title(found: Timeline) -> Sentence:
    if found.number and found.run.round > 1:
        return say("Timeline, round {number}", number=found.number)
    return say("Timeline")


def _csv(found: Timeline, here: str) -> str:
    """Where the data of the picture is, as a file."""
    if found.rounds:
        return f"{API}{here}/timeline/rounds?dir=desc&format=csv"
    return f"?round={found.number}&format=csv" if found.number else "?format=csv"


def _steps(found: Timeline, here: str) -> list[tuple[str, int]]:
    """The ways to the rounds beside this one, and to the first and newest."""
    last = found.run.round
    wanted = {1, last}
    if found.number:
        wanted = (wanted | {found.number - 1, found.number + 1}) - {found.number}
    return [
        (f"{here}/timeline?round={number}", number)
        for number in sorted(wanted)
        if 1 <= number <= last
    ]
