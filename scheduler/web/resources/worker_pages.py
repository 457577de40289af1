"""Workers: one with its load, and the schematic map of the places where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from scheduler.judging import Sites
from scheduler.service.desk import Desk
from scheduler.views import machines, shifts
from scheduler.views.machines import Site
from scheduler.views.shifts import MachineDetail, Shift
from scheduler.web import plainly
from scheduler.web import words as states
from scheduler.web.actions import offered
from scheduler.web.actions.pages import READERS
from scheduler.web.pages import API, WATCHERS
from scheduler.web.reasons import told
from scheduler.web.tables import unit_ident
from web import charts
from web.cells import Cell, Ident, Link, Status, Tone
from web.charts import Chart, Tile
from web.kit import Crumb, Kit
from web.listing import Column, Sort, Table, in_memory
from web.listing.openapi import description
from web.sentences import Sentence, plural, say
from web.signin import visits
from web.signin.access import needs
from web.speech import Speech

_WORKERS = Crumb(say("Workers"), "/workers")
_ACROSS = 6  # hexagons in a row
DRAWN = 60  # places of the picture; the table has all of them
SITES: Table[Site] = Table(
    name="sites",
    caption=say("Places and their workers"),
    columns=[
        Column("site", say("Site"), lambda row: Link(_at(row.site), row.site), sort="site"),
        Column("operators", say("Answers for it"), lambda row: ", ".join(row.operators)),
        Column("fresh", say("fresh"), lambda row: row.fresh, number=True, schema="integer"),
        Column("late", say("late"), lambda row: row.late, number=True, schema="integer"),
        Column("lost", say("lost"), lambda row: row.lost, number=True, schema="integer"),
        Column("leases", say("At work"), lambda row: row.leases, number=True, schema="integer"),
        Column("slots", say("Free slots"), lambda row: row.slots, number=True, schema="integer"),
        Column(
            "capsules",
            say("Capsules, in tens"),
            lambda row: row.capsules,
            number=True,
            schema="integer",
        ),
    ],
    sorts=[Sort("site", lambda row: (row.site,), (str,))],
)


def _at(site: str) -> str:
    return f"/workers?site={quote(site, safe='')}"


def worker_pages(kit: Kit, desk: Desk, laid: Sites) -> APIRouter:
    """The routes; `laid` are the places that somebody has put on the map."""
    router = APIRouter()

    @router.get("/sites", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    @router.get(f"{API}/sites", dependencies=[needs(*WATCHERS)], openapi_extra=description(SITES))
    def places(request: Request) -> Response:
        state = kit.state(request, SITES)
        found = machines.sites(machines.machines(desk))
        why = say("No worker has joined yet: make a token, and join one with it.")
        return kit.listing(
            request,
            "resources/sites.html",
            in_memory(SITES, state, found, why),
            title=say("Where the workers stand"),
            trail=[_WORKERS],
            chart=_map(found, laid, kit.speech(kit.language(request))),
            laid=any(site.site in laid for site in found),
            hidden=max(0, len(found) - DRAWN),
        )

    @router.get("/workers/{prefix}", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    def one(request: Request, prefix: str) -> Response:
        found = _for(request, shifts.machine(desk, prefix))
        return kit.page(
            request,
            "resources/worker.html",
            title=say("Worker {worker}", worker=found.machine.worker[:12]),
            trail=[_WORKERS],
            data=lambda: plainly.answer(found),
            facts=_facts(found),
            acts=offered.for_worker(
                found.machine.worker,
                excluded=found.machine.freshness == "banned",
                drained=found.machine.drained,
            ),
            history=f"/actions?worker={found.machine.worker}",
            running=[_running(row) for row in found.running],
            ended=[_ended(row) for row in found.ended],
        )

    @router.get(
        f"{API}/workers/{{prefix}}",
        dependencies=[needs(*WATCHERS)],
        openapi_extra=plainly.description(MachineDetail),
    )
    def as_json(request: Request, prefix: str) -> Response:
        return plainly.answer(_for(request, shifts.machine(desk, prefix)))

    return router


def _for(request: Request, found: MachineDetail) -> MachineDetail:
    """Why a worker was excluded is said to those alone who may read the deed's own page."""
    if visits.person(request).roles & set(READERS):
        return found
    return replace(found, banned_because="")


def _map(found: Sequence[Site], laid: Sites, speech: Speech) -> Chart | None:
    """Places where somebody has laid them; below those the others, in the order of their names."""
    if not found:
        return None
    shown = found[:DRAWN]
    tiles = [
        Tile(
            site.site,
            *spot,
            site.workers,
            note=speech.text(
                say(
                    "{fresh} fresh, {late} late, {lost} lost; capsules, in tens: {capsules}",
                    fresh=site.fresh,
                    late=site.late,
                    lost=site.lost,
                    capsules=site.capsules,
                )
            ),
            href=_at(site.site),
            badge=_worst(site),
        )
        for site, spot in zip(shown, _spots([site.site for site in shown], laid), strict=True)
    ]
    caption = say("Workers by place, in the order of names")
    if any(site.site in laid for site in shown):
        caption = say("Workers by place, as they were laid out here")
    return charts.territory("sites", caption, tiles, speech, unit=say("workers"))


def _spots(names: Sequence[str], laid: Sites) -> list[tuple[int, int]]:
    """Column and row of each place; those that nobody has laid stand in rows at the end."""
    known = [laid[name] for name in names if name in laid]
    first = max((row for _, row in known), default=-1) + 1
    first += bool(known) and len(known) < len(names)  # a row is left free between the two
    across = max([_ACROSS, *(column + 1 for column, _ in known)])
    rest = [name for name in names if name not in laid]
    ends = {name: (number % across, first + number // across) for number, name in enumerate(rest)}
    return [laid[name] if name in laid else ends[name] for name in names]


def _worst(site: Site) -> Status:
    """The worst state at a place and how many workers are in it."""
    if site.lost:
        return Status("lost", plural("{number} lost", "{number} lost", site.lost), Tone.BAD)
    if site.late:
        return Status("late", plural("{number} late", "{number} late", site.late), Tone.WARN)
    return Status("fresh", plural("{number} fresh", "{number} fresh", site.fresh), Tone.GOOD)


def _facts(found: MachineDetail) -> list[tuple[Sentence, Cell]]:
    one = found.machine
    facts: list[tuple[Sentence, Cell]] = [
        (say("State"), states.WORKERS[one.freshness]),
        (say("Last answer"), one.last_seen),
        (say("Worker"), Ident(one.worker)),
        (say("Answers for it"), one.operator),
        (say("Site"), Link(_at(one.site), one.site) if one.site else None),
        (say("Sandbox"), one.level or None),
        (say("Libraries"), ", ".join(one.libraries) or None),
        (say("Takes on"), _roles(found)),
        (say("At work"), one.leases),
        (say("Free slots"), one.slots),
        (say("Attempts today"), say("{used} of {most}", used=found.quota_used,
                                    most=found.quota_daily)),
        (say("Capsules, in tens"), one.capsules),
        (say("Its clock"), _clock(found.clock)),
        (say("Runtime image, as it says"), Ident(found.image) if found.image else None),
        *((say("Further runtime"), Ident(image)) for image in found.images),
        (say("Enrolled"), found.enrolled_at),
        (say("Enrolment in the log"), _entry(found.enrolment_index)),
    ]  # fmt: skip
    if found.banned_at is not None:
        facts[1:1] = [(say("Excluded"), found.banned_at)]
        if found.banned_because:
            facts[2:2] = [(say("Why"), found.banned_because)]
    return facts


def _roles(found: MachineDetail) -> Sentence:
    one = found.machine
    if one.freshness == "banned":
        return say("nothing: it is excluded")
    if one.drained:
        return say("nothing new: an operator drains it")
    if one.draining:
        return say("nothing new: its keeper drains it")
    if one.contributes and one.concludes:
        return say("contributions and conclusions")
    if one.contributes:
        return say("contributions")
    return say("conclusions") if one.concludes else say("nothing")


def _clock(away: timedelta | None) -> Cell:
    if away is None:
        return say("not heard since this scheduler started")
    if abs(away) < timedelta(seconds=1):
        return say("right")
    if away < timedelta():
        return say("{time} behind, travel included", time=-away)
    return say("{time} ahead", time=away)


def _entry(index: int | None) -> Cell:
    return None if index is None else Link(f"/log/{index}", say("entry {index}", index=index))


def _running(row: Shift) -> list[Cell]:
    return [
        unit_ident(row.unit),
        Link(f"/campaigns/{row.campaign}", row.title),
        row.round,
        states.UNIT_KINDS[row.kind],
        states.ATTEMPTS[row.state],
        say("{done} of {total}", done=row.done, total=row.capsules),
        row.leased_at,
        row.expires_at,
    ]


def _ended(row: Shift) -> list[Cell]:
    return [
        unit_ident(row.unit),
        Link(f"/campaigns/{row.campaign}", row.title),
        row.round,
        states.UNIT_KINDS[row.kind],
        states.ATTEMPTS[row.state],
        told(row.why, row.reason),
        row.ended_at,
        None if row.ended_at is None else row.ended_at - row.leased_at,
    ]
