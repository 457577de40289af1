"""Queue and throughput: now, and over an hour, a day or a week."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from scheduler.errors import Unknown
from scheduler.service.desk import Desk
from scheduler.views import queue
from scheduler.views.queue import SPANS, Bucket, Series
from scheduler.web.pages import API, WATCHERS
from web import charts
from web.charts import Chart, Line, Point
from web.kit import Crumb, Kit
from web.languages import Language
from web.listing import Choice, Column, Sort, Table, in_memory
from web.listing.openapi import description
from web.live.broadcast import Broadcast
from web.sentences import say
from web.signin.access import needs
from web.speech import Speech

_FIRST = "1h"
_WORDS = {"1h": say("Last hour"), "24h": say("Last 24 hours"), "7d": say("Last 7 days")}
QUEUE: Table[Bucket] = Table(
    name="queue",
    caption=say("Queue and throughput"),
    columns=[
        Column("at", say("From"), lambda row: row.at, sort="at"),
        Column("waiting", say("Waiting"), lambda row: row.waiting, number=True, schema="integer"),
        Column("ready", say("Ready"), lambda row: row.ready, number=True, schema="integer"),
        Column("leased", say("At work"), lambda row: row.leased, number=True, schema="integer"),
        Column("accepted", say("Accepted"), lambda row: row.accepted, number=True,
               schema="integer"),
        Column("failed", say("In vain"), lambda row: row.failed, number=True, schema="integer"),
    ],
    sorts=[Sort("at", lambda row: (row.at,), (datetime,), descending=True)],
    filters=[Choice("span", say("Time"), options=list(_WORDS.items()))],

)  # fmt: skip


def queue_pages(kit: Kit, desk: Desk) -> tuple[APIRouter, Broadcast]:
    """The routes, and the live part that the server's end has to close."""
    router = APIRouter()
    live = Broadcast(
        lambda span, language: _beat(kit, language, queue.series(desk, span)),
        kit.clock,
        version=kit.assets.version,
    )

    @router.get("/queue", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    @router.get(f"{API}/queue", dependencies=[needs(*WATCHERS)], openapi_extra=description(QUEUE))
    def listed(request: Request) -> Response:
        state = kit.state(request, QUEUE)
        span = str(state.filters.get("span", _FIRST))
        found = queue.series(desk, span)
        why = say("The first sample is taken within a minute of the start.")
        return kit.listing(
            request,
            "resources/queue.html",
            in_memory(QUEUE, state, found.buckets, why),
            trail=[Crumb(say("Health"), "/")],
            spans=[(one, word, one == span) for one, word in _WORDS.items()],
            **_shown(found, kit.speech(kit.language(request))),
        )

    @router.get("/live/queue/{span}", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    def follow(request: Request, span: str) -> Response:
        if span not in SPANS:
            raise Unknown(f"{span[:20]!r} is no span", remedy=f"one of {', '.join(SPANS)}")
        return live.stream(request, span)

    return router, live


def _beat(kit: Kit, language: Language, found: Series) -> str:
    return kit.fragment(
        "resources/queue_beat.html", language, **_shown(found, kit.speech(language))
    )


def _shown(found: Series, speech: Speech) -> dict[str, Any]:
    return {"found": found, "word": _WORDS[found.span], "pictures": _pictures(found, speech)}


def _pictures(found: Series, speech: Speech) -> list[Chart]:
    if len(found.buckets) < 2:
        return []

    def points(name: str) -> list[Point]:
        return [Point(one.at, getattr(one, name)) for one in found.buckets]

    return [
        charts.series(
            "queue",
            say("Work units, the most of each {time}", time=found.width),
            [
                Line(say("waiting"), points("waiting")),
                Line(say("ready"), points("ready")),
                Line(say("at work"), points("leased")),
            ],
            speech,
            steps=True,
        ),
        charts.series(
            "throughput",
            say("Attempts that ended, in each {time}", time=found.width),
            [Line(say("accepted"), points("accepted")), Line(say("in vain"), points("failed"))],
            speech,
            steps=True,
        ),
    ]
