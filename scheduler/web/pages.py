"""The operators' pages and their API: health, campaigns, units, workers. Reading only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from scheduler.service.desk import Desk
from scheduler.views import health, lateness, machines, runs, units
from scheduler.views import stages as stages_views
from scheduler.views.alerts import AlertKind
from scheduler.views.every_unit import every_unit
from scheduler.views.health import Absent
from scheduler.views.naming import page_of
from scheduler.views.search import LONGEST
from scheduler.views.watching import Watch
from scheduler.web import glance, plainly, stages, words
from scheduler.web.actions import offered
from scheduler.web.actions.pages import READERS
from scheduler.web.resources.alert_words import tell
from scheduler.web.tables import EVERY_UNIT, MACHINES, RUNS, WORK, cut
from web.cells import Status
from web.kit import Crumb, Kit
from web.languages import Language
from web.listing import in_memory, of
from web.listing.openapi import description
from web.live.broadcast import Broadcast
from web.sentences import say
from web.signin import visits
from web.signin.access import needs
from web.signin.roles import Role
from web.speech import Speech

API = "/api/v1"
# Who may see which machine does what: an author could time single machines with an algorithm.
WATCHERS = (Role.OPERATOR, Role.AUDITOR, Role.VIEWER)
_HOME = Crumb(say("Health"), "/")
_CAMPAIGNS = Crumb(say("Campaigns"), "/campaigns")
Live = dict[str, Broadcast]


def pages(
    kit: Kit, desk: Desk, absent: Callable[[], Sequence[Absent]], watch: Watch
) -> tuple[APIRouter, Live]:
    """The routes, and the live parts that the server's end has to close."""
    router = APIRouter(dependencies=[])

    def look() -> health.Health:
        return health.health(desk, absent)

    def see(found: health.Health) -> glance.Glance:
        # Witnesses have their own line there, from the first moment on.
        calls = [tell(one) for one in watch.alerts() if one.kind is not AlertKind.WITNESS_SILENT]
        return glance.glance(found, calls)

    live = {
        "health": Broadcast(
            lambda _, language: _beat_of_health(kit, language, see(look())),
            kit.clock,
            version=kit.assets.version,
        ),
        "campaign": Broadcast(
            lambda key, language: _beat_of_campaign(kit, language, runs.run(desk, key)),
            kit.clock,
            version=kit.assets.version,
        ),
    }
    _health(router, kit, look, see, live["health"])
    _finding(router, desk)
    _campaigns(router, kit, desk, live["campaign"])
    _units(router, kit, desk)
    _workers(router, kit, desk)
    return router, live


def _health(
    router: APIRouter,
    kit: Kit,
    look: Callable[[], health.Health],
    see: Callable[[health.Health], glance.Glance],
    live: Broadcast,
) -> None:
    @router.get("/", dependencies=[needs(*WATCHERS, Role.AUTHOR)], include_in_schema=False)
    def first(request: Request) -> Response:
        if not visits.person(request).roles & set(WATCHERS):
            return RedirectResponse("/mine", HTTPStatus.SEE_OTHER)  # an author's first page
        found = look()
        return kit.page(
            request,
            "scheduler/health.html",
            title=say("Health of the grid"),
            data=lambda: plainly.answer(found),
            glance=see(found),
            acts=offered.START,
        )

    @router.get("/live/health", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    def follow(request: Request) -> Response:
        return live.stream(request)

    @router.get(
        f"{API}/health",
        dependencies=[needs(*WATCHERS)],
        openapi_extra=plainly.description(health.Health),
    )
    def as_json() -> Response:
        return plainly.answer(look())


def _finding(router: APIRouter, desk: Desk) -> None:
    @router.get("/find", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    def find(request: Request, q: str = "") -> Response:
        asked = q.strip()[:LONGEST]
        place = page_of(desk, asked)
        if place.startswith("/actions/") and not visits.person(request).roles & set(READERS):
            place = ""  # of a deed they may read what the log says
        return RedirectResponse(
            place or f"/log/search?{urlencode({'q': asked})}", HTTPStatus.SEE_OTHER
        )


def _campaigns(router: APIRouter, kit: Kit, desk: Desk, live: Broadcast) -> None:
    @router.get("/campaigns", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    @router.get(
        f"{API}/campaigns", dependencies=[needs(*WATCHERS)], openapi_extra=description(RUNS)
    )
    def listed(request: Request) -> Response:
        state = kit.state(request, RUNS)
        rows = runs.runs(
            desk,
            cut(state),
            state=state.filters.get("state", ""),
            prefix=state.filters.get("campaign", ""),
        )
        why = say("A campaign begins once the cooperative has authorised an algorithm.")
        if state.filters:
            why = say("No campaign matches these filters.")
        return kit.listing(
            request,
            "scheduler/listing.html",
            of(RUNS, state, rows, why),
            acts=offered.START,
        )

    @router.get("/campaigns/{prefix}", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    def one(request: Request, prefix: str) -> Response:
        found = runs.run(desk, prefix)
        return kit.page(
            request,
            "scheduler/campaign.html",
            title=found.run.title or found.run.campaign,
            trail=[_HOME, _CAMPAIGNS],
            data=lambda: plainly.answer(found),
            acts=offered.for_campaign(found.run.campaign, found.run.state),
            **_campaign(found, kit.speech(kit.language(request))),
        )

    @router.get(
        f"{API}/campaigns/{{prefix}}",
        dependencies=[needs(*WATCHERS)],
        openapi_extra=plainly.description(runs.RunDetail),
    )
    def as_json(prefix: str) -> Response:
        return plainly.answer(runs.run(desk, prefix))

    @router.get("/campaigns/{prefix}/rounds", dependencies=[needs(*WATCHERS)],
                include_in_schema=False)  # fmt: skip
    @router.get(
        f"{API}/campaigns/{{prefix}}/rounds",
        dependencies=[needs(*WATCHERS)],
        openapi_extra=description(stages.ROUNDS),
    )
    def rounds(request: Request, prefix: str) -> Response:
        state = kit.state(request, stages.ROUNDS)
        campaign = runs.run(desk, prefix, stages=1).run
        rows = stages_views.stages(desk, campaign.campaign, cut(state))
        table = stages.with_told(stages.ROUNDS, rows)
        own = Crumb(campaign.title, f"/campaigns/{campaign.campaign}")
        return kit.listing(
            request,
            "scheduler/rounds.html",
            of(table, state, rows, say("The first round is not planned yet.")),
            trail=[_HOME, _CAMPAIGNS, own],
        )

    @router.get("/campaigns/{prefix}/units", dependencies=[needs(*WATCHERS)],
                include_in_schema=False)  # fmt: skip
    @router.get(
        f"{API}/campaigns/{{prefix}}/units",
        dependencies=[needs(*WATCHERS)],
        openapi_extra=description(WORK),
    )
    def work(request: Request, prefix: str) -> Response:
        state = kit.state(request, WORK)
        campaign = runs.run(desk, prefix, stages=1).run
        rows = units.units(
            desk,
            campaign.campaign,
            cut(state),
            state=state.filters.get("state", ""),
            number=int(state.filters.get("round", "0")),
        )
        why = say("The first round is not planned yet.")
        if state.filters:
            why = say("No work unit matches these filters.")
        own = Crumb(campaign.title, f"/campaigns/{campaign.campaign}")
        return kit.listing(
            request,
            "scheduler/listing.html",
            of(WORK, state, rows, why),
            trail=[_HOME, _CAMPAIGNS, own],
        )

    @router.get("/live/campaigns/{prefix}", dependencies=[needs(*WATCHERS)],
                include_in_schema=False)  # fmt: skip
    def follow(request: Request, prefix: str) -> Response:
        # Looked up first: a stream about nothing would be one that never says why it is silent.
        return live.stream(request, runs.run(desk, prefix, stages=1).run.campaign)


def _units(router: APIRouter, kit: Kit, desk: Desk) -> None:
    @router.get("/units", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    @router.get(
        f"{API}/units", dependencies=[needs(*WATCHERS)], openapi_extra=description(EVERY_UNIT)
    )
    def everywhere(request: Request) -> Response:
        state = kit.state(request, EVERY_UNIT)
        asked = state.filters
        rows = every_unit(
            desk,
            cut(state),
            state=asked.get("state", ""),
            worker=asked.get("worker", ""),
            prefix=asked.get("unit", ""),
            late="late" in asked,
        )
        why = say("No round was planned yet.")
        if asked:
            why = say("No work unit matches these filters.")
        return kit.listing(
            request, "scheduler/listing.html", of(EVERY_UNIT, state, rows, why), trail=[_HOME]
        )

    @router.get("/units/{prefix}", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    def one(request: Request, prefix: str) -> Response:
        found = units.unit(desk, prefix)
        campaign = found.work.campaign
        return kit.page(
            request,
            "scheduler/unit.html",
            title=say("Work unit {unit}", unit=found.work.unit[:13]),
            trail=[_HOME, _CAMPAIGNS, Crumb(found.title or campaign, f"/campaigns/{campaign}")],
            data=lambda: plainly.answer(found),
            acts=offered.for_unit(found.work.unit, found.work.state, found.work.kind),
            facts=glance.unit_facts(found),
            plan=found.plan,
            tries=glance.try_rows(found),
            chart=glance.unit_chart(found, kit.speech(kit.language(request))),
        )

    @router.get(
        f"{API}/units/{{prefix}}",
        dependencies=[needs(*WATCHERS)],
        openapi_extra=plainly.description(units.UnitDetail),
    )
    def as_json(prefix: str) -> Response:
        return plainly.answer(units.unit(desk, prefix))


def _workers(router: APIRouter, kit: Kit, desk: Desk) -> None:
    @router.get("/workers", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    @router.get(
        f"{API}/workers", dependencies=[needs(*WATCHERS)], openapi_extra=description(MACHINES)
    )
    def listed(request: Request) -> Response:
        state = kit.state(request, MACHINES)
        asked = state.filters
        rows = [
            row
            for row in machines.machines(desk)
            if row.freshness == asked.get("state", row.freshness)
            and row.takes == asked.get("work", row.takes)
            and asked.get("operator", "").lower() in row.operator.lower()
            and asked.get("site", row.site) == row.site
            and ("library" not in asked or asked["library"] in row.libraries)
        ]
        why = say("No worker has joined yet: make a token, and join one with it.")
        if asked:
            why = say("No worker matches these filters.")
        return kit.listing(request, "resources/workers.html", in_memory(MACHINES, state, rows, why))


def _campaign(found: runs.RunDetail, speech: Speech) -> dict[str, Any]:
    failed = [stage for stage in found.stages if stage.units.get("failed")]
    state: Status = words.CAMPAIGNS[found.run.state]
    return {
        "found": found,
        "state": state,
        "failed": bool(failed),
        "facts": glance.run_facts(found),
        "late": glance.late_rows(found.late, campaign=False),
        "more_late": len(found.late) > lateness.SHOWN,
        "stages": glance.stage_rows(found),
        "stage_headings": stages.headings(stages.ROUNDS),
        "metrics": stages.names_told(found.stages),
        "metric_rows": glance.metric_rows(found),
        "chart": glance.attempts_chart(found, speech),
    }


def _beat_of_health(kit: Kit, language: Language, found: glance.Glance) -> str:
    return kit.fragment("scheduler/health_beat.html", language, glance=found)


def _beat_of_campaign(kit: Kit, language: Language, found: runs.RunDetail) -> str:
    return kit.fragment(
        "scheduler/campaign_beat.html", language, **_campaign(found, kit.speech(language))
    )
