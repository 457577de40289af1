"""The sample's application: a page of everything, a list, a live part, an action and failures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from trust.clock import Clock
from trust.entropy import seeded
from trust.problem import Kind, Problem
from web import charts, forms, visitors
from web.application import application
from web.brand import Brand
from web.cells import Cell, Ident, Link, Measure, Share, Size, Status, Tone
from web.charts import Bar, Lane, Line, Point, Span, Tile
from web.kit import Crumb, Entry, Kit, Room
from web.listing import Choice, Column, ListState, Since, Sort, Table, Text, in_memory
from web.listing.openapi import description
from web.live.broadcast import Broadcast
from web.sentences import plural, say
from web.speech import Speech
from web.visitors import Visitor

START = datetime(2026, 11, 30, 13, 2, 5, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
GOOD = Status("healthy", say("In order"), Tone.GOOD)
BUSY = Status("running", say("At work"), Tone.BUSY)
WAIT = Status("waiting", say("Waits"), Tone.WAIT)
LATE = Status("late", say("Late"), Tone.WARN)
LOST = Status("lost", say("Lost"), Tone.BAD)
OFF = Status("drained", say("Drained"), Tone.OFF)
STATES = {one.code: one for one in (GOOD, BUSY, WAIT, LATE, LOST, OFF)}
TOWNS = (
    "Aubervilliers", "La Courneuve", "Épinay-sur-Seine", "L'Île-Saint-Denis", "Pierrefitte",
    "Saint-Denis", "Saint-Ouen", "Stains", "Villetaneuse",
)  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)> =HYPERLINK(1)"


@dataclass(frozen=True)
class Worker:
    """A row of the sample's list."""

    name: str
    state: Status
    seen: datetime
    load: float
    received: int


def workers(count: int = 120, now: datetime = START) -> list[Worker]:
    """So many workers, the same each time; the third has a hostile name."""
    states = list(STATES.values())
    return [
        Worker(
            name=HOSTILE if number == 2 else f"atelier-{number}",
            state=states[number * 7 % len(states)],
            seen=now - timedelta(seconds=17 * (number * 31 % 97)),
            load=(number * 37 % 101) / 100,
            received=number * number * 1733,
        )
        for number in range(count)
    ]


WORKERS: Table[Worker] = Table(
    name="workers",
    caption=say("Nodes"),
    columns=[
        Column("worker", say("Node"), lambda row: Link("/workers", row.name), sort="worker"),
        Column("state", say("State"), lambda row: row.state),
        Column("last_seen", say("Last seen"), lambda row: row.seen, sort="last_seen"),
        Column("load", say("Load"), lambda row: Share(row.load), schema="number"),
        Column(
            "received",
            say("Received"),
            lambda row: Size(row.received),
            number=True,
            schema="integer",
        ),
    ],
    sorts=[
        Sort("last_seen", lambda row: (row.seen, row.name), (datetime, str), descending=True),
        Sort("worker", lambda row: (row.name,), (str,)),
    ],
    filters=[
        Text("prefix", say("Begins with"), hint=say("atelier-1")),
        Choice("state", say("State"), options=[(code, one.word) for code, one in STATES.items()]),
        Since("since", say("Seen since")),
    ],
)


class Refused(Problem):
    """A refusal of some other room, in English as theirs are."""

    code = "sample-refused"
    kind = Kind.REFUSED


class Guest:
    """Stands where sign-in will: everybody is one operator."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[visitors.KEY] = Visitor(
            "Inès Martin", frozenset({"operator"}), csrf="token", sign_out="/sign-out"
        )
        await self._app(scope, receive, send)


class Beat:
    """What the live part shows; a test moves it."""

    def __init__(self) -> None:
        self.count = 1
        self.failing = False
        self.rendered = 0


def kit(clock: Clock) -> Kit:
    """The sample's kit."""
    return Kit(
        clock=clock,
        brand=Brand("Plaine Commune"),
        rooms=[Room("sample", "tests.web.sample")],
        navigation=[
            Entry(say("Health"), "/"),
            Entry(say("Campaigns"), "/campaigns"),
            Entry(say("Nodes"), "/workers"),
            Entry(say("Log"), "/log", frozenset({"auditor"})),
        ],
        footer=[Entry(say("Accessibility: partially compliant"), "/accessibility")],
        zone=PARIS,
    )


def surface(made: Kit, beat: Beat | None = None) -> tuple[FastAPI, Broadcast]:
    """The application and its one broadcast."""
    shown = beat or Beat()

    def render(key: str, language: object) -> str:
        shown.rendered += 1
        if shown.failing:
            raise RuntimeError("the database is away")
        return made.fragment("sample/beat.html", language, beat=shown.count)  # type: ignore[arg-type]

    broadcast = Broadcast(render, made.clock, version=made.assets.version)
    router = APIRouter()

    @router.get("/")
    def everything(request: Request) -> Response:
        speech = made.speech(made.language(request))
        return made.page(
            request,
            "sample/kit.html",
            title=say("The kit"),
            trail=[Crumb(say("Health"), "/")],
            good=GOOD, busy=BUSY, late=LATE, beat=shown.count,
            why=say(
                "waiting for the helper since {since}; last answer: "
                "below-minimum ({have} of {need})",
                since=made.clock.now() - timedelta(hours=1), have=17, need=20,
            ),
            energy=Measure(12.4, "kWh"),
            spark=charts.sparkline([3, 4, 8, 6, 9, 14, 11, 12, 18], "Waiting units"),
            facts=facts(made.clock.now()),
            charts=every_chart(speech),
        )  # fmt: skip

    @router.get("/workers")
    @router.get("/api/v1/workers", openapi_extra=description(WORKERS))
    def listed(request: Request) -> Response:
        state = made.state(request, WORKERS)
        found = in_memory(WORKERS, state, chosen(state), say("No node matches these filters."))
        return made.listing(request, "sample/workers.html", found)

    @router.get("/live/beat")
    def live(request: Request) -> Response:
        return broadcast.stream(request)

    @router.post("/ban")
    async def ban(request: Request) -> Response:
        form = await forms.read(request)
        form.confirmed("word", "atelier-3")
        nothing = in_memory(WORKERS, made.state(request, WORKERS), [], say("Done."))
        return made.page(request, "sample/workers.html", title=say("Nodes"), listing=nothing)

    @router.get("/refused")
    def refused() -> Response:
        raise Refused("the campaign has <b>ended</b>", remedy="start another one", campaign="c-1")

    @router.get("/broken")
    def broken() -> Response:
        raise RuntimeError("secret: hunter2")

    @router.get("/typed/{number}")
    def typed(number: int) -> dict[str, int]:
        return {"number": number}

    site = application(
        made, title="Sample", routers=[router], middleware=[Middleware(Guest)],
        entropy=seeded(b"sample"),
    )  # fmt: skip
    return site, broadcast


def chosen(state: ListState) -> list[Worker]:
    """The workers that the filters let through."""
    asked = state.filters
    return [
        row
        for row in workers()
        if row.name.startswith(asked.get("prefix", ""))
        and row.state.code == asked.get("state", row.state.code)
        and row.seen >= asked.get("since", row.seen)
    ]


def facts(now: datetime) -> Sequence[tuple[object, Cell]]:
    """Every kind of value."""
    return [
        (say("State"), BUSY),
        (say("Bundle"), Ident("sha256:" + "8f1c" * 16, href="/workers")),
        (say("Begun"), now - timedelta(minutes=48)),
        (say("Took"), timedelta(hours=1, minutes=12)),
        (say("Nodes"), plural("{number} node", "{number} nodes", 5)),
        (say("Share"), Share(0.42)),
        (say("Size"), Size(5_321_004)),
        (say("Energy"), Measure(12.4, "kWh")),
        (say("Title"), HOSTILE),
        (say("Release"), None),
    ]


def every_chart(speech: Speech) -> list[charts.Chart]:
    """One of each."""
    now, persons = speech.now, say("persons")
    hours = [(n, now - timedelta(hours=24 - n)) for n in range(25)]
    waits = Line(say("waiting"), [Point(at, 40 + 30 * math.sin(n / 4)) for n, at in hours])
    done = Line(say("done"), [Point(at, n * 4.0) for n, at in hours])
    reached = [(n, 0.8 - 0.5 / n) for n in range(1, 21)]
    curve = Line(say("accuracy"), [Point(n, x, x - 0.04, x + 0.04) for n, x in reached])
    far = [(n, 900 * math.exp(-n / 3)) for n in range(9)]
    spans = [
        Span(now - timedelta(minutes=50), now - timedelta(minutes=31), LOST, "1", "/workers"),
        Span(now - timedelta(minutes=30), now - timedelta(minutes=4), GOOD, "2"),
    ]
    lanes = [
        Lane("unit-1", spans),
        Lane("unit-2", [Span(now - timedelta(minutes=22), None, BUSY, "1")]),
        Lane("unit-3", [Span(now - timedelta(minutes=40), now - timedelta(minutes=36), OFF, "1")]),
    ]
    modes = [
        Bar("métro", 2211, 2150, 2270),
        Bar("voiture", 1340, 1280, 1400),
        Bar("vélo", 512, 450, 574),
    ]
    tiles = [
        Tile(town, n % 3, n // 3, None if n == 4 else n * 11.0, href="/workers")
        for n, town in enumerate(TOWNS)
    ]
    streams: dict[tuple[str, ...], float] = {
        (home, way, work): float(20 + 7 * a + 11 * b + 5 * c)
        for a, home in enumerate(TOWNS[:3])
        for b, way in enumerate(("métro", "vélo"))
        for c, work in enumerate(TOWNS[5:8])
    }
    ends = [say("home"), say("way"), say("work")]
    right = say("share of right answers")
    distances = [Bar(f"{5 * n}-{5 * n + 5}", x, x - 60, x + 60) for n, x in far]
    return [
        charts.series(
            "queue", say("Units over a day"), [waits, done], speech, unit=say("units"), steps=True
        ),
        charts.training("curve", say("Training"), [curve], speech, unit=right),
        charts.histogram("far", say("Distance to work"), distances, speech, unit=persons),
        charts.bars("modes", say("Ways to work"), modes, speech, unit=persons),
        charts.gantt("attempts", say("Attempts"), lanes, speech),
        charts.territory("map", say("Nodes by town"), tiles, speech, unit=say("nodes")),
        charts.flow("flows", say("From home to work"), streams, ends, speech, unit=persons),
    ]
