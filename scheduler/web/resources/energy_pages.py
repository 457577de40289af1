"""Energy and carbon by campaign and day: an estimate, with what it rests on."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from scheduler.service.desk import Desk
from scheduler.views import energy
from scheduler.views.energy import Days, Factors, Line
from scheduler.web import plainly
from scheduler.web.pages import API, WATCHERS
from scheduler.web.tables import campaign_ident, cut
from web import charts
from web.cells import Cell, Link, Measure
from web.charts import Bar, Chart
from web.kit import Kit
from web.listing import Column, Sort, Table, Text, of
from web.listing.openapi import description
from web.sentences import Sentence, say
from web.signin.access import needs
from web.speech import Speech

_PLACES = 2  # of watt-hours; an estimate has no more
ENERGY: Table[Line] = Table(
    name="energy",
    caption=say("Estimated energy by campaign and day"),
    columns=[
        Column("day", say("Day (UTC)"), lambda row: row.day, sort="day"),
        Column("title", say("Campaign"), lambda row: Link(f"/campaigns/{row.campaign}", row.title)),
        Column("campaign", say("Id"), lambda row: campaign_ident(row.campaign)),
        Column(
            "watt_hours",
            say("Energy, estimated"),
            lambda row: _measured(row.spent.watt_hours, "Wh"),
            number=True,
            schema="number",
        ),
        Column(
            "grams",
            say("Carbon, estimated"),
            lambda row: _measured(row.spent.grams, "gCO2e"),
            number=True,
            schema="number",
        ),
        Column("busy", say("At work"), lambda row: row.spent.busy, number=True, schema="number"),
        Column(
            "answered",
            say("Attempts answered"),
            lambda row: row.spent.answered,
            number=True,
            schema="integer",
        ),
        Column(
            "untold",
            say("No figure for"),
            lambda row: row.spent.untold,
            number=True,
            schema="integer",
        ),
    ],
    sorts=[
        Sort("day", lambda row: (row.number, row.campaign), (int, str), descending=True),
    ],
    filters=[
        Text("campaign", say("Campaign"), pattern=r"(camp_)?[0-9a-z]{8,64}", hint=say("camp_…"))
    ],
)


def _measured(value: float | None, unit: str) -> Cell:
    # Four digits for machines; what is less than they can say keeps its own.
    return None if value is None else Measure(round(value, 4) or value, unit, _PLACES)


def energy_pages(kit: Kit, desk: Desk, factors: Factors) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.get("/energy", dependencies=[needs(*WATCHERS)], include_in_schema=False)
    @router.get(f"{API}/energy", dependencies=[needs(*WATCHERS)], openapi_extra=description(ENERGY))
    def listed(request: Request) -> Response:
        state = kit.state(request, ENERGY)
        rows = energy.lines(desk, factors, cut(state), campaign=state.filters.get("campaign", ""))
        found = energy.days(desk, factors)
        speech = kit.speech(kit.language(request))
        return kit.listing(
            request,
            "resources/energy.html",
            of(ENERGY, state, rows, say("No attempt has ended yet.")),
            title=say("Energy and carbon"),
            found=found,
            source=_source(factors),
            facts=_facts(found),
            chart=_chart(found, speech),
        )

    @router.get(
        f"{API}/energy/days",
        dependencies=[needs(*WATCHERS)],
        openapi_extra=plainly.description(energy.Days),
    )
    def by_day() -> Response:
        return plainly.answer(energy.days(desk, factors))

    return router


def _source(factors: Factors) -> Sentence:
    if factors.source:
        return say("{text}", text=factors.source)
    return say(
        "built in: a guess of 10 W for one busy core, and the electricity of mainland France in "
        "the years 2022 to 2024. Set your own with `--web-judging`"
    )


def _facts(found: Days) -> list[tuple[Sentence, Cell]]:
    together, factors = found.together, found.factors
    return [
        (say("Energy in 30 days, estimated"), _measured(together.watt_hours, "Wh")),
        (say("Carbon in 30 days, estimated"), _measured(together.grams, "gCO2e")),
        (say("Attempts at work in all"), together.busy),
        (
            say("Attempts without a figure"),
            say("{number} of {all}", number=together.untold, all=together.attempts),
        ),
        (say("Power of an attempt at work"), Measure(factors.watts, "W")),
        (say("Emission factor"), Measure(factors.grams_per_kwh, "gCO2e/kWh")),
        (say("Where these two come from"), _source(factors)),
        (say("Attempts counted up to"), found.counted_to),
    ]


def _chart(found: Days, speech: Speech) -> Chart | None:
    told = [(day, spent.watt_hours) for day, spent in found.days if spent.watt_hours is not None]
    if not told:
        return None
    items = [Bar(speech.short_day(day), round(value, 4)) for day, value in told]
    return charts.bars(
        "energy", say("Estimated energy by day, days without a figure left out"), items, speech,
        unit="Wh",
    )  # fmt: skip
